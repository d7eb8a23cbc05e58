"""The run as a dashboard inside TensorBoard: a plugin, the data for its pages, and `speedproof view`."""
