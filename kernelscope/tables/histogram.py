"""A histogram's slots and their bounds [low, high)."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

_LARGEST = 2**63 - 1


@cache
def _table(kind: str) -> npt.NDArray[np.int64]:
    """Return each slot's low bound, and the last high one: slot i is [table[i], table[i + 1])."""
    if kind == "log2":  # bpf_log2l in bcc's helpers.h: slot 1 is [0, 2), then powers of two
        lows = [0, 0, *(1 << slot for slot in range(1, 65))]
    else:  # ks_slot in bpf/include/kernelscope.h: 8 slots an octave, exact below 8
        lows = [*range(8), *((8 + sub) << (e - 3) for e in range(3, 64) for sub in range(8))]
        lows.append(1 << 64)
    return np.array([min(low, _LARGEST) for low in lows], np.int64)


def slot_bounds(slots: npt.NDArray[Any], kind: str) -> tuple[Any, Any]:
    """Return the bounds [low, high) of `slots` as int64; bounds above 2**63 - 1 are cut to it.

    kind: "log2", "linear" (slot i is [i, i + 1)) or "log_linear" (a relative width of 1/8).
    """
    index = slots.astype(np.int64)
    if kind == "linear":
        return index, index + 1
    table = _table(kind)
    last = len(table) - 2
    return table[np.clip(index, 0, last)], table[np.clip(index, 0, last) + 1]
