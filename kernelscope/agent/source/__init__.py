"""Rewrites the program's C before BCC reads it."""
