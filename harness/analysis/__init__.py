"""Pure functions over records; never imports torch."""
