"""`df.ks`: percentiles, the largest groups, plots, files and the receipt of a result."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from kernelscope.analysis import measure, readings, stack_tree
from kernelscope.analysis import percentiles as analysis
from kernelscope.analysis import top as groups
from kernelscope.tables.attrs import receipt_of

if TYPE_CHECKING:
    from kernelscope.comparison import Comparison
    from kernelscope.plotting.figure import Figure


class Accessor:
    """The methods of `df.ks`; `register` adds them to every DataFrame."""

    def __init__(self, df: pd.DataFrame) -> None:
        self._df = df

    def percentiles(
        self,
        column: str | None = None,
        q: float | Sequence[float] = (50, 90, 99),
        by: str | Sequence[str] | None = None,
        *,
        max_lost: float = analysis.MAX_LOST,
    ) -> pd.DataFrame:
        """Return percentiles with their bounds; see `analysis.percentiles`."""
        return analysis.percentiles(self._df, column, q, by, max_lost=max_lost)

    def top(
        self, n: int = 10, by: str | Sequence[str] | None = None, value: str | None = None
    ) -> pd.DataFrame:
        """Return the largest groups and the rest as "other"; see `analysis.top.top`."""
        return groups.top(self._df, n, by, value)

    def plot(self, kind: str | None = None, **options: Any) -> Figure:
        """Return the table's picture, or one of the given kind.

        kind: "histogram", "percentiles", "heatmap", "bars", "timeseries" or "flamegraph"; with
        options, those of the function of that name in `kernelscope.plotting`.
        """
        from kernelscope.plotting import choose  # matplotlib takes half a second to import

        return (
            choose.default(self._df, kind) if not options else choose.named(self._df, kind, options)
        )

    def heatmap(self, x: str = "time", y: str | None = None, *, title: str = "") -> Figure:
        """Return the heat map of values over time; see `charts.heatmap`."""
        from kernelscope.plotting import charts

        return charts.heatmap(self._df, x, y, title=title)

    def flamegraph(
        self,
        value: str | None = None,
        *,
        title: str = "",
        save: str | PathLike[str] | None = None,
    ) -> Figure:
        """Return the flame graph of a table with stacks, and `save` it where a path is given.

        value: the column that is added up; by default the probe's ("total_us" of
        offcputime), else "count". save: NAME.html (one page, with zoom and search),
        NAME.folded, NAME.speedscope.json, or NAME.svg, .png, .pdf.
        """
        from kernelscope.plotting import flamegraph

        if save is not None:
            from kernelscope.io import flame_files

            flame_files.save(self._df, save, value, title)
        return flamegraph.draw(self._df, value or stack_tree.value_of(self._df), title)

    def rate(self, every: Any = "1s", by: str | Sequence[str] | None = None) -> pd.DataFrame:
        """Return events in each bin of time: time, `by`, count, per_s; see `timeline.rate`."""
        from kernelscope.analysis import timeline

        return timeline.rate(self._df, every, by)

    def over_time(
        self,
        column: str | None = None,
        every: Any = "1s",
        q: float | Sequence[float] = (50, 90, 99),
        by: str | Sequence[str] | None = None,
    ) -> pd.DataFrame:
        """Return percentiles in each bin of time: time, `by`, count, q, value, low, high.

        The last three have the column's unit in their names; see `timeline.over_time`.
        """
        from kernelscope.analysis import timeline

        return timeline.over_time(self._df, column, every, q, by)

    def increments(self) -> pd.DataFrame:
        """Return what each reading added, of a map that was read at intervals.

        Columns: the table's; "time" is the start of the interval. See `readings.increments`.
        """
        return readings.increments(self._df)

    def join(
        self,
        other: pd.DataFrame,
        on: str | Sequence[str] | None = "pid",
        within: Any = "10ms",
        **options: Any,
    ) -> pd.DataFrame:
        """Return every row with the nearest row in time of `other`; see `analysis.join.join`.

        Columns: the table's, the other's with its probe's name before the unit
        ("latency_biosnoop_ms"), and apart_ms, how much later the other's row is.
        """
        from kernelscope.analysis import join as joining

        return joining.join(self._df, other, on, within, **options)

    def with_cgroups(self, pid: str = "pid") -> pd.DataFrame:
        """Return the table with "cgroup" and "container" of each process that still runs.

        They are read from /proc now, and <NA> for a process that has ended; see
        `analysis.containers.with_cgroups`.
        """
        from kernelscope.analysis import containers

        return containers.with_cgroups(self._df, pid)

    def compare(self, other: pd.DataFrame, column: str | None = None, **options: Any) -> Comparison:
        """Return what changed from this capture to `other`, a later one; see `compare`.

        `changes` of the result has a row for each percentile and one for the rate: what, before,
        after (in the column's unit), change, low, high (shares: 0.1 is +10 %), changed.
        """
        from kernelscope import comparison

        return comparison.compare(self._df, other, column, **options)

    def flame_difference(
        self,
        other: pd.DataFrame,
        value: str | None = None,
        *,
        title: str = "",
        save: str | PathLike[str] | None = None,
    ) -> Figure:
        """Return the differential flame graph from this table to `other`, and `save` it.

        save: NAME.html (a page with zoom and search, where each box gives its rates), .svg, .png or
        .pdf; see `flamegraph_diff.draw`.
        """
        from kernelscope.plotting import flamegraph_diff

        if save is not None:
            from kernelscope.io import flame_files

            flame_files.save_difference(self._df, other, save, value, title)
        return flamegraph_diff.draw(self._df, other, value, title)

    def to_chrome_trace(self, path: str | PathLike[str], *, duration: str | None = None) -> Path:
        """Write events as Chrome trace JSON, for Perfetto; see `chrome_trace.to_chrome_trace`."""
        from kernelscope.io import chrome_trace

        return chrome_trace.to_chrome_trace(self._df, path, duration=duration)

    def to_pprof(self, path: str | PathLike[str], value: str | None = None) -> Path:
        """Write stacks as a pprof profile (NAME.pb.gz); see `pprof.to_pprof`."""
        from kernelscope.io import pprof

        return pprof.to_pprof(self._df, path, value)

    def save(self, path: str | PathLike[str]) -> Path:
        """Write the table to a file; the suffix of the path decides the format. Returns the path.

        .csv .parquet .json .jsonl .arrow .feather: the table, which `kernelscope.read` reads back.
        .trace.json[.gz]: events with a time. .pb.gz .folded .speedscope.json .html: stacks. .svg
        .png .pdf: its picture. Raises ExportError; AnalysisError where it has no times or stacks.
        """
        from kernelscope.io.save import save_table

        return save_table(self._df, path)

    @property
    def receipt(self) -> dict[str, Any]:
        """What was measured, where and at what cost; empty where the table carries none."""
        return dict(receipt_of(self._df))

    @property
    def lost(self) -> int:
        """How many events the run lost."""
        return measure.lost_events(self._df)

    def __repr__(self) -> str:
        name = self.receipt.get("name", "a table")
        methods = ", ".join(each for each in vars(Accessor) if not each.startswith("_"))
        return f"<df.ks of {name}: {methods}>"


def register() -> None:
    """Register `df.ks` with pandas; another call changes nothing."""
    if not isinstance(getattr(pd.DataFrame, "ks", None), type):
        pd.api.extensions.register_dataframe_accessor("ks")(Accessor)


if TYPE_CHECKING:

    class Table(pd.DataFrame):
        """What a run returns, for type checkers: a plain DataFrame, on which `ks` is registered."""

        @property
        def ks(self) -> Accessor:
            """The methods of KernelScope."""
            ...
else:
    Table = pd.DataFrame
