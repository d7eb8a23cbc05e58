"""What a run leaves on disk: records, their checks, and how they are written and read."""
