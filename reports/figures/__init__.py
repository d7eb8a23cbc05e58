"""The report's figures, one module per subject: SVG, the same bytes for the same records, and PNG for TensorBoard."""
