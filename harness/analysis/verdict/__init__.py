"""From evidence to one verdict, with its reasons."""
