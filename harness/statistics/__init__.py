"""Statistics that know no benchmark: numpy and scipy alone."""
