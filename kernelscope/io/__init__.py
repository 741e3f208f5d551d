"""Results to files and back: tables, traces, flame graphs, recordings."""
