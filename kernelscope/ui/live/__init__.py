"""Views of a run that update while it runs."""
