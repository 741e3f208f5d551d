"""Paired runs, process statistics, ratios and stored results."""
