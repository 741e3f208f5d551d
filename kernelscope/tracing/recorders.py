"""The recordings that a live run makes: for --record, and in the folder of KERNELSCOPE_RECORD.

A run that was refused (because its C does not compile, for example) is recorded too: its replay
raises the same error.
"""

from __future__ import annotations

import os
import threading
from pathlib import Path

from kernelscope.errors import RecordingError
from kernelscope.io import private_files
from kernelscope.io.recording import SUFFIX, Recorder
from kernelscope.tracing.request import Request

VARIABLE = "KERNELSCOPE_RECORD"
_numbering = threading.Lock()


def start(request: Request) -> list[Recorder]:
    """Start the recordings of a run. Raises RecordingError.

    Those of the folder are compressed and numbered in the order of the runs.
    """
    folder = os.environ.get(VARIABLE)
    numbered = _next_in(Path(folder), request) if folder else None
    header = request.to_json()
    recorders = [] if request.record is None else [Recorder(request.record, header)]
    if numbered is not None:
        recorders.append(Recorder(numbered, header, compress=True))
    return recorders


def _next_in(folder: Path, request: Request) -> Path:
    """Create and return the folder's next file."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _numbering:
            number = len(list(folder.glob(f"*{SUFFIX}"))) + 1
            path = folder / f"{number:02}-{request.name}{SUFFIX}"
            path.touch(mode=private_files.MODE, exist_ok=False)
    except OSError as error:
        raise RecordingError(
            f"cannot record in {folder}: {error.strerror}",
            hint=f"{VARIABLE} must name a folder that you may write to",
            path=str(folder),
        ) from error
    return path
