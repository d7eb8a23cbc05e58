"""Data of any task: files and hub, tokens, windows, and how windows become batches."""
