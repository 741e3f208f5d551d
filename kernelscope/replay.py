"""Replays a recording through the decoding that a live run uses.

Where the environment variable KERNELSCOPE_REPLAY names a folder of recordings (*.ksr), they stand
in for live runs: a probe's by its name, a cell's by its C text. That is how `script/demo` runs the
same notebook on a machine that refuses BPF.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from kernelscope import recording
from kernelscope.agent.protocol import Frame
from kernelscope.errors import RecordingError
from kernelscope.request import Request

FOLDER_VARIABLE = "KERNELSCOPE_REPLAY"


class Replay:
    """A recording in the place of an agent's Channel. Raises RecordingError."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.request = Request.from_json(recording.read_header(path), path)

    def frames(self) -> Iterator[Frame]:
        """Yield the frames up to the recording's whole end."""
        return recording.replay(self.path)

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


def stand_in(asked: Request) -> Replay | None:
    """Return the recording to show in a run's place; None where runs are live.

    Raises RecordingError where the folder has none of that probe or C text.
    """
    place = folder()
    if place is None:
        return None
    for path in sorted(place.glob("*.ksr")):
        replay = Replay(path)
        if _subject(replay.request) == _subject(asked):
            return replay
    what = f"the probe {asked.probe}" if asked.probe else "this C text"
    raise RecordingError(
        f"{place} has no recording of {what}",
        hint=f"without {FOLDER_VARIABLE} in the environment, the kernel is asked",
        path=str(place),
    )


def _subject(request: Request) -> str:
    return request.probe or request.program.source.strip()
