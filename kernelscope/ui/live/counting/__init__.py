"""Counts events by time, value and name in memory of a fixed size: no widgets, no matplotlib."""
