"""Programs that make a known number of events, for tests, benchmarks and tools."""
