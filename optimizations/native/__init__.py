"""C++ kernels for processors: built on demand, and the transformer block that they make up. Holds no strategy."""
