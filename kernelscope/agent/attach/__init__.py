"""Hooks: which exist, loading programs, attaching them."""
