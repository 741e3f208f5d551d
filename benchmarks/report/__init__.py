"""Writes RESULTS.md and its plots."""
