"""Is it slower than before? Two captures side by side: what changed, by how much, how surely.

    change = kernelscope.compare(before, after)
    change                   # a sentence of verdict, and the table it rests on
    change.moved             # which process, disk or call moved most

Every change comes with an interval that holds for all of them together (Bonferroni): with
confidence 0.95, nothing at all is called a change by chance alone in 95 of 100 comparisons. What is
smaller than `tolerance` is called no change, however sure it is: a machine is never twice the same;
and so is what a histogram cannot tell: a percentile that stays within one of its buckets.
"""

from __future__ import annotations

import html
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from kernelscope.analysis import bootstrap, percentiles, readings
from kernelscope.analysis.bootstrap import Numbers, Sample
from kernelscope.analysis.measure import Measure, NothingMeasuredError, measured, unknown_column
from kernelscope.analysis.top import top
from kernelscope.errors import AnalysisError
from kernelscope.tables.attrs import receipt_of

if TYPE_CHECKING:
    from kernelscope.plotting.figure import Figure

TOLERANCE = 0.05
_SHOWN = 5  # rows of what moved
_FEWEST = 20  # events on either side; a percentile of fewer says nothing


@dataclass(frozen=True)
class Comparison:
    """What changed between two captures.

    changes: one row for each percentile ("p50", ...) and one for "rate" (events a second): what,
        before, after, change (a share: 0.38 is +38 %), low and high (of the change), changed.
    distance_octaves: how far apart the distributions are as a whole; 1 is a factor of two.
    p_value: how often chance alone makes such a distance.
    moved: by key, what adds most to the change of the rate: the keys, before and after (events a
        second), difference; empty where there is no `by`.
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
            lines += ["what moved most, in events a second:", shown, ""]
        return "\n".join([*lines, self._basis()])

    def plot(self, *, title: str = "") -> Figure:
        """Return a picture of both captures: their percentiles with bounds, and the changes."""
        from kernelscope.plotting import comparison  # matplotlib takes half a second to import

        return comparison.draw(self, title)

    def _repr_html_(self) -> str:
        shown = self.changes.style.format(
            {"before": _number, "after": _number, **dict.fromkeys(_SHARES, "{:+.1%}")}
        ).hide(axis="index")
        said = f"<p><b>{html.escape(self.verdict)}</b></p>{shown.to_html()}"
        if len(self.moved):
            rows = self.moved.head(_SHOWN).to_html(index=False, float_format=_number)
            said += f"<p>What moved most, in events a second:</p>{rows}"
        return f"{said}<p>{self._basis()}</p>"

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
    """Return four digits, and all there are before the point: never 4.152e+04."""
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
    by: columns by which to say what moved most; without, the first column of text there is.

    Raises AnalysisError where the tables do not fit together, hold fewer than 20 events, or lost so
    many that a percentile says nothing.
    """
    _check(before, after, confidence, tolerance)
    before, after = readings.increments(before), readings.increments(after)
    random = np.random.default_rng(seed)
    measure = _measure(before, after, column)
    if measure is None:
        pair = _counted(before), _counted(after)
        changes = _table(*pair, np.empty(0), random, resamples, confidence, tolerance)
        far, p_value, independent = 0.0, 1.0, True
    else:
        for table in (before, after):
            percentiles.percentiles(table, measure.name)  # refuses where too much was lost
        pair = bootstrap.samples(before, after, measure)
        _enough(pair)
        wanted = np.array([float(item) for item in q])
        changes = _table(*pair, wanted, random, resamples, confidence, tolerance)
        far, p_value = bootstrap.permuted(*pair, min(resamples, 1000), random)
        independent = not all(sample.in_blocks for sample in pair)
    return Comparison(
        measure=measure,
        changes=changes,
        distance_octaves=far,
        p_value=p_value,
        moved=_moved(before, after, by),
        confidence=confidence,
        independent=independent,
        tables=(before, after),
    )


def _check(before: pd.DataFrame, after: pd.DataFrame, confidence: float, tolerance: float) -> None:
    if not 0 < confidence < 1:
        raise AnalysisError(f"confidence is {confidence}", hint="give a share, such as 0.95")
    if not 0 <= tolerance < 1:
        raise AnalysisError(f"tolerance is {tolerance}", hint="give a share, such as 0.05")
    names = [receipt_of(table).get("name") for table in (before, after)]
    if None not in names and names[0] != names[1]:
        raise AnalysisError(
            f"{names[0]} and {names[1]} measure different things",
            hint="compare two captures of one probe",
        )


def _measure(before: pd.DataFrame, after: pd.DataFrame, column: str | None) -> Measure | None:
    try:
        measure = measured(before, column)
    except NothingMeasuredError:
        return None
    if measure.low not in after.columns:
        raise unknown_column(after, measure.low)
    return measure


def _enough(pair: Sequence[Sample]) -> None:
    for name, sample in zip(("before", "after"), pair, strict=True):
        if sample.total < _FEWEST:
            raise AnalysisError(
                f"`{name}` holds {sample.total:,.0f} events: too few to compare",
                hint=f"trace longer: it takes {_FEWEST} on either side",
            )


def _counted(table: pd.DataFrame) -> Sample:
    """Return a table of counts as a capture of a single value."""
    total = float(table["count"].sum()) if "count" in table.columns else float(len(table))
    one = np.ones(1)
    lasted = bootstrap.duration(table)
    return Sample(np.array([[total]]), np.array([lasted]), one, one, lasted)


def _table(
    before: Sample,
    after: Sample,
    q: Numbers,
    random: np.random.Generator,
    times: int,
    confidence: float,
    tolerance: float,
) -> pd.DataFrame:
    """Return the changes of percentiles and rate, with intervals that hold together."""
    values = [
        np.append(sample.quantiles(sample.counts, q)[0], sample.total / sample.duration_s)
        for sample in (before, after)
    ]
    drawn = [sample.bootstrap(q, times, random) for sample in (before, after)]
    tail = (1 - confidence) / (len(q) + 1) / 2 * 100
    change = _relative(values[0], values[1])
    low, high = np.percentile(_relative(drawn[0], drawn[1]), [tail, 100 - tail], axis=0)
    sure = ((low > 0) | (high < 0)) & (np.abs(change) > tolerance)
    sure[:-1] &= ~_in_one_bucket(before, after, q)
    return pd.DataFrame(
        {
            "what": [*(f"p{item:g}" for item in q), "rate"],
            "before": values[0],
            "after": values[1],
            "change": change,
            "low": np.minimum(low, change),
            "high": np.maximum(high, change),
            "changed": sure,
        }
    )


def _in_one_bucket(before: Sample, after: Sample, q: Numbers) -> npt.NDArray[np.bool_]:
    """Return which percentiles lie in the same bucket of a histogram: nothing shows a move.

    Where in a bucket a percentile lies is a guess, and a bad one where values crowd at its edge.
    """
    first, second = before.bounds(q), after.bounds(q)
    one: npt.NDArray[np.bool_] = (first == second).all(axis=1) & (first[:, 0] < first[:, 1])
    return one


def _relative(before: Numbers, after: Numbers) -> Numbers:
    with np.errstate(divide="ignore", invalid="ignore"):
        change: Numbers = np.where(before == after, 0.0, after / before - 1)
    return change


def _moved(
    before: pd.DataFrame, after: pd.DataFrame, by: str | Sequence[str] | None
) -> pd.DataFrame:
    """Return how many events a second each key had before and after, the largest moves first."""
    try:
        tables = [
            top(table, max(1, len(table)), by) if len(table) else None for table in (before, after)
        ]
    except AnalysisError:
        if by is not None:
            raise
        return pd.DataFrame()
    if tables[0] is None or tables[1] is None:
        return pd.DataFrame()
    keys = [str(name) for name in tables[0].columns[:-2]]
    rates = []
    for table, whole in zip(tables, (before, after), strict=True):
        assert table is not None
        rates.append(table.set_index(keys).iloc[:, 0] / bootstrap.duration(whole))
    joined = pd.concat(rates, axis=1, keys=["before", "after"]).fillna(0.0)
    joined["difference"] = joined["after"] - joined["before"]
    order = joined["difference"].abs().sort_values(ascending=False, kind="stable").index
    return joined.loc[order].reset_index()


def _sentences(changes: pd.DataFrame) -> Iterator[str]:
    """Yield the verdict's parts: percentiles that changed, those that did not, the rate."""
    rows: list[dict[str, Any]] = changes.to_dict("records")  # type: ignore[assignment]
    measured, rate = rows[:-1], rows[-1]
    for row in measured:
        if row["changed"]:
            yield f"{_said(row)}: {'slower' if row['change'] > 0 else 'faster'}"
    same = [str(row["what"]) for row in measured if not row["changed"]]
    if same:
        yield f"{', '.join(same)} unchanged"
    if rate["changed"]:
        yield f"{_said(rate)}: {'more' if rate['change'] > 0 else 'fewer'} events a second"
    else:
        yield "rate unchanged"


def _said(row: dict[str, Any]) -> str:
    return f"{row['what']} {row['change']:+.0%} [{row['low']:.0%}, {row['high']:.0%}]"
