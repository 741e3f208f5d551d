"""Runs notebooks and takes pictures of them."""
