"""Replays recordings through the decoding that a live run uses.

Where the environment variable KERNELSCOPE_REPLAY names a folder of recordings (*.ksr) when a
session is created, they replace that session's live runs: a probe's recording is found by the
probe's name, a cell's by its C text; the second run of either gets its second recording where there
is one. So `script/demo` runs the same notebook on a machine that does not allow BPF.
"""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from kernelscope.errors import KernelScopeError, RecordingError, from_json
from kernelscope.io import private_files, recording
from kernelscope.protocol.frames import Frame
from kernelscope.tracing.request import Request
from kernelscope.tracing.run import Run

VARIABLE = "KERNELSCOPE_REPLAY"


class Replay:
    """A recording, read as an agent's Channel is. Raises RecordingError."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.request = Request.from_json(recording.read_header(path), path)

    def frames(self) -> Iterator[Frame]:
        """Yield the frames up to where the recording is whole.

        Raises the error of the kernel or the compiler where the run was refused.
        """
        from kernelscope.tables.untrusted import FrameChecker  # brings numpy

        for frame in recording.replay(self.path, FrameChecker().check):
            if frame.type == "error":
                raise _refusal(frame)
            yield frame

    def start(self) -> None:
        """Do nothing: it has started."""

    def until(self, at_ns: int) -> None:
        """Do nothing: it has ended."""

    def stop(self) -> None:
        """Do nothing: it has ended."""

    def snapshot(self) -> None:
        """Do nothing: the maps cannot be read again."""

    def close(self) -> None:
        """Do nothing: the file is closed after its last frame."""


def _refusal(frame: Frame) -> KernelScopeError:
    """Return a recorded error; details["recorded"] marks it as not of this machine."""
    stated = frame.header.get("error")
    error = from_json(stated if isinstance(stated, dict) else {})
    error.details["recorded"] = True
    return error


class PacedReplay(Replay):
    """A recording that plays at its own pace, or `speed` times as fast. Raises RecordingError."""

    def __init__(self, path: Path, speed: float = 1) -> None:
        super().__init__(path)
        self.speed = speed
        self._ended = threading.Event()
        self._wall_ns = 0  # added to the recorded monotonic clock, it gives the wall clock
        self._first_ns = self._last_ns = 0
        self._started_at = time.monotonic()

    def frames(self) -> Iterator[Frame]:
        """Yield each frame at its time; after `stop`, only the summary at the end."""
        for frame in super().frames():
            if frame.type == "attached":
                clock = frame.header["clock"]
                self._first_ns = self._last_ns = int(clock["monotonic_ns"])
                self._wall_ns = int(clock["realtime_ns"]) - self._first_ns
                self._started_at = time.monotonic()
            at_ns = int(frame.header.get("at_ns", 0))
            if at_ns > self._first_ns:
                due = self._started_at + (at_ns - self._first_ns) / 1e9 / self.speed
                self._ended.wait(max(0.0, due - time.monotonic()))
            if not self._ended.is_set():
                self._last_ns = max(self._last_ns, at_ns)
            if not (self._ended.is_set() and frame.type in ("batch", "map")):
                yield frame
        self._ended.set()

    def now_ns(self) -> int:
        """Return the wall clock of the moment that is being replayed."""
        if self._ended.is_set():
            return self._wall_ns + self._last_ns
        passed_ns = int((time.monotonic() - self._started_at) * 1e9 * self.speed)
        return self._wall_ns + self._first_ns + passed_ns

    def stop(self) -> None:
        """End it with what was replayed so far."""
        self._ended.set()

    def close(self) -> None:
        """End it."""
        self._ended.set()


def folder() -> Path | None:
    """Return the folder whose recordings replace live runs; None where runs are live."""
    name = os.environ.get(VARIABLE)
    return Path(name) if name else None


def replaying() -> bool:
    """Return whether recordings replace live runs (KERNELSCOPE_REPLAY is set).

    For notebooks whose load needs privilege that a replay does not have.
    """
    return folder() is not None


class RecordedSource:
    """The recordings of a folder instead of live runs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._replayed: Counter[str] = Counter()  # how often each subject was asked for
        self._lock = threading.Lock()

    def begin(self, request: Request) -> Run:
        """Return a run that replays. Raises RecordingError where no recording fits."""
        replay = self.find(request)
        return Run(replay, replay.request, recorded=True)

    def find(self, request: Request) -> Replay:
        """Return the recording of a request's probe or C, the next one each time.

        A run with --record leaves a copy of the recording in that file. Raises RecordingError.
        """
        found = [
            replay
            for replay in map(Replay, sorted(self.folder.glob(f"*{recording.SUFFIX}")))
            if _subject(replay.request) == _subject(request)
        ]
        if not found:
            what = f"the probe {request.probe}" if request.probe else "this C text"
            raise RecordingError(
                f"{self.folder} has no recording of {what}",
                hint=f"unset {VARIABLE} to trace this machine",
                path=str(self.folder),
            )
        with self._lock:
            number = self._replayed[_subject(request)]
            self._replayed[_subject(request)] += 1
        chosen = found[min(number, len(found) - 1)]
        if request.record is not None:
            _copy(chosen.path, request.record)
        return chosen


def _subject(request: Request) -> str:
    return request.probe or request.program.source.strip()


def _copy(source: Path, target: Path) -> None:
    try:
        with source.open("rb") as old, private_files.create(target) as new:
            shutil.copyfileobj(old, new)
    except OSError as error:
        raise RecordingError(
            f"cannot write the recording {target}: {error.strerror}",
            hint="choose a directory with room that you may write to",
            path=str(target),
        ) from error
