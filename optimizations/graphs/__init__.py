"""Batches of few shapes, for graphs that are recorded once for each. Holds no strategy."""
