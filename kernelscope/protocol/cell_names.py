"""The names that a cell's thread briefly takes to mark where `%%probe` starts and ends."""

from __future__ import annotations

CELL_BEGINS, CELL_ENDS = "ks-cell-begins", "ks-cell-ends"
