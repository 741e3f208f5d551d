"""A run ends and keeps its rows, whatever fails on the way: disk, memory, threads, descriptors."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import IO, NoReturn

import pytest
from unit.builders.fake_agent import EVENTS, FakeChannel, attached, events, receipt, session

from kernelscope.errors import LostEventsWarning, RecordingError, RequirementError
from kernelscope.io.recording import Recorder
from kernelscope.protocol.frames import Frame

FRAMES = [attached(EVENTS), events((7, 10), (8, 20)), receipt()]


def full_disk() -> NoReturn:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_recording_on_a_full_device_is_refused_before_the_run_starts() -> None:
    channel = FakeChannel(FRAMES)
    with pytest.raises(RecordingError, match="No space left on device"):
        session(channel).run(source="int f;", record="/dev/full")
    assert channel.closed


@pytest.mark.parametrize("step", ["write", "close"])
def test_a_disk_that_fills_up_costs_the_recording_and_not_the_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    run = session(FakeChannel(FRAMES[:2], held=True, last=FRAMES[2:])).start(
        source="int f;", record=tmp_path / "x.ksr"
    )
    run.stream._recorders[0]._file = Failing(run.stream._recorders[0]._file, step)
    run.stop()

    with pytest.warns(LostEventsWarning, match=r"cell: cannot write the recording .*No space"):
        df = run.result(timeout=5)
    assert df["pid"].tolist() == [7, 8]
    assert "No space left" in df.attrs["kernelscope"]["problems"][0]


class Failing:
    """A file whose disk is full at one call."""

    def __init__(self, file: IO[bytes], step: str) -> None:
        self._file, self._step = file, step

    def write(self, data: bytes) -> int:
        return full_disk() if self._step == "write" else self._file.write(data)

    def close(self) -> None:
        self._file.close()
        if self._step == "close":
            full_disk()


@pytest.mark.parametrize(
    "step",
    [
        "kernelscope.io.recording.Recorder.close",
        "kernelscope.tracing.batch.Feed.put",
        "unit.builders.fake_agent.FakeChannel.close",
    ],
)
def test_every_step_of_the_end_may_fail_and_the_result_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    def fail(*arguments: object, **_: object) -> None:
        works(*arguments)
        raise RuntimeError("unforeseen")

    channel = FakeChannel(FRAMES[:2], held=True, last=FRAMES[2:])
    run = session(channel).start(source="int f;", record=tmp_path / "x.ksr")
    batches = iter(run)  # an iteration, which must end too
    assert len(next(batches).frame()) == 2
    works = derived(step)
    monkeypatch.setattr(step, fail)
    run.stop()

    with pytest.warns(LostEventsWarning, match="did not end cleanly"):
        assert run.result(timeout=5)["pid"].tolist() == [7, 8]
    monkeypatch.undo()
    assert list(batches) == []


def derived(path: str) -> Callable[..., object]:
    """Return the method of that path."""
    module, kind, name = path.rsplit(".", 2)
    method: Callable[..., object] = getattr(getattr(import_module(module), kind), name)
    return method


class WithoutMemory(FakeChannel):
    def frames(self) -> Iterator[Frame]:
        yield from super().frames()
        raise MemoryError


def test_rows_are_kept_when_the_client_runs_out_of_memory() -> None:
    run = session(WithoutMemory(FRAMES[:2])).start(source="int f;")

    with pytest.warns(LostEventsWarning, match="the client ran out of memory"):
        assert run.result(timeout=5)["pid"].tolist() == [7, 8]


def test_reports_a_client_without_memory() -> None:
    with pytest.raises(RequirementError, match="too little memory"):
        session(WithoutMemory([])).start(source="int f;")


def test_reports_a_client_that_cannot_start_a_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: object) -> None:
        raise RuntimeError("can't start new thread")

    channel = FakeChannel(FRAMES)
    monkeypatch.setattr("threading.Thread.start", refuse)
    with pytest.raises(RequirementError, match="can't start new thread") as caught:
        session(channel).start(source="int f;")
    assert caught.value.details["requirement"] == "threads"
    assert channel.closed


_WITHOUT_DESCRIPTORS = """
import os, resource
import kernelscope
from kernelscope.tracing.agent_client import Agent
from kernelscope.errors import RequirementError
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
taken = []
try:
    while True:
        taken.append(os.open("/dev/null", os.O_RDONLY))
except OSError:
    pass
for free in (0, 1, 2):
    try:
        Agent.launch(python="/usr/bin/python3")
    except RequirementError as error:
        print(error.details["requirement"])
    os.close(taken.pop())
"""


def test_reports_a_client_without_free_descriptors() -> None:
    shown = subprocess.run(
        [sys.executable, "-c", _WITHOUT_DESCRIPTORS], capture_output=True, text=True, check=True
    )
    assert shown.stdout.splitlines() == ["file descriptors"] * 3


def test_a_recorder_that_failed_leaves_no_file_open() -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    with pytest.raises(RecordingError):
        Recorder("/dev/full", {})
    assert len(list(Path("/proc/self/fd").iterdir())) == before
