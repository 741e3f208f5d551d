"""The contract of client and agent: programs, layouts, frames and the names of hooks.

Both processes import it, so it keeps to the standard library of Python 3.9.
"""
