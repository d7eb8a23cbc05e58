"""What holds a configuration back, what would help, and by how much at most."""
