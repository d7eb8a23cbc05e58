"""Stacks with a name of their own."""
