"""The benchmarks, one file per question."""
