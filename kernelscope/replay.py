"""Replays a recording through the decoding that a live run uses."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from kernelscope import recording
from kernelscope.agent.protocol import Frame
from kernelscope.request import Request


class Replay:
    """A recording in the place of an agent's Channel. Raises RecordingError."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.request = Request.from_json(recording.read_header(path), path)

    def frames(self) -> Iterator[Frame]:
        """Yield the frames up to the recording's whole end."""
        return recording.replay(self.path)

    def stop(self) -> None:
        """Do nothing: it is over already."""

    def snapshot(self) -> None:
        """Do nothing: what was not read then cannot be read now."""

    def close(self) -> None:
        """Do nothing: the file is closed when its frames end."""
