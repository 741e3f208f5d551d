"""Feeds damaged and forged inputs to everything that reads data from outside: script/fuzz."""
