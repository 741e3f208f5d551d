"""Several probes in one run: whose options are whose, and what comes of all of them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from unit.builders.fake_agent import EVENTS, FakeChannel, attached, events, receipt, session

from kernelscope.errors import (
    AttachError,
    LostEventsWarning,
    ParameterError,
    ProbeNotFoundError,
)
from kernelscope.probe import catalogue
from kernelscope.probe.model import Column, Probe, TableSpec
from kernelscope.protocol.frames import Frame
from kernelscope.tables.results import Results, Tables
from kernelscope.tracing import option_groups
from kernelscope.tracing.run_group import Runs
from kernelscope.ui import command_line, outputs

TABLE = TableSpec("events", "events", (Column("pid", "pid"),))
PAIR = [
    replace(catalogue.find("opensnoop"), name=name, tables=(TABLE,)) for name in ("first", "second")
]


class Holding(FakeChannel):
    """Reports that it is loaded, and attaches on the start request."""

    def __init__(self, *frames: Frame, began_ns: int = 0, log: list[str] | None = None) -> None:
        super().__init__([Frame({"type": "loaded"})], held=True, last=[*frames, receipt()])
        self.began_ns = began_ns
        self.log = log if log is not None else []

    def start(self) -> None:
        super().start()
        self.log.append("start")
        made = attached(EVENTS)
        self.give(Frame({**made.header, "began_ns": self.began_ns}))


def parsed(line: str) -> command_line.Parsed:
    return command_line.parse(command_line.split(line), catalogue.find)


def shares(line: str) -> dict[str, dict[str, Any]]:
    found = parsed(line)
    return option_groups.shared_out(found.given, list(found.probes), where="magic")


# --- whose options are whose ----------------------------------------------------------------------


@pytest.mark.parametrize("line", ["runqlat syscount -d 3", "-d 3 runqlat syscount",
                                  "runqlat -d 3 syscount"])  # fmt: skip
def test_probes_are_named_before_or_after_the_options(line: str) -> None:
    assert parsed(line).targets == ("runqlat", "syscount")
    assert parsed(line).given == {"duration": "3"}


def test_one_probe_alone_is_no_group() -> None:
    assert isinstance(parsed("syscount --by syscall").subject, Probe)


def test_common_options_are_for_all_and_own_ones_for_their_probe() -> None:
    assert shares("runqlat syscount --comm dd --failed --syscount.by syscall --runqlat.by pid") == {
        "runqlat": {"comm": "dd", "by": "pid"},
        "syscount": {"comm": "dd", "by": "syscall", "failed": True},
    }


def test_a_common_option_can_be_given_to_one_probe_alone() -> None:
    probes = [catalogue.find("runqlat"), catalogue.find("syscount")]
    given = {"pid": 7, "syscount": {"table": "calls", "pid": 8}}
    assert option_groups.shared_out(given, probes) == {
        "runqlat": {"pid": 7},
        "syscount": {"table": "calls", "pid": 8},
    }


BAD_LINES = [
    ("runqlat syscount --by pid", "--by is an option of runqlat and syscount", "--syscount.by"),
    ("runqlat syscount --table calls", "--table cannot be combined with", "--syscount.table"),
    ("runqlat syscount --hz 9", "there is no option --hz", None),
    ("runqlat syscount --opensnoop.failed", "there is no option --opensnoop.failed", None),
    ("runqlat syscount --attach uprobe:c:f=g", "--attach cannot be combined with", "custom C"),
    ("runqlat runqlat", "runqlat is named twice", None),
]  # fmt: skip


@pytest.mark.parametrize(("line", "message", "hint"), BAD_LINES)
def test_names_an_unknown_or_ambiguous_option(line: str, message: str, hint: str | None) -> None:
    with pytest.raises(ParameterError) as caught:
        shares(line)
    assert message in caught.value.message
    assert hint is None or hint in str(caught.value.hint)


def test_a_misspelt_second_probe_has_close_matches() -> None:
    with pytest.raises(ProbeNotFoundError, match="no probe named 'runqla'"):
        parsed("syscount runqla")


def test_a_file_runs_alone() -> None:
    with pytest.raises(ParameterError, match=r"x\.c cannot run together with others"):
        command_line.parse(
            ["runqlat", "x.c"], lambda name: None if "." in name else catalogue.find(name)
        )


def test_an_error_in_one_probes_options_names_the_probe() -> None:
    with pytest.raises(ParameterError, match="runqlat: --by disk: is none of"):
        session().plan(["runqlat", "syscount"], {"runqlat.by": "disk"}, where="cli")


def test_without_a_duration_the_longest_of_the_probes_own_is_taken() -> None:
    asked = session().plan(["runqlat", "opensnoop"], {}).requests
    longest = max(catalogue.find(name).duration_s for name in ("runqlat", "opensnoop"))
    assert {each.duration_s for each in asked} == {longest}
    assert all(each.program.hold for each in asked)


def test_records_each_probe_into_its_own_file(tmp_path: Path) -> None:
    plan = session().plan(["runqlat", "opensnoop"], {"record": str(tmp_path / "x.ksr")})
    asked = plan.requests
    assert [each.record and each.record.name for each in asked] == [
        "x.runqlat.ksr",
        "x.opensnoop.ksr",
    ]


# --- how they run ---------------------------------------------------------------------------------


def test_none_attaches_before_all_are_loaded_and_all_end_at_one_moment() -> None:
    log: list[str] = []
    channels = [Holding(events((7, 10)), began_ns=ns, log=log) for ns in (1_000_000, 3_500_000)]
    runs = session(*channels).start(PAIR, duration=2)

    assert isinstance(runs, Runs)
    assert log == ["start", "start"]
    assert [channel.ends_ns for channel in channels] == [3_500_000 + 2_000_000_000] * 2
    runs.stop()
    assert runs.receipt["skew_ms"] == 2.5
    assert runs["second"].receipt["beside"] == {
        "probes": ["first", "second"],
        "began_after_ms": 2.5,
        "skew_ms": 2.5,
    }


def test_where_one_cannot_be_loaded_none_stays_and_the_error_names_it() -> None:
    first = Holding()
    second = FakeChannel([], error=AttachError("no such hook", hook="x"))

    with pytest.raises(AttachError, match="second: no such hook"):
        session(first, second).start(PAIR)
    assert first.closed
    assert not first.started


def test_where_one_fails_on_the_way_the_others_end_and_keep_what_they_have() -> None:
    first = Holding()
    frames = [attached(EVENTS)]
    second = FakeChannel(frames, error=AttachError("it went away", hook="x"))
    runs = session(first, second).start(PAIR, duration=9)

    with pytest.raises(AttachError, match="second: it went away"):
        runs.result()
    assert first.stopped
    assert list(runs.peek()) == ["first", "second"]


def test_warns_of_each_probe_that_lost_events() -> None:
    lossy = FakeChannel([attached(EVENTS), events((7, 1)), receipt(ring_full=3)])
    whole = FakeChannel([attached(EVENTS), events((7, 1)), receipt()])
    with pytest.warns(LostEventsWarning, match="second lost 3 of 4"):
        results = session(whole, lossy).run(PAIR, duration=1)
    assert results.receipt["lost"] == {"second": {"ring_full": 3}}


# --- their results --------------------------------------------------------------------------------


@pytest.fixture
def results() -> Results:
    frame = pd.DataFrame({"count": [1, 2]})
    return Results({"runqlat": frame, "syscount": Tables({"calls": frame}, {})}, {"skew_ms": 1})


def test_results_equal_those_of_single_runs(results: Results) -> None:
    assert isinstance(results["runqlat"], pd.DataFrame)
    assert isinstance(results["syscount"], Tables)
    assert results["syscount.calls"] is results["syscount"]["calls"]
    assert list(results) == ["runqlat", "syscount"]
    assert list(results.flat()) == ["runqlat", "syscount.calls"]


@pytest.mark.parametrize("name", ["opensnoop", "opensnoop.x", "syscount.x", "runqlat.x"])
def test_an_unknown_name_is_a_key_error(results: Results, name: str) -> None:
    with pytest.raises(KeyError, match="there are: "):
        results[name]


def test_results_show_every_table_under_its_name(results: Results) -> None:
    assert "runqlat: 2 rows" in repr(results)
    assert "<b>syscount.calls: 2 rows</b>" in results._repr_html_()


def test_writes_each_table_into_its_own_file(results: Results, tmp_path: Path) -> None:
    for table in results.flat().values():
        table.attrs["kernelscope"] = {"name": "x"}
    written, failed = outputs.write(results, {"csv": tmp_path / "all.csv"})
    assert failed == []
    assert [path.name for path in written] == ["all.runqlat.csv", "all.syscount.calls.csv"]
    assert all(path.read_text().startswith("count\n") for path in written)


def test_the_joint_receipt_is_plain_json() -> None:
    channels = [FakeChannel([attached(EVENTS), events((7, 1)), receipt()]) for _ in range(2)]
    found = session(*channels).run(PAIR).receipt
    assert json.loads(json.dumps(found)) == found
    assert found["probes"] == ["first", "second"]
    assert found["duration_s"] == 2.5
