"""Writes the data files of the package."""
