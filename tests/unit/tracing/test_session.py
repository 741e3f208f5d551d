"""Runs and sessions, with an agent that only plays frames back."""

from __future__ import annotations

import gc
import json
import warnings
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from unit.builders.fake_agent import (
    COUNTS,
    EVENTS,
    FakeAgent,
    FakeChannel,
    attached,
    counts,
    events,
    receipt,
    session,
)

import kernelscope
from kernelscope.errors import (
    AgentDiedError,
    CompileError,
    LostEventsWarning,
    ParameterError,
    ProbeNotFoundError,
    RecordingError,
)
from kernelscope.protocol.frames import Frame
from kernelscope.tables.results import Tables
from kernelscope.tracing.session import Session

SOURCE = "BPF_HASH(counts, u32);"


def test_one_table_is_a_dataframe():
    made = session(FakeChannel([attached(EVENTS), events((7, 10), (8, 20)), receipt()]))

    df = made.run(source=SOURCE, duration=1)

    assert isinstance(df, pd.DataFrame)
    assert df["pid"].tolist() == [7, 8]
    assert df["size_bytes"].tolist() == [10, 20]


def test_several_tables_give_a_mapping_that_shows_each():
    frames = [attached(EVENTS, COUNTS), events((7, 10)), counts({1: 5}), receipt()]
    result = session(FakeChannel(frames)).run(source=SOURCE)

    assert isinstance(result, Tables)
    assert list(result) == ["events", "counts"]
    assert "events: 1 row" in repr(result)
    assert "<b>counts: 1 row</b>" in result._repr_html_()


def test_an_unknown_key_of_the_mapping_names_the_tables_there_are():
    frames = [attached(EVENTS, COUNTS), events((7, 10)), counts({1: 5}), receipt()]
    result = session(FakeChannel(frames)).run(source=SOURCE)

    with pytest.raises(KeyError, match="there are: events, counts"):
        result["event"]


def test_table_chooses_one_of_several():
    frames = [attached(EVENTS, COUNTS), events((7, 10)), counts({1: 5}), receipt()]
    df = session(FakeChannel(frames)).run(source=SOURCE, table="counts")

    assert df["value"].tolist() == [5]
    assert df.attrs["kernelscope"]["rows"] == {"counts": len(df)}


def test_an_unknown_table_is_an_error_with_the_known_ones():
    frames = [attached(EVENTS, COUNTS), events((7, 10)), counts({1: 5}), receipt()]

    with pytest.raises(ParameterError, match="There are: events, counts"):
        session(FakeChannel(frames)).run(source=SOURCE, table="nothing")


def test_the_receipt_is_plain_json_on_the_table():
    made = session(FakeChannel([attached(EVENTS), events((7, 10), (8, 20)), receipt()]))

    found = made.run(source=SOURCE, duration=3).attrs["kernelscope"]

    assert json.loads(json.dumps(found)) == found
    assert found["events"] == 2
    assert found["duration_s"] == 2.5
    assert found["asked_s"] == 3
    assert found["ns_per_run"] == 120.0
    assert found["started"] == "2023-11-14T22:13:19.000+00:00"
    assert found["hooks"] == ["tracepoint:a:b=on_event"]
    assert found["table"] == "events"
    assert not found["interrupted"]
    assert not found["recorded"]


def test_per_cpu_without_a_per_cpu_map_is_a_warning():
    made = session(FakeChannel([attached(EVENTS), events((7, 10)), receipt()]))

    with pytest.warns(UserWarning, match="--per-cpu has no effect"):
        made.run(source=SOURCE, per_cpu=True)


def test_lost_events_are_warned_of_once_with_advice():
    made = session(FakeChannel([attached(EVENTS), events((7, 10)), receipt(ring_full=9)]))
    run = made.start(source=SOURCE)

    with pytest.warns(
        LostEventsWarning,
        match=r"lost 9 of 10 events \(90 %\): the ring buffer was full; --ring 64M",
    ):
        df = run.result()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run.result()
    assert df.attrs["kernelscope"]["lost"] == {"ring_full": 9}


def test_the_warning_names_the_line_that_asked():
    made = session(FakeChannel([attached(EVENTS), events((7, 10)), receipt(ring_full=9)]))

    with pytest.warns(LostEventsWarning) as caught:
        made.run(source=SOURCE)

    assert caught[0].filename == __file__


def test_a_run_that_cannot_be_compiled_fails_at_start():
    error = CompileError("unknown type", line=3)

    with pytest.raises(CompileError, match="unknown type"):
        session(FakeChannel([], error=error)).start(source=SOURCE)


def test_keeps_rows_when_the_agent_dies():
    frames = [attached(EVENTS), events((7, 10))]
    run = session(FakeChannel(frames, error=AgentDiedError("gone"))).start(source=SOURCE)

    with pytest.raises(AgentDiedError, match="gone"):
        run.result()
    assert run.state == "failed"
    assert run.peek()["pid"].tolist() == [7]


def test_an_agent_that_has_died_is_replaced_before_the_next_run(monkeypatch):
    fresh = FakeAgent(FakeChannel([attached(EVENTS), events((7, 10)), receipt()]))
    monkeypatch.setattr("kernelscope.tracing.live_source.Agent.start", lambda: fresh)
    made = session()
    made._live._agent.alive = False

    assert len(made.run(source=SOURCE)) == 1


def test_an_agent_launched_ahead_is_greeted_and_serves():
    expected = FakeAgent(FakeChannel([attached(EVENTS), events((7, 10)), receipt()]))
    made = Session()
    made.expect(expected)
    assert not expected.greeted

    assert len(made.run(source=SOURCE)) == 1
    assert expected.greeted


def test_a_session_that_needed_no_agent_closes_the_one_launched_ahead():
    expected = FakeAgent()
    with Session() as made:
        made.expect(expected)
    assert not expected.alive


def test_a_new_agent_takes_a_request_that_failed(monkeypatch):
    fresh = FakeAgent(FakeChannel([attached(EVENTS), events((7, 10)), receipt()]))
    monkeypatch.setattr("kernelscope.tracing.live_source.Agent.start", lambda: fresh)
    made = session()

    def refuse(program):
        raise AgentDiedError("broken pipe")

    made._live._agent.run = refuse

    assert len(made.run(source=SOURCE)) == 1


def test_stop_ends_a_run_early_and_keeps_its_rows():
    channel = FakeChannel([attached(EVENTS), events((7, 10))], held=True, last=[receipt()])
    run = session(channel).start(source=SOURCE, duration="inf")
    assert run.running

    run.stop()

    assert run.result()["pid"].tolist() == [7]
    assert run.state == "done"


class CtrlC:
    """Progress that is interrupted when it is to show something."""

    def update(self, *_: object, **__: object) -> None:
        raise KeyboardInterrupt

    def clear(self, _: float) -> None:
        pass


def test_interrupting_the_wait_ends_the_run_and_marks_the_result():
    channel = FakeChannel([attached(EVENTS), events((7, 10))], held=True, last=[receipt()])
    run = session(channel).start(source=SOURCE, duration=60)

    df = run.result(progress=CtrlC())

    assert channel.stopped
    assert df.attrs["kernelscope"]["interrupted"]
    assert df["pid"].tolist() == [7]


def test_interrupting_the_attachment_drops_the_run_at_once():
    channel = FakeChannel([], held=True)
    made = session(channel)
    progress = CtrlC()

    with pytest.raises(KeyboardInterrupt):
        made.begin(made.plan(None, {}, source=SOURCE), progress)

    assert channel.closed
    assert not channel.stopped


def test_result_times_out_and_the_run_continues():
    channel = FakeChannel([attached(EVENTS)], held=True, last=[receipt()])
    run = session(channel).start(source=SOURCE)

    with pytest.raises(TimeoutError):
        run.result(timeout=0.01)
    assert run.running
    run.close()


def test_an_unreferenced_run_is_closed():
    channel = FakeChannel([attached(EVENTS)], held=True)
    run = session(channel).start(source=SOURCE)

    del run
    gc.collect()

    assert channel.closed


def test_leaving_the_context_ends_the_run():
    channel = FakeChannel([attached(EVENTS)], held=True, last=[receipt()])
    with session(channel).start(source=SOURCE) as run:
        assert run.state == "running"

    assert channel.stopped
    assert run.state == "done"


def test_an_error_inside_the_context_drops_the_run():
    channel = FakeChannel([attached(EVENTS)], held=True)
    made = session(channel)

    def fail() -> None:
        with made.start(source=SOURCE):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert channel.closed


def test_iterating_yields_earlier_batches_too():
    frames = [attached(EVENTS), events((1, 1)), events((2, 2), (3, 3)), receipt()]
    run = session(FakeChannel(frames)).start(source=SOURCE)
    run.wait()

    batches = [batch.frame() for batch in run]

    assert [batch["pid"].tolist() for batch in batches] == [[1], [2, 3]]


def test_what_one_look_into_a_ring_finds_is_one_batch():
    def part(frame, **more):
        return Frame({**frame.header, **more}, frame.payload)

    ended = part(events(), stride=8, records=0)  # what stood behind was not finished
    frames = [
        attached(EVENTS),
        part(events((1, 1), (2, 2)), more=True),
        part(events((3, 3)), more=True),
        events((4, 4)),
        part(events((5, 5)), more=True),
        ended,
        events((6, 6)),
        receipt(),
    ]
    run = session(FakeChannel(frames)).start(source=SOURCE)
    run.wait()

    batches = list(run)

    assert [batch.frame()["pid"].tolist() for batch in batches] == [[1, 2, 3, 4], [5], [6]]
    assert run.result()["pid"].tolist() == [1, 2, 3, 4, 5, 6]


def test_iterating_leaves_out_what_a_probe_keeps_for_itself():
    layouts = [replace(EVENTS, table="opens"), COUNTS]
    frames = [attached(*layouts), counts({1: 5}), receipt()]
    run = session(FakeChannel(frames)).start("opensnoop")

    assert [batch.table for batch in run] == []
    run.close()


def test_iterating_follows_a_running_run():
    channel = FakeChannel([attached(EVENTS), events((1, 1))], held=True)
    run = session(channel).start(source=SOURCE)
    seen = []
    for batch in run:
        seen.append(batch.table)
        if len(seen) == 1:
            channel.give(events((2, 2)))
            run.stop()

    assert seen == ["events", "events"]


def test_peek_has_the_maps_read_and_leaves_the_run_going():
    channel = FakeChannel([attached(COUNTS)], held=True, last=[receipt()])
    channel.on_snapshot = counts({1: 5}, final=False)
    run = session(channel).start(source=SOURCE)

    df = run.peek()

    assert channel.snapshots == 1
    assert df["value"].tolist() == [5]
    assert run.running
    run.close()


def test_an_interval_has_a_row_per_reading_and_key():
    frames = [
        attached(COUNTS),
        counts({1: 5}, at_ns=1_000_000_000, final=False),
        counts({1: 8, 2: 1}, at_ns=2_000_000_000),
        receipt(),
    ]
    df = session(FakeChannel(frames)).run(source=SOURCE, interval="1s")

    assert df.columns[0] == "time"
    assert df["value"].tolist() == [5, 8, 1]


def test_a_recording_has_the_same_result_and_is_marked(tmp_path: Path):
    path = tmp_path / "run.ks"
    made = session(FakeChannel([attached(EVENTS), events((7, 10), (8, 20)), receipt()]))
    live = made.run(source=SOURCE, duration=1, record=path)

    replayed = kernelscope.open(path)

    pd.testing.assert_frame_equal(live, replayed)
    receipts = [live.attrs["kernelscope"], replayed.attrs["kernelscope"]]
    assert receipts[1] == {**receipts[0], "recorded": True}


def test_refuses_a_file_that_is_no_recording(tmp_path: Path):
    path = tmp_path / "run.ks"
    path.write_text("not a recording")

    with pytest.raises(RecordingError, match=r"run\.ks"):
        kernelscope.open(path)


def test_session_defaults_apply_unless_overridden():
    channels = [FakeChannel([attached(EVENTS), receipt()]) for _ in range(2)]
    made = session(*channels, duration="2s")
    made.run(source=SOURCE)
    made.run(source=SOURCE, duration=5)

    assert [p.duration_ns for p in made._live._agent.programs] == [2 * 10**9, 5 * 10**9]


def test_either_a_probe_or_a_source_must_be_given():
    with pytest.raises(ParameterError, match="either"):
        Session().plan(None, {})
    with pytest.raises(ParameterError, match="either"):
        Session().plan("syscount", {}, source=SOURCE)


def test_a_run_shows_its_state_in_a_notebook():
    channel = FakeChannel([attached(EVENTS), events((7, 10))], held=True, last=[receipt()])
    run = session(channel).start(source=SOURCE)

    assert "running" in run._repr_html_()
    assert repr(run).startswith("<kernelscope.Run cell, running")
    run.close()


def test_an_errors_traceback_shows_the_callers_line_and_little_below():
    with pytest.raises(ProbeNotFoundError) as caught:
        kernelscope.run("sycount")

    assert len(caught.traceback) <= 2


def test_repr_of_an_ended_run_has_the_next_step():
    run = session(FakeChannel([attached(EVENTS), events((7, 10)), receipt()])).start(source=SOURCE)
    run.result()

    assert "cell, done" in repr(run)
    assert "1 row>" in repr(run)
    assert "result() returns" in run._repr_html_()
