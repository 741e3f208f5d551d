"""How often a ring buffer is drained, and how often its fill level is checked in between.

Draining costs time in the agent and the client, so a ring first fills to an eighth. A burst may
start at any moment and fill the rest, so the fill level is checked more often than that.
"""

from __future__ import annotations

SLOWEST_TICK_S = 0.05
FASTEST_TICK_S = 0.002
FILL_PER_TICK = 1 / 8  # of a ring: leaves room for 7 ticks of a burst

_BURST_PER_S = 3_000_000  # events that two CPUs can suddenly send
_BURST_FILL = 0.8  # of a ring: how much a burst may fill between two checks
_FASTEST_LOOK_S = 0.005
_RECORD_BYTES = 256  # of a record whose size is unknown
_CALMING_S = 0.1  # the half-life of the measured rate


class Pace:
    """Decides when to drain one ring again, from how much the last drains took.

    capacity: the ring's bytes. stride: from one record to the next, 0 where they differ.
    look_s: how often to check whether it is filling, so that a burst that starts loses nothing.
    """

    def __init__(self, capacity: int, stride: int) -> None:
        self._part = capacity * FILL_PER_TICK
        self._rate = 0.0
        burst = capacity * _BURST_FILL / ((stride or _RECORD_BYTES) * _BURST_PER_S)
        self.look_s = min(max(burst, _FASTEST_LOOK_S), SLOWEST_TICK_S)

    def is_filling(self, pending: int) -> bool:
        """Return whether that many waiting bytes should be drained now."""
        return pending >= self._part

    def after(self, taken: int, elapsed_s: float) -> float:
        """Return the seconds until an eighth of the ring is full at the recent rate.

        An empty drain does not end a burst: the traced program may only have waited.
        """
        self._rate = max(taken / elapsed_s, self._rate * 0.5 ** (elapsed_s / _CALMING_S))
        return min(SLOWEST_TICK_S, self._part / max(self._rate, 1.0))
