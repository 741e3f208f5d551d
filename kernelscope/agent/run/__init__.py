"""One run in its own process: its sequence, draining, sending, statistics."""
