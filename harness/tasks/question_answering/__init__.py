"""Extractive question answering as in SQuAD v1.1."""
