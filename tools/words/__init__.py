"""Checks the English of the project's files."""
