"""One measurement with one tool, printed as JSON."""
