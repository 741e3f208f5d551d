"""Loads of the benchmarks."""
