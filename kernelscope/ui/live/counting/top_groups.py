"""The largest groups of a moving window, in memory of a bounded size."""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Mapping
from heapq import nlargest
from operator import itemgetter

from kernelscope.ui.live.counting.window import HISTORY_S

OTHER = None  # the name that sums up all groups too small to be kept


class TopGroups:
    """The largest groups in a moving window, by name, in bins of a second.

    limit: how many names a bin keeps; the smaller ones are added up under `OTHER`.
    """

    def __init__(self, limit: int = 256, window_s: float = 60) -> None:
        self.limit = limit
        self.total: dict[Hashable, float] = {}
        self._window = max(1, round(window_s))
        self._bins: deque[tuple[int, dict[Hashable, float]]] = deque()
        self._oldest = 0  # the first second counted in `total`

    def add(self, at_ns: int, amounts: Mapping[Hashable, float]) -> None:
        """Add amounts by name at a time in the current second or the one before."""
        second = at_ns // 10**9
        self.advance(at_ns)
        if not self._bins or self._bins[-1][0] < second:
            self._bins.append((second, {}))
        current = self._bins[-1][1]
        for name, amount in amounts.items():
            current[name] = current.get(name, 0.0) + amount
            self.total[name] = self.total.get(name, 0.0) + amount
        if len(current) > 2 * self.limit:
            self._trim(current)

    def advance(self, at_ns: int) -> None:
        """Move the window to `at_ns`: drop the seconds that are no longer in it."""
        second = at_ns // 10**9
        while self._bins and self._bins[0][0] <= second - HISTORY_S:
            self._bins.popleft()
        oldest = second - self._window + 1
        for at, amounts in self._bins:
            if at >= oldest:
                break
            if at >= self._oldest:
                self._subtract(amounts)
        self._oldest = max(self._oldest, oldest)

    def resize(self, window_s: float, at_ns: int) -> None:
        """Change the window's length."""
        self._window = max(1, round(window_s))
        self._oldest = at_ns // 10**9 - self._window + 1
        self.total = {}
        for at, amounts in self._bins:
            for name, amount in amounts.items() if at >= self._oldest else ():
                self.total[name] = self.total.get(name, 0.0) + amount

    def clear(self) -> None:
        """Forget everything."""
        self._bins.clear()
        self.total = {}

    def largest(self, count: int) -> tuple[list[tuple[Hashable, float]], float]:
        """Return the largest names with their amounts, and the sum of all others."""
        named = ((name, amount) for name, amount in self.total.items() if name is not OTHER)
        shown = nlargest(count, named, key=itemgetter(1))
        return shown, sum(self.total.values()) - sum(amount for _, amount in shown)

    def _subtract(self, amounts: Mapping[Hashable, float]) -> None:
        for name, amount in amounts.items():
            left = self.total.get(name, 0.0) - amount
            if left > 1e-9:
                self.total[name] = left
            else:
                self.total.pop(name, None)

    def _trim(self, amounts: dict[Hashable, float]) -> None:
        named = ((name, amount) for name, amount in amounts.items() if name is not OTHER)
        small = dict(sorted(named, key=itemgetter(1), reverse=True)[self.limit :])
        rest = sum(small.values())
        for name in small:
            del amounts[name]
        self._subtract(small)
        for counts in (amounts, self.total):
            counts[OTHER] = counts.get(OTHER, 0.0) + rest
