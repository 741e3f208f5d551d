"""Replays a recording through the decoding that a live run uses.

Where the environment variable KERNELSCOPE_REPLAY names a folder of recordings (*.ksr), they stand
in for live runs: a probe's by its name, a cell's by its C text, the second run of either by its
second recording where there is one. That is how `script/demo` runs the same notebook on a machine
that refuses BPF. KERNELSCOPE_RECORD names a folder to which every live run adds such a recording. A
run that was refused (C that does not compile, say) is recorded too: its replay raises the same.
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
from kernelscope.io import recording
from kernelscope.protocol.frames import Frame
from kernelscope.tracing.request import Request

FOLDER_VARIABLE = "KERNELSCOPE_REPLAY"
RECORD_VARIABLE = "KERNELSCOPE_RECORD"
_SUFFIX = ".ksr"
_shown: Counter[tuple[Path, str]] = Counter()  # how often each subject was asked for
_numbering = threading.Lock()


class Replay:
    """A recording in the place of an agent's Channel. Raises RecordingError."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.request = Request.from_json(recording.read_header(path), path)

    def frames(self) -> Iterator[Frame]:
        """Yield the frames up to the recording's whole end.

        Raises what the kernel or the compiler said then, where the run was refused.
        """
        for frame in recording.replay(self.path):
            if frame.type == "error":
                raise _refusal(frame)
            yield frame

    def start(self) -> None:
        """Do nothing: it has begun."""

    def until(self, at_ns: int) -> None:
        """Do nothing: it is over already."""

    def stop(self) -> None:
        """Do nothing: it is over already."""

    def snapshot(self) -> None:
        """Do nothing: what was not read then cannot be read now."""

    def close(self) -> None:
        """Do nothing: the file is closed when its frames end."""


def _refusal(frame: Frame) -> KernelScopeError:
    """Return a recorded error, with details["recorded"] to tell it from one of this machine."""
    told = frame.header.get("error")
    error = from_json(told if isinstance(told, dict) else {})
    error.details["recorded"] = True
    return error


class PacedReplay(Replay):
    """A recording that goes on as it did then, or `speed` times as fast. Raises RecordingError."""

    def __init__(self, path: Path, speed: float = 1) -> None:
        super().__init__(path)
        self.speed = speed
        self._over = threading.Event()
        self._wall_ns = 0  # what is added to the monotonic clock of then for that of the wall
        self._first_ns = self._last_ns = 0
        self._begun = time.monotonic()

    def frames(self) -> Iterator[Frame]:
        """Yield each frame when its time has come; when stopped, what tells of the whole."""
        for frame in super().frames():
            if frame.type == "attached":
                clock = frame.header["clock"]
                self._first_ns = self._last_ns = int(clock["monotonic_ns"])
                self._wall_ns = int(clock["realtime_ns"]) - self._first_ns
                self._begun = time.monotonic()
            at_ns = int(frame.header.get("at_ns", 0))
            if at_ns > self._first_ns:
                due = self._begun + (at_ns - self._first_ns) / 1e9 / self.speed
                self._over.wait(max(0.0, due - time.monotonic()))
            if not self._over.is_set():
                self._last_ns = max(self._last_ns, at_ns)
            if not (self._over.is_set() and frame.type in ("batch", "map")):
                yield frame
        self._over.set()

    def now_ns(self) -> int:
        """Return the wall's time of then."""
        if self._over.is_set():
            return self._wall_ns + self._last_ns
        gone_ns = int((time.monotonic() - self._begun) * 1e9 * self.speed)
        return self._wall_ns + self._first_ns + gone_ns

    def stop(self) -> None:
        """End it with what has been shown."""
        self._over.set()

    def close(self) -> None:
        """End it."""
        self._over.set()


def folder() -> Path | None:
    """Return the folder whose recordings stand in for live runs; None where runs are live."""
    name = os.environ.get(FOLDER_VARIABLE)
    return Path(name) if name else None


def replaying() -> bool:
    """Tell whether recordings stand in for live runs (KERNELSCOPE_REPLAY is set).

    For notebooks whose load needs privilege that a replay has not.
    """
    return folder() is not None


def recorders(asked: Request) -> list[recording.Recorder]:
    """Start the recordings of a live run: the one it asks for, and KERNELSCOPE_RECORD's.

    Those of the folder are packed and numbered in the order of the runs. Raises RecordingError.
    """
    name = os.environ.get(RECORD_VARIABLE)
    kept = _next_in(Path(name), asked) if name else None
    header = asked.to_json()
    made = [] if asked.record is None else [recording.Recorder(asked.record, header)]
    if kept is not None:
        made.append(recording.Recorder(kept, header, compress=True))
    return made


def _next_in(place: Path, asked: Request) -> Path:
    """Create and return the folder's next file."""
    try:
        place.mkdir(parents=True, exist_ok=True)
        with _numbering:
            path = place / f"{len(list(place.glob(f'*{_SUFFIX}'))) + 1:02}-{asked.name}{_SUFFIX}"
            path.touch(exist_ok=False)
    except OSError as error:
        raise RecordingError(
            f"cannot record in {place}: {error.strerror}",
            hint=f"{RECORD_VARIABLE} must name a folder that you may write to",
            path=str(place),
        ) from error
    return path


def stand_in(asked: Request) -> Replay | None:
    """Return the recording to show in a run's place; None where runs are live.

    A run that was to be recorded leaves its stand-in's file under that name. Raises RecordingError
    where the folder has none of that probe or C text.
    """
    place = folder()
    if place is None:
        return None
    found = [
        replay
        for replay in map(Replay, sorted(place.glob(f"*{_SUFFIX}")))
        if _subject(replay.request) == _subject(asked)
    ]
    if not found:
        what = f"the probe {asked.probe}" if asked.probe else "this C text"
        raise RecordingError(
            f"{place} has no recording of {what}",
            hint=f"without {FOLDER_VARIABLE} in the environment, the kernel is asked",
            path=str(place),
        )
    with _numbering:
        number = _shown[place, _subject(asked)]
        _shown[place, _subject(asked)] += 1
    chosen = found[min(number, len(found) - 1)]
    if asked.record is not None:
        shutil.copyfile(chosen.path, asked.record)
    return chosen


def _subject(request: Request) -> str:
    return request.probe or request.program.source.strip()
