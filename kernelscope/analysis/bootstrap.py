"""Resampling of two captures: how much a percentile, a rate or a distance varies by chance alone.

Events with times are resampled in blocks of time, because events close in time depend on each
other: a slow disk makes a hundred requests slow. A histogram that was read at intervals (ten
readings or more) is resampled in blocks too. One that was read once has no times; its events are
taken as independent, which makes the intervals too narrow where they are not.

Sources: Künsch, "The jackknife and the bootstrap for general stationary observations" (1989), for
blocks; Efron, "Bootstrap methods" (1979); for one rank of n the bootstrap's distribution is that of
a Beta variable (Hutson and Ernst, 2000).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from kernelscope.analysis.measure import Measure
from kernelscope.analysis.percentiles import bucket_of, rank_of, value_at
from kernelscope.tables.attrs import receipt_of

Numbers = npt.NDArray[np.float64]

BLOCKS = 40
_FEWEST_BLOCKS = 10
_GRID = 2048  # bins of the joint distribution, finer than any histogram's buckets


@dataclass(frozen=True)
class Sample:
    """One capture on the grid that it shares with the other one.

    blocks: one row for each block of time (a single row for a histogram), one column for each bin
    of the grid, with the number of events. lengths: of each block, in seconds. low, high: the bins'
    bounds. duration_s: how long the capture took.
    """

    blocks: Numbers
    lengths: Numbers
    low: Numbers
    high: Numbers
    duration_s: float

    @property
    def counts(self) -> Numbers:
        """Events in each bin."""
        total: Numbers = self.blocks.sum(axis=0)
        return total

    @property
    def total(self) -> float:
        """Events in all."""
        return float(self.blocks.sum())

    @property
    def in_blocks(self) -> bool:
        """Whether the events could be divided by time."""
        return len(self.blocks) > 1

    def quantiles(self, counts: Numbers, q: Numbers) -> Numbers:
        """Return percentiles of each row of counts: rows x q."""
        upto = np.cumsum(counts, axis=-1)
        found = [self._at(row, _ranks(q, row[-1]) - 0.5) for row in np.atleast_2d(upto)]
        return np.array(found)

    def _at(self, upto: Numbers, position: Numbers) -> Numbers:
        return value_at(self.low, self.high, upto, position)

    def bounds(self, q: Numbers) -> Numbers:
        """Return the low and the high bound of each percentile's bin: q x 2."""
        place = bucket_of(np.cumsum(self.counts), _ranks(q, self.total))
        return np.column_stack([self.low[place], self.high[place]])

    def bootstrap(self, q: Numbers, times: int, random: np.random.Generator) -> Numbers:
        """Return percentiles of resampled captures, and their rates as the last column."""
        if self.in_blocks:
            return self._in_runs(q, times, random)
        total = self.total
        rank = np.clip(q / 100 * total, 0.5, total - 0.5)
        shares = random.beta(rank, total - rank, size=(times, len(q)))
        upto = np.cumsum(self.counts)
        values = self._at(upto, shares.ravel() * total).reshape(shares.shape)
        return np.column_stack([values, random.poisson(total, times) / self.duration_s])

    def _in_runs(self, q: Numbers, times: int, random: np.random.Generator) -> Numbers:
        """Resample runs of consecutive blocks, so that effects longer than a block show.

        So few runs say little about how runs differ: the spread is widened as Student's t is.
        """
        number = len(self.blocks)
        length = max(1, round(number ** (1 / 3)))
        runs = sum(np.roll(self.blocks, -shift, axis=0) for shift in range(length))
        seconds = sum(np.roll(self.lengths, -shift) for shift in range(length))
        drawn = max(2, round(number / length))
        picked = random.multinomial(drawn, np.full(number, 1 / number), size=times)
        counts: Numbers = (picked @ runs).astype(np.float64)
        rates = counts.sum(axis=1) / (picked @ seconds)
        found = np.column_stack([self.quantiles(counts, q), rates])
        middle = np.median(found, axis=0)
        wide = middle + (found - middle) * _widening(drawn)
        within: Numbers = np.clip(wide, found.min(axis=0) / 2, None)
        return within


def _ranks(q: Numbers, total: float) -> Numbers:
    return np.array([rank_of(percent, total) for percent in q.tolist()], np.float64)


def _widening(runs: int) -> float:
    """Return how much wider Student's t is than the normal distribution, about 3 sigma out."""
    free = runs - 1
    return math.sqrt(runs / free) * (1 + 2.25 / free)


def samples(before: pd.DataFrame, after: pd.DataFrame, measure: Measure) -> tuple[Sample, Sample]:
    """Return two tables on one grid. Rows without a value are left out."""
    tables = [_clean(before, measure), _clean(after, measure)]
    if measure.is_histogram:
        low = np.unique(np.concatenate([table[measure.low] for table in tables]))
        joined = pd.concat(tables).groupby(measure.low)[measure.high].max()
        high = joined.reindex(low).to_numpy(np.float64)
        made = [_bucketed(table, measure, low) for table in tables]
        first, second = (
            Sample(*rows, low, high, duration(table))
            for rows, table in zip(made, tables, strict=True)
        )
        return first, second
    edges = _edges(np.concatenate([table[measure.low].to_numpy(np.float64) for table in tables]))
    first, second = (_events(table, measure, edges) for table in tables)
    return first, second


def distance(first: Numbers, second: Numbers, low: Numbers, high: Numbers) -> Numbers:
    """Return how far apart two distributions are, in octaves: rows of counts against rows.

    It is the earth mover's distance of the values' base-2 logarithms: 1 means that the values
    are, on the whole, twice or half as large. Values below 1 count as 1.
    """
    place = np.log2(np.maximum(1.0, np.sqrt(np.maximum(low, 0.5) * np.maximum(high, 0.5))))
    gap = np.diff(place)
    shares = [
        np.cumsum(counts, axis=-1) / np.maximum(counts.sum(axis=-1, keepdims=True), 1e-12)
        for counts in (np.atleast_2d(first), np.atleast_2d(second))
    ]
    moved: Numbers = np.abs(shares[0] - shares[1])[..., :-1] @ gap
    return moved


def permuted(
    before: Sample, after: Sample, times: int, random: np.random.Generator
) -> tuple[float, float]:
    """Return the distance of two captures, and how often chance alone gives one as large."""
    grid = before.low, before.high
    seen = float(distance(before.counts, after.counts, *grid)[0])
    if before.in_blocks and after.in_blocks:
        pool = np.concatenate([before.blocks, after.blocks])
        order = random.permuted(np.tile(np.arange(len(pool)), (times, 1)), axis=1)
        chosen = np.zeros((times, len(pool)))
        np.put_along_axis(chosen, order[:, : len(before.blocks)], 1, axis=1)
        drawn = chosen @ pool
    else:
        both = np.rint(before.counts + after.counts).astype(np.int64)
        drawn = random.multivariate_hypergeometric(
            both, round(before.total), size=times, method="marginals"
        ).astype(np.float64)
    rest = before.counts + after.counts - drawn
    by_chance = distance(drawn, rest, *grid)
    return seen, float((np.sum(by_chance >= seen) + 1) / (times + 1))


# --- grids ---------------------------------------------------------------------------------------


def _clean(table: pd.DataFrame, measure: Measure) -> pd.DataFrame:
    kept = table[table[measure.low].notna()]
    if measure.is_histogram:
        kept = kept[kept["count"] > 0]
    kept.attrs = table.attrs
    return kept


def duration(table: pd.DataFrame) -> float:
    """Return how many seconds a capture took, by its receipt or its events."""
    receipt = receipt_of(table)
    return float(receipt.get("duration_s") or 0) or _span(table) or 1.0


def _span(table: pd.DataFrame) -> float:
    if "time" not in table.columns or len(table) < 2:
        return 0.0
    return float((table["time"].max() - table["time"].min()).total_seconds())


def _bucketed(table: pd.DataFrame, measure: Measure, low: Numbers) -> tuple[Numbers, Numbers]:
    """Return a histogram's counts on the grid, a row for each reading over time, and their lengths.

    A reading's time is the start of its interval.
    """
    place = np.searchsorted(low, table[measure.low].to_numpy(np.float64))
    lengths, block = np.array([duration(table)]), np.zeros(len(table), np.int64)
    if "time" in table.columns and table["time"].nunique() >= _FEWEST_BLOCKS:
        found, block = np.unique((table["time"] - table["time"].min()), return_inverse=True)
        between = np.diff(found) / np.timedelta64(1, "s")
        lengths = np.append(between, np.median(between))
    rows = np.zeros((len(lengths), len(low)))
    np.add.at(rows, (block, place), table["count"].to_numpy(np.float64))
    return rows, lengths


def _edges(values: Numbers) -> Numbers:
    """Return edges with equal numbers of values between them: exact for few values."""
    distinct = np.unique(values)
    if len(distinct) > _GRID:
        distinct = np.unique(np.quantile(values, np.linspace(0, 1, _GRID), method="nearest"))
    return np.append(distinct, np.nextafter(distinct[-1], np.inf)) if len(distinct) else distinct


def _events(table: pd.DataFrame, measure: Measure, edges: Numbers) -> Sample:
    values = table[measure.low].to_numpy(np.float64)
    place = np.searchsorted(edges, values, "right") - 1
    block, blocks = _blocks(table)
    rows = np.zeros((blocks, len(edges) - 1))
    np.add.at(rows, (block, place), 1)
    seconds = duration(table)
    return Sample(rows, np.full(blocks, seconds / blocks), edges[:-1], edges[:-1], seconds)


def _blocks(table: pd.DataFrame) -> tuple[npt.NDArray[Any], int]:
    """Return each event's block of time, all of one length, and how many blocks there are."""
    span = _span(table)
    number = min(BLOCKS, len(table) // 5)
    if not span or number < _FEWEST_BLOCKS:
        return np.zeros(len(table), np.int64), 1
    since = (table["time"] - table["time"].min()).dt.total_seconds().to_numpy(np.float64)
    return np.minimum((since / span * number).astype(np.int64), number - 1), number
