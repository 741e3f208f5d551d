"""From the kernel's monotonic clock to the time of day."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

# A smaller difference is the drift that NTP corrects: differences of times stay exact without it.
_STEP_NS = 10_000_000


class WallClock:
    """Adds to a monotonic time what the agent reported last before it.

    The agent reads both clocks when the program is attached and with each status. The difference
    changes when somebody sets the clock, and when the machine sleeps, which stops the monotonic
    clock.
    """

    def __init__(self, offset_ns: int = 0) -> None:
        self._starts = [0]
        self._offsets = [offset_ns]

    @classmethod
    def of(cls, pair: Mapping[str, Any]) -> WallClock:
        """Return the clock for a pair that was read at one moment: monotonic_ns, realtime_ns."""
        return cls(int(pair["realtime_ns"]) - int(pair["monotonic_ns"]))

    def add(self, pair: Mapping[str, Any]) -> None:
        """Take a later pair."""
        at_ns = int(pair["monotonic_ns"])
        offset = int(pair["realtime_ns"]) - at_ns
        if abs(offset - self._offsets[-1]) > _STEP_NS and at_ns >= self._starts[-1]:
            self._starts.append(at_ns)
            self._offsets.append(offset)

    def wall_ns(self, monotonic_ns: Any) -> Any:
        """Return nanoseconds since 1970 of monotonic times."""
        if len(self._offsets) == 1:
            return monotonic_ns + self._offsets[0]
        at = np.searchsorted(np.array(self._starts), monotonic_ns, "right") - 1
        return monotonic_ns + np.array(self._offsets)[np.maximum(at, 0)]
