"""How long a ring buffer may be left alone before it is drained, or looked at.

Draining is work on both sides of the boundary, so a ring fills up to a part first. A flood may
begin at any moment and fill the rest, so that somebody has to look in between.
"""

from __future__ import annotations

SLOWEST_TICK_S = 0.05
FASTEST_TICK_S = 0.002
FILL_A_TICK = 1 / 8  # of a ring: leaves 7 ticks' room for a burst

_BURST_PER_S = 3_000_000  # events that two CPUs may send from one moment to the next
_BURST_FILL = 0.8  # of a ring: what these may fill before it is looked at
_FASTEST_LOOK_S = 0.005
_RECORD_BYTES = 256  # of a record whose size is not known
_CALMING_S = 0.1  # in which half of a rate is forgotten


class Pace:
    """Says when to drain one ring again, from what came out of it.

    capacity: the ring's bytes. stride: from one record to the next, 0 where they differ.
    look_s: how often to look whether it is filling, so that a flood that begins loses nothing.
    """

    def __init__(self, capacity: int, stride: int) -> None:
        self._part = capacity * FILL_A_TICK
        self._rate = 0.0
        burst = capacity * _BURST_FILL / ((stride or _RECORD_BYTES) * _BURST_PER_S)
        self.look_s = min(max(burst, _FASTEST_LOOK_S), SLOWEST_TICK_S)

    def is_filling(self, pending: int) -> bool:
        """Tell whether so many bytes should be drained now."""
        return pending >= self._part

    def after(self, taken: int, elapsed_s: float) -> float:
        """Return seconds until a part of the ring is full, at the rate of late.

        A look that finds nothing does not end a flood: the traced program may only have waited.
        """
        self._rate = max(taken / elapsed_s, self._rate * 0.5 ** (elapsed_s / _CALMING_S))
        return min(SLOWEST_TICK_S, self._part / max(self._rate, 1.0))
