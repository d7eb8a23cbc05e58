"""The report's figures, one module per subject: SVG, the same bytes for the same records, and PNG for TensorBoard.

A figure is a function of the analysis, `draw(analysis) -> Figure | None`, one line in `reports.figures.gallery`, and a
`Picture` of the same name in the section that shows it.
"""
