"""Plots show the table's values, units and losses; nothing in them is cut off."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from unit.plotting.conftest import receipt_with

from kernelscope.analysis import stack_tree
from kernelscope.errors import AnalysisError
from kernelscope.plotting import charts, choose, figure
from kernelscope.plotting.caption import caption
from kernelscope.plotting.figure import Figure
from kernelscope.plotting.timeseries import timeseries

KINDS = ("histogram", "percentiles", "heatmap", "bars", "timeseries")


def texts(drawn: Figure) -> str:
    from matplotlib.text import Text

    return "\n".join(part.get_text() for part in drawn.findobj(Text))  # type: ignore[attr-defined]


def lines_of(drawn: Figure) -> dict[str, list[float]]:
    """Return the values of each line by its name in the legend."""
    names = [text.get_text() for text in drawn.legends[0].get_texts()]
    return {
        name: np.asarray(line.get_ydata(), float).tolist()
        for name, line in zip(names, drawn.axes[0].lines, strict=True)
    }


def tick_boxes(axis: Any) -> list[Any]:
    """Return the boxes of the visible tick labels."""
    low, high = sorted(axis.get_view_interval())
    shown = [tick for tick in axis.get_major_ticks() if low <= tick.get_loc() <= high]
    return [tick.label1.get_window_extent() for tick in shown if tick.label1.get_text()]


# --- what is shown -------------------------------------------------------------------------------


def test_histogram_draws_every_event(buckets: pd.DataFrame) -> None:
    axes = charts.histogram(buckets).axes[0]

    [stairs] = axes.patches
    assert stairs.get_data().values.sum() == pytest.approx(35)  # type: ignore[attr-defined]


def test_histogram_draws_a_line_per_group_the_largest_first(buckets: pd.DataFrame) -> None:
    drawn = charts.histogram(buckets, by="disk")

    sums = [patch.get_data().values.sum() for patch in drawn.axes[0].patches]  # type: ignore[attr-defined]
    assert sums == [pytest.approx(20), pytest.approx(15)]
    assert [text.get_text() for text in drawn.legends[0].get_texts()] == ["vdb", "vda"]


def test_histogram_of_one_group_writes_percentiles(buckets: pd.DataFrame) -> None:
    assert "p50 1.04 ms" in texts(charts.histogram(buckets)).replace("     ", "\n")


def test_histogram_counts_single_events(events: pd.DataFrame) -> None:
    [stairs] = charts.histogram(events).axes[0].patches

    assert stairs.get_data().values.sum() == pytest.approx(50)  # type: ignore[attr-defined]


def test_heatmap_holds_every_event(events: pd.DataFrame) -> None:
    axes = charts.heatmap(events).axes[0]

    assert axes.collections[0].get_array().sum() == 50


@pytest.mark.parametrize(("moments", "columns"), [(5, 5), (59, 59), (100, 50), (130, 44)])
def test_heatmap_gives_each_column_the_same_number_of_intervals(moments: int, columns: int) -> None:
    start = pd.Timestamp("2026-01-01", tz="UTC")
    table = pd.DataFrame(
        {
            "time": [start + pd.Timedelta(0.1 * number, "s") for number in range(moments)],
            "latency_low_us": 8.0,
            "latency_high_us": 9.0,
            "count": 7,
        }
    )

    counts = charts.heatmap(table).axes[0].collections[0].get_array().sum(axis=0)

    assert len(counts) == columns
    assert set(counts[:-1]) == {7.0 * -(-moments // columns)}
    assert counts.sum() == 7 * moments


def test_bars_draw_the_largest_groups_and_sum_up_the_rest(events: pd.DataFrame) -> None:
    events["comm"] = ["a"] * 30 + ["b"] * 15 + ["c"] * 5

    drawn = charts.bars(events, "comm", top=2)

    assert [bar.get_width() for bar in drawn.axes[0].patches] == [30, 15]  # type: ignore[attr-defined]
    assert "and 5 (10%) in other groups" in texts(drawn)


def test_timeseries_is_a_rate(events: pd.DataFrame) -> None:
    [line] = timeseries(events).axes[0].lines
    values, seconds = np.asarray(line.get_ydata(), float), 4.9

    assert values.sum() * seconds / len(values) == pytest.approx(50)


def test_timeseries_of_a_column_is_its_median(events: pd.DataFrame) -> None:
    [line] = timeseries(events, y="duration_us").axes[0].lines

    assert np.nanmax(np.asarray(line.get_ydata(), float)) == pytest.approx(5000)


def counted() -> pd.DataFrame:
    """A map read after 1, 2 and 4 s: what it had counted by then."""
    began = pd.Timestamp("2026-11-22T08:00:00Z")
    table = pd.DataFrame(
        {
            "time": began + pd.to_timedelta([1, 1, 2, 2, 4, 4, 4], unit="s"),
            "syscall": ["read", "write", "read", "write", "read", "write", "brk"],
            "count": np.array([10, 100, 30, 100, 70, 101, 4], np.uint64),
            "total_us": [1.0, 5.0, 2.0, 5.0, 8.0, 5.5, 1.0],
        }
    )
    grows = {"count": "sum", "total_us": "sum"}
    table.attrs["kernelscope"] = {"readings": grows, "started": began.isoformat()}
    return table


def test_timeseries_of_readings_is_the_increase_per_second() -> None:
    [line] = timeseries(counted()).axes[0].lines
    assert line.get_xdata().tolist() == [0.5, 1.5, 3.0]
    assert line.get_ydata().tolist() == [110, 20, 22.5]

    drawn = timeseries(counted(), y="total_us", by="syscall", top=1)
    assert drawn.axes[0].get_ylabel() == "total per second"
    lines = lines_of(drawn)
    assert lines == {"read": [1, 1, 3], "others": [5, 0, 0.75]}


def test_timeseries_of_a_value_is_its_sum_at_each_time() -> None:
    table = counted()
    table.attrs = {}

    [line] = timeseries(table, value="count").axes[0].lines
    assert line.get_ydata().tolist() == [110, 130, 175]
    drawn = timeseries(table, value="count", by="syscall", top=2)
    lines = lines_of(drawn)
    assert lines == {"write": [100, 100, 101], "read": [10, 30, 70]}


def test_timeseries_merges_a_last_reading_that_follows_at_once() -> None:
    table = counted()
    late = table["time"].max() + pd.Timedelta("10ms")
    more = pd.concat([table, table.tail(3).assign(time=late, count=[80, 101, 4])])
    more.attrs = table.attrs

    [line] = timeseries(more).axes[0].lines
    assert line.get_ydata().tolist() == pytest.approx([110, 20, 55 / 2.01])


def test_timeseries_of_a_column_joins_distant_readings() -> None:
    times = pd.to_datetime(["2026-01-01 00:00:00", "2026-01-01 00:00:10", "2026-01-01 00:00:30"])
    readings = pd.DataFrame({"time": times, "held_bytes": [10, 20, 40]})

    [line] = timeseries(readings, y="held_bytes").axes[0].lines

    assert line.get_ydata().tolist() == [10, 20, 40]
    assert line.get_marker() == "o"


def test_percentile_curve_ends_where_events_are_too_few(events: pd.DataFrame) -> None:
    [line] = charts.percentiles(events, "duration_us").axes[0].lines

    assert 10 ** -np.asarray(line.get_xdata(), float).max() >= 1 / 50


def test_flame_graph_adds_up_from_the_leaves(stacks: pd.DataFrame) -> None:
    root = stack_tree.tree(stacks)

    app = root.child("comm", "app")
    assert (root.count, app.count) == (12, 7)
    assert app.child("user_stack", "main").child("kernel_stack", "read").count == 4
    widths = {box.get_width() for box in charts.flamegraph(stacks).axes[0].patches}  # type: ignore[attr-defined]
    assert widths == {12, 7, 5, 4, 3}
    assert "all: 12 samples" in texts(charts.flamegraph(stacks))


def test_flame_graph_without_samples_is_empty(stacks: pd.DataFrame) -> None:
    assert "Stacks" in texts(charts.flamegraph(stacks.iloc[:0]))


def test_flame_graph_colours_kernel_code_of_any_stack() -> None:
    table = pd.DataFrame({"kernel_stack": ["read"], "waker_kernel_stack": ["write"], "count": [1]})

    boxes = charts.flamegraph(table).axes[0].patches
    blue = [box for box in boxes if box.get_facecolor()[0] < box.get_facecolor()[2]]  # type: ignore[misc]

    assert len(boxes) == 3
    assert not blue


def test_flame_graph_of_times_has_their_unit(stacks: pd.DataFrame) -> None:
    drawn = charts.flamegraph(stacks.assign(total_us=stacks["count"] * 1000), "total_us")

    assert "all: 12 ms" in texts(drawn)


# --- names ----------------------------------------------------------------------------------------

NAMES = {
    "math": "$x^{$",
    "an underscore first": "_private",
    "only a dollar": "$",
    "a backslash": "\\frac{1}{",
    "control characters": "a\x1b[2J\x00\x07b",
    "line breaks": "a\nb\r\nc",
    "right to left": "\u202egpj.exe",
    "no glyph": "\u65e5\u672c\U0001f980",
    "spaces": "   ",
    "empty": "",
    "long": "a" * 4096,
    "markup": "<b>&amp;</b>",
}


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
@pytest.mark.parametrize("kind", [*KINDS, "flamegraph"])
def test_draws_any_name(kind: str, name: str, events: pd.DataFrame, stacks: pd.DataFrame) -> None:
    table = stacks if kind == "flamegraph" else events.drop(columns="size_bytes")
    table = table.assign(comm=[name, *["other"] * (len(table) - 1)])
    if kind == "flamegraph":
        table["user_stack"] = f"main;{name}"
    table.attrs = receipt_with(name=name, host=name, filters={"comm": name})
    options = {"by": "comm"} if kind in ("histogram", "percentiles", "timeseries") else {}
    options |= {"x": "comm"} if kind == "bars" else {}
    drawn = choose.named(table, kind, {"title": name, **options})

    assert drawn._repr_png_().startswith(b"\x89PNG")
    assert not any(c in texts(drawn).replace("\n", "") for c in "\x1b\x00\x07\r\u202e")
    if kind in ("bars", "histogram", "percentiles", "timeseries", "flamegraph"):
        assert figure.drawable(name)[:3] in texts(drawn)


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_draws_any_column_name(name: str, events: pd.DataFrame) -> None:
    table = events.rename(columns={"duration_us": f"{name}_us"}).drop(columns="size_bytes")

    column = f"{name}_us"
    for drawn in (
        charts.histogram(table, column),
        charts.percentiles(table, column),
        charts.heatmap(table, y=column),
        charts.bars(table, "comm", column),
        timeseries(table, y=column),
    ):
        assert drawn._repr_png_().startswith(b"\x89PNG")


# --- captions, layout -----------------------------------------------------------------------------


def test_caption_names_the_run_its_time_and_host(buckets: pd.DataFrame) -> None:
    assert caption(buckets) == "biolatency, 10 s · 2026-11-22 09:01:02 UTC · lab"


def test_caption_names_what_restricts_the_run(buckets: pd.DataFrame) -> None:
    buckets.attrs = receipt_with(
        probe="biolatency",
        parameters={"disk": "vda", "queued": False},
        filters={"pid": 17, "cgroup_level": 2},
    )

    assert caption(buckets).startswith("biolatency, disk vda, pid 17, 10 s · ")


def test_figure_marks_losses_and_recordings(buckets: pd.DataFrame) -> None:
    buckets.attrs = receipt_with(recorded=True, lost={"map_full": 5})

    drawn = charts.histogram(buckets)

    shown = texts(drawn).replace("\n", " ")
    assert "RECORDED" in shown
    assert "LOST 5 of 40 events (12.5%)" in shown
    assert "p50" not in shown  # too many were lost to name percentiles


@pytest.mark.parametrize("kind", [*KINDS, "flamegraph"])
def test_cuts_no_text_and_lets_no_tick_labels_touch(
    kind: str, events: pd.DataFrame, stacks: pd.DataFrame
) -> None:
    table = stacks if kind == "flamegraph" else events.drop(columns="size_bytes")
    table.attrs["kernelscope"] |= {"recorded": True, "lost": {"ring_full": 1}, "host": "h" * 40}
    drawn = choose.default(table, kind)
    drawn.draw_without_rendering()

    used = drawn.get_tightbbox()
    assert used.x0 >= -0.02
    assert used.y0 >= -0.02
    assert used.x1 <= drawn.get_figwidth() + 0.02
    assert used.y1 <= drawn.get_figheight() + 0.02
    axes = drawn.axes[0]
    for axis in (axes.xaxis, axes.yaxis) if axes.axison else ():
        boxes = tick_boxes(axis)
        assert len(boxes) >= 2
        for index, box in enumerate(boxes):
            assert not any(box.overlaps(other) for other in boxes[index + 1 :])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("rows", [0, 1])
def test_draws_tables_of_no_row_and_of_one(kind: str, rows: int, events: pd.DataFrame) -> None:
    table = events.drop(columns="size_bytes").head(rows)

    assert choose.default(table, kind)._repr_png_().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda df: charts.heatmap(df, x="comm"), "holds no times"),
        (lambda df: charts.heatmap(df, x="tiem"), "Did you mean time"),
        (lambda df: charts.histogram(df, "comm"), "holds no numbers"),
        (lambda df: charts.bars(df, "nothing"), "no column 'nothing'"),
        (lambda df: charts.flamegraph(df), "no stacks"),
    ],
)
def test_refuses_what_a_plot_cannot_draw(call: Any, message: str, events: pd.DataFrame) -> None:
    with pytest.raises(AnalysisError, match=message):
        call(events)
