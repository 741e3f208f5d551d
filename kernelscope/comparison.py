"""Is it slower than before? Two captures compared: what changed, by how much, how certainly.

    change = kernelscope.compare(before, after)
    change                   # the verdict in one sentence, and its table
    change.moved             # which process, disk or call moved most

Every change comes with an interval that holds for all of them together (Bonferroni): with
confidence 0.95, nothing at all is called a change by chance alone in 95 of 100 comparisons. What is
smaller than `tolerance` is called no change, however certain it is: a machine is never twice the
same. A percentile that stays within one bucket of a histogram is called no change either. The
arithmetic is in `analysis.changes`.
"""

from __future__ import annotations

import html
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from kernelscope.analysis import bootstrap, changes, readings
from kernelscope.analysis.measure import Measure

if TYPE_CHECKING:
    from kernelscope.plotting.figure import Figure

TOLERANCE = 0.05
_SHOWN = 5  # rows of what moved


@dataclass(frozen=True)
class Comparison:
    """What changed between two captures.

    changes: one row for each percentile ("p50", ...) and one for "rate" (events per second): what,
        before, after, change (a share: 0.38 is +38 %), low and high (of the change), changed.
    distance_octaves: how far apart the distributions are as a whole; 1 is a factor of two.
    p_value: how often chance alone makes such a distance.
    moved: by key, what adds most to the change of the rate: the keys, before and after (events
        per second), difference; empty where there is nothing to group by.
    tables: the two captures.
    """

    measure: Measure | None
    changes: pd.DataFrame
    distance_octaves: float
    p_value: float
    moved: pd.DataFrame
    confidence: float
    independent: bool
    tables: tuple[pd.DataFrame, pd.DataFrame]

    @property
    def changed(self) -> bool:
        """Whether anything is called a change."""
        return bool(self.changes["changed"].any())

    @property
    def verdict(self) -> str:
        """One sentence: what changed and what did not."""
        return "; ".join(_sentences(self.changes))

    def __repr__(self) -> str:
        lines = [self.verdict, "", self.changes.to_string(index=False), ""]
        if len(self.moved):
            shown = self.moved.head(_SHOWN).to_string(index=False, float_format=_number)
            lines += ["what moved most, in events per second:", shown, ""]
        return "\n".join([*lines, self._basis()])

    def plot(self, *, title: str = "") -> Figure:
        """Return a picture of both captures: their percentiles with bounds, and the changes."""
        from kernelscope.plotting import comparison  # matplotlib takes half a second to import

        return comparison.draw(self.tables, self.measure, self.changes, title or self.verdict)

    def _repr_html_(self) -> str:
        shown = self.changes.style.format(
            {"before": _number, "after": _number, **dict.fromkeys(_SHARES, "{:+.1%}")}
        ).hide(axis="index")
        text = f"<p><b>{html.escape(self.verdict)}</b></p>{shown.to_html()}"
        if len(self.moved):
            rows = self.moved.head(_SHOWN).to_html(index=False, float_format=_number)
            text += f"<p>What moved most, in events per second:</p>{rows}"
        return f"{text}<p>{self._basis()}</p>"

    def _basis(self) -> str:
        how = (
            "events taken as independent of each other"
            if self.independent
            else "events resampled in blocks of time"
        )
        far = ""
        if self.measure is not None:
            far = f"distance {self.distance_octaves:.3g} octaves, p = {self.p_value:.3g}; "
        return f"{far}intervals hold together with {self.confidence:.0%} confidence; {how}."


_SHARES = ("change", "low", "high")


def _number(value: Any) -> str:
    """Return four digits, and all digits before the point: never 4.152e+04."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def compare(
    before: pd.DataFrame,
    after: pd.DataFrame,
    column: str | None = None,
    *,
    by: str | Sequence[str] | None = None,
    q: Sequence[float] = (50, 90, 99),
    confidence: float = 0.95,
    tolerance: float = TOLERANCE,
    resamples: int = 2000,
    seed: int = 0,
) -> Comparison:
    """Compare two captures of the same probe.

    column: what is compared ("latency_us"); needed only where the table measures several things. A
    table that measures nothing, such as counts by process, is compared by its rate alone.
    by: columns by which to find what moved most; without, the first column of text.

    Raises AnalysisError where the tables do not fit together, hold fewer than 20 events, or lost so
    many that a percentile says nothing.
    """
    tables = readings.increments(before), readings.increments(after)
    changes.check(tables, confidence, tolerance)
    measure = changes.common_measure(tables, column)
    values = changes.percentile_values(tables, measure, q)
    pair = changes.samples(tables, measure)
    random = np.random.default_rng(seed)
    found = changes.changes(
        pair,
        q if measure else (),
        values,
        random=random,
        resamples=resamples,
        confidence=confidence,
        tolerance=tolerance,
    )
    distance, p_value = 0.0, 1.0
    if measure is not None:
        distance, p_value = bootstrap.permuted(*pair, min(resamples, 1000), random)
    return Comparison(
        measure=measure,
        changes=found,
        distance_octaves=distance,
        p_value=p_value,
        moved=changes.moved(tables, by),
        confidence=confidence,
        independent=measure is None or not all(sample.in_blocks for sample in pair),
        tables=tables,
    )


def _sentences(changes: pd.DataFrame) -> Iterator[str]:
    """Yield the verdict's parts: percentiles that changed, those that did not, the rate."""
    rows: list[dict[str, Any]] = changes.to_dict("records")  # type: ignore[assignment]
    measured, rate = rows[:-1], rows[-1]
    for row in measured:
        if row["changed"]:
            yield f"{_change_text(row)}: {'slower' if row['change'] > 0 else 'faster'}"
    same = [str(row["what"]) for row in measured if not row["changed"]]
    if same:
        yield f"{', '.join(same)} unchanged"
    if rate["changed"]:
        yield f"{_change_text(rate)}: {'more' if rate['change'] > 0 else 'fewer'} events per second"
    else:
        yield "rate unchanged"


def _change_text(row: dict[str, Any]) -> str:
    return f"{row['what']} {row['change']:+.0%} [{row['low']:.0%}, {row['high']:.0%}]"
