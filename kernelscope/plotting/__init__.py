"""DataFrame in, matplotlib Figure or flame graph page out."""
