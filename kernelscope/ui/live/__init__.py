"""Views of a run that move while it goes on."""
