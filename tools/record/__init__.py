"""Records probes and demos on a real kernel."""
