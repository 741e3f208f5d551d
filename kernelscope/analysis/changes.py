"""What changed between two captures: percentiles, rates, and which keys moved most.

Every change has an interval that holds for all of them together (Bonferroni). A change that is
smaller than a tolerance does not count, however certain it is, and neither does a percentile that
stays within one bucket of a histogram: the table cannot show that it moved.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from kernelscope.analysis import bootstrap
from kernelscope.analysis.bootstrap import Sample
from kernelscope.analysis.measure import Measure, NothingMeasuredError, measured, unknown_column
from kernelscope.analysis.percentiles import Numbers, percentiles
from kernelscope.analysis.top import top
from kernelscope.errors import AnalysisError
from kernelscope.tables.attrs import receipt_of

_FEWEST = 20  # events on either side; a percentile of fewer says nothing

Pair = tuple[pd.DataFrame, pd.DataFrame]


def check(tables: Pair, confidence: float, tolerance: float) -> None:
    """Raise AnalysisError for a share out of range, or for captures of different probes."""
    if not 0 < confidence < 1:
        raise AnalysisError(f"confidence is {confidence}", hint="give a share, such as 0.95")
    if not 0 <= tolerance < 1:
        raise AnalysisError(f"tolerance is {tolerance}", hint="give a share, such as 0.05")
    names = [receipt_of(table).get("name") for table in tables]
    if None not in names and names[0] != names[1]:
        raise AnalysisError(
            f"{names[0]} and {names[1]} measure different things",
            hint="compare two captures of one probe",
        )


def common_measure(tables: Pair, column: str | None) -> Measure | None:
    """Return what both tables measure; None for tables of counts. Raises AnalysisError."""
    before, after = tables
    try:
        measure = measured(before, column)
    except NothingMeasuredError:
        return None
    if measure.low not in after.columns:
        raise unknown_column(after, measure.low)
    return measure


def samples(tables: Pair, measure: Measure | None) -> tuple[Sample, Sample]:
    """Return both captures on one grid. Raises AnalysisError where one has too few events."""
    if measure is None:
        pair = _counts(tables[0]), _counts(tables[1])
    else:
        pair = bootstrap.samples(*tables, measure)
    for name, sample in zip(("before", "after"), pair, strict=True):
        if sample.total < _FEWEST:
            raise AnalysisError(
                f"`{name}` holds {sample.total:,.0f} events: too few to compare",
                hint=f"trace longer: it takes {_FEWEST} on either side",
            )
    return pair


def _counts(table: pd.DataFrame) -> Sample:
    """Return a table of counts as a capture of a single value.

    A map's counts are its column "count", or "value" where a custom program named none.
    """
    counts = next((name for name in ("count", "value") if name in table.columns), None)
    total = float(len(table)) if counts is None else float(table[counts].sum())
    one = np.ones(1)
    seconds = bootstrap.duration(table)
    return Sample(np.array([[total]]), np.array([seconds]), one, one, seconds)


def percentile_values(tables: Pair, measure: Measure | None, q: Sequence[float]) -> list[Numbers]:
    """Return the percentiles of each table, as `df.ks.percentiles` has them.

    Raises AnalysisError where so much was lost that they say nothing.
    """
    if measure is None:
        return [np.empty(0), np.empty(0)]
    found = [percentiles(table, measure.name, q) for table in tables]
    return [each.iloc[:, 1].to_numpy(np.float64) for each in found]


def changes(
    pair: tuple[Sample, Sample],
    q: Sequence[float],
    values: Sequence[Numbers],
    *,
    random: np.random.Generator,
    resamples: int,
    confidence: float,
    tolerance: float,
) -> pd.DataFrame:
    """Return one row for each percentile and one for the rate.

    Columns: what, before, after, change (a share), low and high (of the change), changed.
    """
    wanted = np.array([float(item) for item in q])
    before, after = (
        np.append(value, sample.total / sample.duration_s)
        for value, sample in zip(values, pair, strict=True)
    )
    drawn = [sample.bootstrap(wanted, resamples, random) for sample in pair]
    tail = (1 - confidence) / (len(wanted) + 1) / 2 * 100
    change = _relative(before, after)
    low, high = np.percentile(_relative(drawn[0], drawn[1]), [tail, 100 - tail], axis=0)
    certain = ((low > 0) | (high < 0)) & (np.abs(change) > tolerance)
    certain[:-1] &= ~_in_one_bucket(pair, wanted)
    return pd.DataFrame(
        {
            "what": [*(f"p{item:g}" for item in wanted), "rate"],
            "before": before,
            "after": after,
            "change": change,
            "low": np.minimum(low, change),
            "high": np.maximum(high, change),
            "changed": certain,
        }
    )


def _in_one_bucket(pair: tuple[Sample, Sample], q: Numbers) -> npt.NDArray[np.bool_]:
    """Return which percentiles are in the same bucket of a histogram before and after.

    Where in a bucket a percentile is can only be guessed, badly where values crowd at its edge.
    """
    first, second = (sample.bounds(q) for sample in pair)
    same: npt.NDArray[np.bool_] = (first == second).all(axis=1) & (first[:, 0] < first[:, 1])
    return same


def _relative(before: Numbers, after: Numbers) -> Numbers:
    with np.errstate(divide="ignore", invalid="ignore"):
        change: Numbers = np.where(before == after, 0.0, after / before - 1)
    return change


def moved(tables: Pair, by: str | Sequence[str] | None) -> pd.DataFrame:
    """Return events per second of each key before and after, the largest moves first.

    Empty where a table has no rows, and where `by` is not given and there is no text to group by.
    """
    if not all(len(table) for table in tables):
        return pd.DataFrame()
    try:
        totals = [top(table, len(table), by) for table in tables]
    except AnalysisError:
        if by is not None:
            raise
        return pd.DataFrame()
    keys = [str(name) for name in totals[0].columns[:-2]]
    rates = [
        total.set_index(keys).iloc[:, 0] / bootstrap.duration(table)
        for total, table in zip(totals, tables, strict=True)
    ]
    joined = pd.concat(rates, axis=1, keys=["before", "after"]).fillna(0.0)
    joined["difference"] = joined["after"] - joined["before"]
    order = joined["difference"].abs().sort_values(ascending=False, kind="stable").index
    return joined.loc[order].reset_index()
