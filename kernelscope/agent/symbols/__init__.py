"""Turns addresses into names: the kernel's, those of processes, and whole stacks."""
