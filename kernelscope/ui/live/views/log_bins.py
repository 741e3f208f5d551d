"""A histogram's slots in bins of equal width on a logarithmic axis."""

from __future__ import annotations

import math

import numpy as np

from kernelscope.analysis.percentiles import Numbers
from kernelscope.ui.live.counting.value_grid import ValueGrid

LEAST = 2.0**-10  # values without a logarithm (0 and below) are drawn here
_PER_OCTAVE = 4


class LogBins:
    """A grid's slots, divided among bins of equal width on a logarithmic axis.

    Slots drawn as they are would look like a comb: log-linear ones differ in width by up to two.
    """

    def __init__(self, grid: ValueGrid) -> None:
        low, high = np.maximum(grid.edges[:-1], 0), grid.edges[1:]
        first = math.floor(math.log2(max(high[0], LEAST)) * _PER_OCTAVE) - _PER_OCTAVE
        last = math.ceil(math.log2(grid.edges[-1]) * _PER_OCTAVE)
        self.edges: Numbers = np.arange(first, last + 1) / _PER_OCTAVE
        values = 2.0**self.edges
        values[0] = 0.0
        overlap = np.minimum(high[:, None], values[1:]) - np.maximum(low[:, None], values[:-1])
        share = np.clip(overlap, 0, None)
        share[share.sum(axis=1) == 0, -1] = 1  # slots above the range of a u64
        self._shares = share / share.sum(axis=1, keepdims=True)

    def counts(self, slots: Numbers) -> Numbers:
        """Return counts by bin for counts by slot; slots are the last axis."""
        result: Numbers = np.zeros((*slots.shape[:-1], len(self.edges) - 1))
        used = np.flatnonzero(slots.reshape(-1, slots.shape[-1]).any(axis=0))
        if len(used):
            # No matrix product: BLAS would start a thread for each CPU, and those spin.
            bins = np.flatnonzero(self._shares[used].any(axis=0))
            first, last = bins[0], bins[-1] + 1
            shares = self._shares[used, first:last]
            result[..., first:last] = np.einsum("...i,ij->...j", slots[..., used], shares)
        return result

    def occupied(self, counts: Numbers) -> tuple[float, float] | None:
        """Return the outer edges of the bins that have counts; None if there are none."""
        there = np.flatnonzero(counts > 1e-9)
        return (self.edges[there[0]], self.edges[there[-1] + 1]) if len(there) else None
