"""Question-answering data: where it comes from, how it becomes windows, how windows become batches."""
