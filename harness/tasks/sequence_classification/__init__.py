"""Classification of short texts."""
