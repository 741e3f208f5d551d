"""How many times as good: ratios within each round, their mean, and its interval."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

# Student's t for a two-sided interval of 95%, by degrees of freedom.
_T = (12.71, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228)


@dataclass(frozen=True)
class Ratio:
    """A ratio and its 95% interval; low and high are NaN for a single round."""

    value: float
    low: float
    high: float

    @property
    def behind(self) -> bool:
        """Whether KernelScope is behind; a value within the noise of 1 is not."""
        sure = self.high if not math.isnan(self.high) else self.value
        return self.value < 0.98 and sure < 1

    def __str__(self) -> str:
        if math.isnan(self.low):
            return f"{_short(self.value)} times"
        return f"{_short(self.value)} times ({_short(self.low)}-{_short(self.high)})"


def _short(value: float) -> str:
    if value >= 1e6:
        return f"{value:.0e}"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def times_ahead(
    ours: Sequence[float], theirs: Sequence[float], *, more_is_better: bool
) -> Ratio | None:
    """Return how many times as good KernelScope is, from figures of the same rounds.

    The geometric mean of the rounds' ratios, its interval by Student's t over their logarithms.
    """
    pairs = [(a, b) for a, b in zip(ours, theirs, strict=False) if a > 0 and b > 0]
    logs = [math.log(a / b if more_is_better else b / a) for a, b in pairs]
    if not logs:
        return None
    mean = fmean(logs)
    if len(logs) == 1:
        return Ratio(math.exp(mean), math.nan, math.nan)
    freedom = min(len(logs) - 1, len(_T))
    half = _T[freedom - 1] * stdev(logs) / math.sqrt(len(logs))
    return Ratio(math.exp(mean), math.exp(mean - half), math.exp(mean + half))
