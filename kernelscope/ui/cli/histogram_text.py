"""Histograms for a terminal: bars by powers of two, with the percentiles of each group."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kernelscope.errors import AnalysisError
from kernelscope.text import printable
from kernelscope.units import NANOSECONDS, range_text, text_in

if TYPE_CHECKING:
    import pandas as pd

    from kernelscope.analysis.measure import Measure

_MOST_GROUPS = 6
_MOST_LINES = 40
_QUANTILES = (50, 90, 99)


def histograms(df: pd.DataFrame, width: int) -> str | None:
    """Return the histograms of a table, the largest group first; None if it holds none."""
    from kernelscope.analysis import measure, readings

    df = readings.last(df)
    try:
        measured = measure.measured(df)
    except AnalysisError:
        return None
    if not measured.is_histogram or not len(df):
        return None
    groups = sorted(_groups(df, measured), key=lambda item: -int(item[1]["count"].sum()))
    parts = [_histogram(name, rows, measured, width) for name, rows in groups[:_MOST_GROUPS]]
    if len(groups) > _MOST_GROUPS:
        more = len(groups) - _MOST_GROUPS
        parts.append(f"… {more:,} more {'group' if more == 1 else 'groups'}; --csv PATH keeps all")
    return "\n\n".join(parts)


def _groups(df: pd.DataFrame, measure: Measure) -> Iterator[tuple[str, pd.DataFrame]]:
    """Yield each group's name ("disk vda, operation read") with its buckets."""
    by = [str(n) for n in df.columns if n not in (measure.low, measure.high, "count", "time")]
    if not by:
        yield "", df
        return
    for key, rows in df.groupby(by, dropna=False, observed=True):
        values = key if isinstance(key, tuple) else (key,)
        names = zip(by, values, strict=True)
        yield ", ".join(f"{name} {printable(str(value))}" for name, value in names), rows


def _histogram(name: str, rows: pd.DataFrame, measure: Measure, width: int) -> str:
    bars = _bars(rows, measure)
    most = max(bar.count for bar in bars)
    labels = [range_text(bar.low, bar.high, measure.unit) for bar in bars]
    label_width = max(len(measure.base), *map(len, labels))
    counts = [f"{bar.count:,}" for bar in bars]
    count_width = max(5, *map(len, counts))
    room = max(10, width - label_width - count_width - 6)
    lines = [
        f"  {label:>{label_width}}  {count:>{count_width}}  {_bar(bar.count / most, room)}".rstrip()
        for label, count, bar in zip(labels, counts, bars, strict=True)
    ]
    heading = f"  {measure.base:>{label_width}}  {'count':>{count_width}}"
    return "\n".join([_summary(name, rows, measure), heading, *lines])


def _summary(name: str, rows: pd.DataFrame, measure: Measure) -> str:
    """Return a group's line: "vda read: 1,234 events, p50 1.2 ms, p90 4 ms, p99 9 ms"."""
    from kernelscope.analysis.percentiles import percentiles

    total = int(rows["count"].sum())
    text = f"{name}: " if name else ""
    text += f"{total:,} {'event' if total == 1 else 'events'}"
    try:
        found = percentiles(rows, measure.name, q=_QUANTILES)
    except AnalysisError as error:
        return f"{text} ({error.message})"
    write = text_in(measure.unit)
    values = found[f"value_{measure.unit}" if measure.unit else "value"]
    return ", ".join([text, *(f"p{q} {write(v)}" for q, v in zip(_QUANTILES, values, strict=True))])


@dataclass(frozen=True)
class _Bar:
    low: float
    high: float
    count: int


def _bars(rows: pd.DataFrame, measure: Measure) -> list[_Bar]:
    """Return the buckets as bars: merged by powers of two where they lie within them."""
    buckets = _buckets(rows, measure)
    for scale in dict.fromkeys((NANOSECONDS.get(measure.unit, 1), 1)):
        octaves = _by_octave(buckets, scale)
        if octaves is not None:
            return octaves
    return _at_most(buckets, _MOST_LINES)


def _buckets(rows: pd.DataFrame, measure: Measure) -> list[_Bar]:
    merged: dict[tuple[float, float], int] = {}
    columns = (rows[measure.low], rows[measure.high], rows["count"])
    for low, high, count in zip(*columns, strict=True):
        key = (float(low), float(high))
        merged[key] = merged.get(key, 0) + int(count)
    return [_Bar(low, high, count) for (low, high), count in sorted(merged.items())]


def _by_octave(buckets: Sequence[_Bar], scale: float) -> list[_Bar] | None:
    """Return the buckets merged to [2^k, 2^(k+1)) of their finest unit; None if they cross one."""
    merged: dict[int, int] = {}
    for bucket in buckets:
        octave = _octave(bucket.low * scale)
        end = 2.0 ** (octave + 1) if octave >= 0 else 1.0
        if not math.isfinite(bucket.high) or bucket.high * scale > end * (1 + 1e-9) + 1e-9:
            return None
        merged[octave] = merged.get(octave, 0) + bucket.count
    span = range(min(merged), max(merged) + 1)
    return [
        _Bar(2.0**k / scale if k >= 0 else 0.0, 2.0 ** (k + 1) / scale, merged.get(k, 0))
        for k in span
    ]


def _octave(value: float) -> int:
    """Return k of the octave [2^k, 2^(k+1)) that a value is in; -1 below 1."""
    return math.floor(math.log2(value * (1 + 1e-12))) if value >= 1 - 1e-12 else -1


def _at_most(buckets: Sequence[_Bar], most: int) -> list[_Bar]:
    """Return the buckets, neighbours merged until there are few enough."""
    each = -(-len(buckets) // most)
    groups: list[Any] = [buckets[i : i + each] for i in range(0, len(buckets), each)]
    return [_Bar(g[0].low, g[-1].high, sum(bar.count for bar in g)) for g in groups]


def _bar(share: float, room: int) -> str:
    """Return a bar of that share of the room, in eighths of a character where they print."""
    encoding = (sys.stdout.encoding or "").lower()
    if "utf" not in encoding:
        return "#" * round(share * room)
    eighths = max(1, round(share * room * 8)) if share else 0
    return "█" * (eighths // 8) + " ▏▎▍▌▋▊▉"[eighths % 8].strip()
