"""The ipywidgets of a live view."""
