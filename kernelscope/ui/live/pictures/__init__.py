"""Draws what was counted: matplotlib, no widgets."""
