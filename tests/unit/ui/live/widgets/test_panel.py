"""What stands around the live pictures: rows, the status line, the controls, code, options."""

from __future__ import annotations

import pandas as pd
import pytest
from unit.builders.fake_agent import EVENTS, FakeChannel, attached, events, session

from kernelscope.errors import ParameterError
from kernelscope.plotting.theme import LIGHT
from kernelscope.probe import catalogue
from kernelscope.probe.model import Column, Parameter
from kernelscope.ui.live import open
from kernelscope.ui.live.tracer import Tracer
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
    def test_of_a_map_the_rows_are_what_was_counted_since(self):
        found = row_table.since(calls(read=12, write=5, openat=1), calls(read=10, write=5), CALLS)

        assert found[["syscall", "count", "max_us"]].to_dict("list") == {
            "syscall": ["read", "openat"], "count": [2, 1], "max_us": [7.5, 7.5],
        }  # fmt: skip
        assert found["count"].dtype == "int64"

    def test_an_entry_that_began_again_is_shown_as_it_is(self):
        assert row_table.since(calls(read=3), calls(read=10), CALLS)["count"].tolist() == [3]

    def test_every_word_must_be_somewhere_in_a_row(self):
        frame = calls(read=1, write=2, writev=3)

        assert row_table.arranged(frame, words="WRITE dd")["count"].tolist() == [2, 3]
        assert row_table.arranged(frame, words="write 3")["count"].tolist() == [3]
        assert row_table.arranged(frame, words=".*").empty

    def test_rows_are_sorted_by_a_column_either_way(self):
        frame = calls(b=2, a=1, c=3)

        assert row_table.arranged(frame, "-count")["syscall"].tolist() == ["c", "b", "a"]
        assert row_table.arranged(frame, "syscall")["syscall"].tolist() == ["a", "b", "c"]
        assert row_table.arranged(frame, "no such")["syscall"].tolist() == ["b", "a", "c"]

    def test_what_a_process_is_called_is_text_and_no_html(self):
        frame = pd.DataFrame({"comm": ["<script>alert(1)</script>"], "n": [1]})
        shown = row_table.as_html(frame, LIGHT, (600, 300), "<b>")

        assert "<script" not in shown
        assert "&lt;script&gt;" in shown
        assert "<b>&lt;b&gt;" not in shown

    def test_a_table_without_rows_says_so(self):
        assert "nothing yet" in row_table.as_html(calls(), LIGHT, (600, 300), "Calls")


class TestStatus:
    def test_a_running_view_says_what_it_counts_loses_and_costs(self):
        facts = status.Facts("runqlat", "running", 12_345, 1203.4, 0, None, 350.2, 0.0042)

        assert facts.text() == (
            "runqlat running · 12,345 events · 1,203 a second · 0 lost"
            " · tracing costs 350 ns an event, 0.42% of one CPU"
        )

    def test_where_programs_run_for_more_than_is_shown_the_cost_is_that_of_a_run(self):
        text = status.Facts("opensnoop", "running", 23, 1, cpu_share=0.005, ns_per_run=812.4).text()

        assert text.endswith(" · tracing costs 812 ns a run of its programs, 0.50% of one CPU")

    def test_losses_stand_out(self):
        assert "7 LOST" in status.Facts("runqlat", "running", 12, 1, 7).text()

    def test_a_paused_view_says_that_events_still_count(self):
        text = status.Facts("runqlat", "running", 12, 1).text(paused=True)

        assert text.startswith("runqlat paused (events still count) · 12 events")

    def test_what_has_not_begun_claims_nothing(self):
        assert status.Facts("runqlat", "starting").text() == "runqlat starting"
        assert status.Facts("runqlat", "failed").text() == "runqlat failed"

    def test_rows_that_were_given_up_for_later_ones_are_not_lost(self):
        channel = FakeChannel([attached(EVENTS), events(*[(1, 2)] * 11)], held=True)
        made = session(channel)
        run = made.start(source="BPF_RINGBUF_OUTPUT(events, 8);", max_rows=5)
        tracer = Tracer(made, "cell", run=run)
        run.stop()
        tracer.engine.wait(10)
        found = status.facts(tracer)

        assert (found.events, found.lost, found.kept) == (11, 0, 5)

    def test_a_message_is_text_and_no_html(self):
        assert "&lt;i&gt;" in status.message("<i>", wrong=True)


class TestControls:
    def test_a_probes_parameters_and_filters_are_there(self):
        made = Controls(catalogue.find("syscount"), {"by": "process", "pid": 17}, lambda: None)
        names = [widget.description for widget in made.widget.children]

        assert names[:2] == ["by", "failed"]
        assert {"pid", "comm", "uid"} <= set(names)
        assert made.given == {"by": "process", "pid": "17"}

    def test_what_is_as_the_probe_has_it_is_not_given(self):
        made = Controls(catalogue.find("syscount"), {}, lambda: None)

        assert made.given == {}

    def test_a_change_is_told_once(self):
        told = []
        made = Controls(catalogue.find("syscount"), {}, lambda: told.append(made.given))
        made.widget.children[1].value = True

        assert told == [{"failed": True}]

    def test_help_names_the_range(self):
        parameter = Parameter(
            "frequency", "integer", "Samples a second", 49, minimum=1, maximum=999, unit="Hz"
        )

        assert help_of(parameter) == "Samples a second (at least 1, at most 999 Hz)"

    def test_every_probe_has_controls(self):
        for probe in catalogue.catalogue().values():
            assert Controls(probe, {}, lambda: None).given == {}


class TestLines:
    def test_code_asks_for_the_same_again(self):
        tracer = Tracer(session(), "syscount", {"by": "process", "failed": True, "pid": "17"})

        assert save.code(tracer, "bars").splitlines() == [
            "%ebpf live syscount --by process --failed --pid 17 --view bars",
            "%ebpf syscount --by process --failed --pid 17",
            "kernelscope.run('syscount', by='process', failed=True, pid=17)",
        ]

    def test_the_looks_options_are_taken_out_of_the_line(self):
        tokens = ["runqlat", "--window", "5m", "--refresh", "4", "--view", "bars", "--by", "comm"]
        look, rest = open._look_of([*tokens, "--theme", "dark", "--size", "800x400"])

        assert rest == ["runqlat", "--by", "comm"]
        assert look == open.Look(300, 4, "dark", "bars", (800, 400))

    @pytest.mark.parametrize(
        ("line", "said"),
        [
            (["--window", "1h"], "window 1h: must be from 5 s to 10 min"),
            (["--window", "soon"], "window soon"),
            (["--refresh", "100"], "refresh 100"),
            (["--view", "pie"], "view pie: is none of distribution"),
            (["--theme", "pink"], "theme pink: is none of light, dark"),
            (["--size", "large"], "--size large: is not like 600x300"),
            (["--size", "10x10"], "size (10, 10)"),
        ],
    )
    def test_looks_that_cannot_be_are_refused(self, line, said):
        with pytest.raises(ParameterError) as caught:
            open._look_of(line)

        assert said in caught.value.message

    def test_outside_a_notebook_it_says_what_to_do(self):
        with pytest.raises(ParameterError, match="needs a notebook") as caught:
            open.live("runqlat", session=session())

        assert "kernelscope run" in caught.value.hint
