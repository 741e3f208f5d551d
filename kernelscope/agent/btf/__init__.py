"""The kernel's type information: reading it, and writing C headers from it."""
