"""Other programs that do the whole job, to compare with."""
