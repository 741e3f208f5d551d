"""Recordings that replace live runs, and the marks that show it."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from IPython.core.interactiveshell import InteractiveShell
from unit.builders import requests
from unit.builders.fake_agent import EVENTS, FakeChannel, attached, events, session

import kernelscope
from kernelscope.errors import (
    AgentDiedError,
    CompileError,
    KernelScopeError,
    LostEventsWarning,
    RecordingError,
    RunError,
)
from kernelscope.io import recording
from kernelscope.probe import catalogue
from kernelscope.protocol.frames import Frame
from kernelscope.tracing import recorders, replay
from kernelscope.tracing.replay import Replay
from kernelscope.tracing.request import Request
from kernelscope.tracing.session import Session
from kernelscope.ui import messages
from kernelscope.ui.notebook import replay_notice

RECORDINGS = Path(__file__).parents[3] / "notebooks" / "recordings"


@pytest.fixture
def replaying(monkeypatch: pytest.MonkeyPatch) -> Session:
    monkeypatch.setenv("KERNELSCOPE_REPLAY", str(RECORDINGS))
    return Session()


@pytest.mark.parametrize("path", sorted(RECORDINGS.glob("*.ksr")), ids=lambda path: path.stem)
def test_every_recording_still_decodes(path: Path) -> None:
    result = kernelscope.open(path)
    tables = [result] if hasattr(result, "columns") else list(result.values())
    assert sum(len(table) for table in tables) > 0


def test_every_probe_of_the_quickstart_has_a_recording() -> None:
    text = (RECORDINGS.parent / "quickstart.ipynb").read_text(encoding="utf-8")
    named = set(re.findall(r"%ebpf (\w+)", text)) & set(catalogue.names())
    assert named
    assert named <= {path.stem for path in RECORDINGS.glob("*.ksr")}


def test_recordings_are_small_enough_for_a_repository() -> None:
    assert max(path.stat().st_size for path in RECORDINGS.glob("*.ksr")) < 256 << 10


def test_replays_a_probe_without_an_agent(replaying: Session) -> None:
    result = replaying.run("biolatency", duration=3)
    assert result.attrs["kernelscope"]["recorded"] is True
    assert not replaying.started


def test_a_cells_recording_is_found_by_its_text_alone(replaying: Session) -> None:
    source = Replay(RECORDINGS / "written.ksr").request.program.source
    assert len(replaying.run(source=source, duration=60)) > 0


def test_a_text_that_was_not_recorded_is_an_error_that_names_the_folder(
    replaying: Session,
) -> None:
    with pytest.raises(RecordingError, match="has no recording of this C text"):
        replaying.run(source="BPF_HASH(other, u32);", duration=1)


def test_the_mark_names_host_and_date() -> None:
    receipt = {"host": "web1", "kernel": {"release": "6.1.0"}, "started": "2026-01-02T03:04:05"}
    assert (
        replay_notice.sentence(receipt)
        == "recorded on web1, Linux 6.1.0, 2026-01-02; not measured on this machine"
    )


def test_a_table_without_a_receipt_is_marked_all_the_same() -> None:
    assert "not measured on this machine" in replay_notice.sentence(None)


def test_a_comparison_that_is_shown_is_marked_as_its_tables_are(replaying: Session) -> None:
    shell = InteractiveShell()
    replay_notice.install(shell)
    first, second = (replaying.run("biolatency", duration=3) for _ in range(2))
    shown, _ = shell.display_formatter.format(kernelscope.compare(first, second))
    mark = replay_notice.sentence(second.attrs["kernelscope"])
    assert mark in shown["text/plain"]
    assert mark in shown["text/html"]


def test_the_recordings_of_several_probes_stand_in_for_a_run_of_all(replaying: Session) -> None:
    results = replaying.run(["runqlat", "biolatency"], duration=3)
    assert list(results) == ["runqlat", "biolatency"]
    assert results.receipt["recorded"] is True
    assert not replaying.started


def test_the_second_run_of_a_probe_shows_its_second_recording(tmp_path: Path) -> None:
    first, second = made_of("biolatency", tmp_path, 2)
    source = replay.RecordedSource(tmp_path)
    shown = [source.find(probe_request("biolatency")).path for _ in range(3)]
    assert shown == [first, second, second]


def test_a_folder_takes_the_runs_in_their_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KERNELSCOPE_RECORD", str(tmp_path / "new"))
    own = tmp_path / "own.ksr"
    asked = [probe_request("biolatency"), probe_request("runqlat", record=str(own))]
    for each in asked:
        for recorder in recorders.start(each):
            recorder.close()
    names = [path.name for path in sorted((tmp_path / "new").iterdir())]
    assert names == ["01-biolatency.ksr", "02-runqlat.ksr"]
    assert Replay(own).request.probe == "runqlat"


def test_a_folder_that_cannot_be_written_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("KERNELSCOPE_RECORD", str(tmp_path / "file"))
    with pytest.raises(RecordingError, match=r"cannot record in .*file"):
        recorders.start(probe_request("biolatency"))


def test_a_replay_leaves_the_recording_that_the_run_was_to_make(
    replaying: Session, tmp_path: Path
) -> None:
    made = tmp_path / "again.ksr"
    replaying.run("biolatency", duration=3, record=made)
    assert made.read_bytes() == (RECORDINGS / "biolatency.ksr").read_bytes()


def test_a_notebook_can_ask_whether_it_replays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("KERNELSCOPE_REPLAY", raising=False)
    assert not kernelscope.replaying()
    monkeypatch.setenv("KERNELSCOPE_REPLAY", str(tmp_path))
    assert kernelscope.replaying()


def refused(path: Path, error: KernelScopeError, *frames: Frame) -> None:
    with pytest.raises(type(error)):
        session(FakeChannel(frames, error=error)).run(source="int f;", duration=1, record=path)


def test_a_refused_run_is_refused_again_in_the_same_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = CompileError("line 1: expected ';'", hint="end it", line=1, column=6, text="int f")
    refused(tmp_path / "refused.ksr", said)
    monkeypatch.setenv("KERNELSCOPE_REPLAY", str(tmp_path))
    with pytest.raises(CompileError) as caught:
        Session().run(source="int f;", duration=1)
    assert caught.value.to_json() == {
        **said.to_json(),
        "details": {**said.details, "recorded": True},
    }
    assert "not tried on this machine" in messages.error_text(caught.value)
    assert "not tried on this machine" not in messages.error_text(said)


def test_a_failed_run_keeps_its_rows(tmp_path: Path) -> None:
    path = tmp_path / "died.ksr"
    refused(path, AgentDiedError("it is gone"), attached(EVENTS), events((7, 10)))
    with pytest.warns(LostEventsWarning, match="the run's end is not in it"):
        assert kernelscope.open(path)["pid"].tolist() == [7]


def test_a_recorded_error_that_makes_no_sense_is_an_error_all_the_same(tmp_path: Path) -> None:
    path = tmp_path / "odd.ksr"
    with recording.Recorder(path, probe_request("biolatency").to_json()) as recorder:
        recorder.add(Frame({"type": "error", "error": [1]}))
    with pytest.raises(RunError, match="unknown error"):
        kernelscope.open(path)


def probe_request(name: str, **options: str) -> Request:
    return requests.of_probe(name, options)


def made_of(name: str, folder: Path, count: int) -> list[Path]:
    paths = [folder / f"{number:02}-{name}.ksr" for number in range(1, count + 1)]
    for path in paths:
        shutil.copyfile(RECORDINGS / f"{name}.ksr", path)
    return paths
