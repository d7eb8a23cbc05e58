"""Clocks, profiler sessions, samplers, memory, environment."""
