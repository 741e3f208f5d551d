"""The parts of a live view around its pictures: rows, status, controls, code, options."""

from __future__ import annotations

import pandas as pd
import pytest
from unit.builders.fake_agent import EVENTS, FakeChannel, attached, events, session

from kernelscope.errors import ParameterError
from kernelscope.plotting.theme import LIGHT
from kernelscope.probe import catalogue
from kernelscope.probe.model import Column, Parameter
from kernelscope.ui.live import open, view_options
from kernelscope.ui.live.tracer import Tracer
from kernelscope.ui.live.view_options import ViewOptions
from kernelscope.ui.live.widgets import row_table, save, status
from kernelscope.ui.live.widgets.controls import Controls, help_of

CALLS = (
    Column("syscall", "syscall", "key.syscall"),
    Column("comm", "text", "key.comm"),
    Column("count", "count", "value.count"),
    Column("max_us", "duration", "value.max_ns", "us"),
)


def calls(**counts: int) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "syscall": list(counts),
            "comm": ["dd"] * len(counts),
            "count": list(counts.values()),
            "max_us": [7.5] * len(counts),
        }
    )


class TestRows:
    def test_shows_what_a_map_counted_since_the_reset(self):
        found = row_table.since(calls(read=12, write=5, openat=1), calls(read=10, write=5), CALLS)

        assert found[["syscall", "count", "max_us"]].to_dict("list") == {
            "syscall": ["read", "openat"], "count": [2, 1], "max_us": [7.5, 7.5],
        }  # fmt: skip
        assert found["count"].dtype == "int64"

    def test_shows_an_entry_that_started_again_unchanged(self):
        assert row_table.since(calls(read=3), calls(read=10), CALLS)["count"].tolist() == [3]

    def test_filters_by_words_in_any_column(self):
        frame = calls(read=1, write=2, writev=3)

        assert row_table.arranged(frame, words="WRITE dd")["count"].tolist() == [2, 3]
        assert row_table.arranged(frame, words="write 3")["count"].tolist() == [3]
        assert row_table.arranged(frame, words=".*").empty

    def test_sorts_by_a_column_in_both_directions(self):
        frame = calls(b=2, a=1, c=3)

        assert row_table.arranged(frame, "-count")["syscall"].tolist() == ["c", "b", "a"]
        assert row_table.arranged(frame, "syscall")["syscall"].tolist() == ["a", "b", "c"]
        assert row_table.arranged(frame, "no such")["syscall"].tolist() == ["b", "a", "c"]

    def test_escapes_html_in_names(self):
        frame = pd.DataFrame({"comm": ["<script>alert(1)</script>"], "n": [1]})
        shown = row_table.as_html(frame, LIGHT, (600, 300), "<b>")

        assert "<script" not in shown
        assert "&lt;script&gt;" in shown
        assert "<b>&lt;b&gt;" not in shown

    def test_reports_a_table_without_rows(self):
        assert "no rows yet" in row_table.as_html(calls(), LIGHT, (600, 300), "Calls")


class TestStatus:
    def test_reports_counts_losses_and_cost(self):
        facts = status.Facts("runqlat", "running", 12_345, 1203.4, 0, None, 350.2, 0.0042)

        assert facts.text() == (
            "runqlat running · 12,345 events · 1,203 per second · 0 lost"
            " · tracing costs 350 ns per event, 0.42% of one CPU"
        )

    def test_reports_the_cost_per_program_run_where_a_filter_drops_events(self):
        text = status.Facts("opensnoop", "running", 23, 1, cpu_share=0.005, ns_per_run=812.4).text()

        assert text.endswith(" · tracing costs 812 ns per program run, 0.50% of one CPU")

    def test_highlights_lost_events(self):
        assert "7 LOST" in status.Facts("runqlat", "running", 12, 1, 7).text()

    def test_reports_that_events_count_while_paused(self):
        text = status.Facts("runqlat", "running", 12, 1).text(paused=True)

        assert text.startswith("runqlat paused (events still count) · 12 events")

    def test_reports_no_counts_before_the_start(self):
        assert status.Facts("runqlat", "starting").text() == "runqlat starting"
        assert status.Facts("runqlat", "failed").text() == "runqlat failed"

    def test_does_not_report_dropped_rows_as_lost_events(self):
        channel = FakeChannel([attached(EVENTS), events(*[(1, 2)] * 11)], held=True)
        made = session(channel)
        run = made.start(source="BPF_RINGBUF_OUTPUT(events, 8);", max_rows=5)
        tracer = Tracer(made, "cell", run=run)
        run.stop()
        tracer.counter.wait(10)
        found = status.facts(tracer)

        assert (found.events, found.lost, found.kept) == (11, 0, 5)

    def test_escapes_html_in_messages(self):
        assert "&lt;i&gt;" in status.message("<i>", wrong=True)


class TestControls:
    def test_has_a_probes_parameters_and_filters(self):
        made = Controls(catalogue.find("syscount"), {"by": "process", "pid": 17}, lambda: None)
        names = [widget.description for widget in made.widget.children]

        assert names[:2] == ["by", "failed"]
        assert {"pid", "comm", "uid"} <= set(names)
        assert made.options == {"by": "process", "pid": "17"}

    def test_returns_only_options_that_differ_from_the_defaults(self):
        made = Controls(catalogue.find("syscount"), {}, lambda: None)

        assert made.options == {}

    def test_reports_a_change_once(self):
        changes = []
        made = Controls(catalogue.find("syscount"), {}, lambda: changes.append(made.options))
        made.widget.children[1].value = True

        assert changes == [{"failed": True}]

    def test_names_the_range_in_the_help(self):
        parameter = Parameter(
            "frequency", "integer", "Samples per second", 49, minimum=1, maximum=999, unit="Hz"
        )

        assert help_of(parameter) == "Samples per second (at least 1, at most 999 Hz)"

    def test_offers_controls_for_every_probe(self):
        for probe in catalogue.catalogue().values():
            assert Controls(probe, {}, lambda: None).options == {}


class TestCode:
    def test_returns_code_for_the_same_view(self):
        tracer = Tracer(session(), "syscount", {"by": "process", "failed": True, "pid": "17"})

        assert save.code([tracer], ["bars"], 300).splitlines() == [
            "%ebpf live syscount --by process --failed --pid 17 --window 300s --view bars",
            "%ebpf syscount --by process --failed --pid 17",
            "kernelscope.run('syscount', by='process', failed=True, pid=17)",
        ]

    def test_returns_one_view_for_several_probes(self):
        tracers = [Tracer(session(), name) for name in ("runqlat", "biolatency")]

        assert save.code(tracers, ["heatmap", "bars"]).splitlines() == [
            "%ebpf live runqlat biolatency",
            "%ebpf runqlat",
            "kernelscope.run('runqlat')",
            "%ebpf biolatency",
            "kernelscope.run('biolatency')",
        ]


class TestViewOptions:
    def test_separates_view_options_from_the_line(self):
        tokens = ["runqlat", "--window", "5m", "--refresh", "4", "--view", "bars", "--by", "comm"]
        found, rest = view_options.parse([*tokens, "--theme", "dark", "--size", "800x400"])

        assert rest == ["runqlat", "--by", "comm"]
        assert found == ViewOptions(300, 4, "dark", "bars", (800, 400))

    @pytest.mark.parametrize(
        ("line", "message"),
        [
            (["--window", "1h"], "window 1h: must be from 5 s to 10 min"),
            (["--window", "soon"], "window soon"),
            (["--refresh", "100"], "refresh 100"),
            (["--view", "pie"], "view pie: must be one of flamegraph, distribution"),
            (["--theme", "pink"], "theme pink: must be one of light, dark"),
            (["--size", "large"], "--size large: not a size"),
            (["--size", "10x10"], "size 10x10"),
        ],
    )
    def test_refuses_values_out_of_range(self, line, message):
        with pytest.raises(ParameterError) as caught:
            view_options.parse(line)

        assert message in caught.value.message

    def test_names_the_command_for_a_terminal_outside_a_notebook(self):
        with pytest.raises(ParameterError, match="needs a notebook") as caught:
            open.live("runqlat", session=session())

        assert "kernelscope live" in caught.value.hint
