"""User interfaces: help, listings, progress, and what the magics and the command line share."""
