"""With and without a probe, in turns: each measurement between two without it.

A busy host makes a virtual machine a third slower for seconds at a time. A measurement from a
minute ago is then no reference; the ones directly before and after are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TypeVar

Attached = TypeVar("Attached")


@dataclass(frozen=True)
class Pair:
    """The time of one load without (the mean of before and after) and with."""

    without: float
    with_it: float

    @property
    def ratio(self) -> float:
        """Return how many times as long it took."""
        return self.with_it / self.without

    @property
    def added(self) -> float:
        """Return how much longer it took."""
        return self.with_it - self.without


def pairs(
    measure: Callable[[], dict[str, float]],
    attached: Callable[[], AbstractContextManager[Attached]],
    rounds: int,
    meanwhile: Callable[[Attached], None] = lambda _: None,
) -> Iterator[dict[str, Pair]]:
    """Yield, `rounds` times, a pair for each load that `measure` returns.

    meanwhile: called while it is attached, after the measurement.
    """
    before = measure()
    for _ in range(rounds):
        with attached() as given:
            during = measure()
            meanwhile(given)
        after = measure()
        yield {name: Pair((before[name] + after[name]) / 2, during[name]) for name in during}
        before = after
