"""The names that a cell's thread takes for a moment: they mark where `%%probe` starts and ends."""

from __future__ import annotations

CELL_BEGINS, CELL_ENDS = "ks-cell-begins", "ks-cell-ends"
