"""A measured column's values in slots, and percentiles of the counts in them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kernelscope.analysis.percentiles import Numbers, Places, in_buckets
from kernelscope.probe.model import Column
from kernelscope.tables import column_decoders as decoders
from kernelscope.tables.histogram import slot_bounds
from kernelscope.units import NANOSECONDS

_SLOTS = {"log_linear": 496, "log2": 65, "linear": 512}


@dataclass(frozen=True)
class ValueGrid:
    """Slots in the column's own unit: slot i is [edges[i], edges[i + 1])."""

    edges: Numbers

    @classmethod
    def of(cls, column: Column, histogram: str = "log_linear") -> ValueGrid:
        """Return the slots for a column's values.

        A histogram has slots of its own. Other values get log-linear slots, an eighth of an octave
        wide, of the kernel's numbers (nanoseconds, bytes).
        """
        kind = histogram if column.kind == "slot" else "log_linear"
        slots = np.arange(_SLOTS[kind])
        if column.kind == "slot":
            low, high = decoders.decode(
                decoders.Source(slots, column, decoders.Context(histogram=kind))
            ).values()
        else:
            low, high = (each / _divisor(column) for each in slot_bounds(slots, kind))
        return cls(np.append(np.asarray(low, np.float64), float(high[-1])))

    def __len__(self) -> int:
        return len(self.edges) - 1

    def place(self, values: Numbers) -> Places:
        """Return each value's slot; values outside the grid get the first or the last one."""
        found: Places = np.searchsorted(self.edges, values * (1 + 1e-12), "right") - 1
        return np.clip(found, 0, len(self) - 1)

    def percentile(self, counts: Numbers, percent: float) -> tuple[Numbers, Numbers, Numbers]:
        """Return best guess, low and high bound for each row of `counts`; NaN for an empty row.

        counts: shape (rows, slots).
        """
        return in_buckets(self.edges[:-1], self.edges[1:], counts, percent)


def _divisor(column: Column) -> float:
    if column.kind == "duration":
        return float(NANOSECONDS[column.unit or "ns"])
    return 1000.0 if column.kind == "float" else 1.0
