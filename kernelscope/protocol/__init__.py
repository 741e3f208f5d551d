"""The contract between client and agent: programs, layouts, frames and hooks.

Both processes import it, so it uses nothing but the standard library of Python 3.9.
"""
