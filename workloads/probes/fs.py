"""Known loads for the probes of bpf/fs."""

from __future__ import annotations

import contextlib
import ctypes
import os
import tempfile
from pathlib import Path
from typing import Any


def files_opened() -> dict[str, Any]:
    """101 opens of one file, 23 of one that does not exist, and one by each older call."""
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder, "x" * 200))
        Path(path).touch()
        descriptors = [os.open(path, os.O_RDWR) for _ in range(101)]
        for fd in descriptors:
            os.close(fd)
        for _ in range(23):
            with contextlib.suppress(FileNotFoundError):
                os.open(path + ".missing", os.O_WRONLY | os.O_APPEND)
        return {"path": path, "fds": descriptors, "others": _opened_otherwise(folder)}


def _opened_otherwise(folder: str) -> list[str]:
    call = ctypes.CDLL(None).syscall
    paths = [f"{folder}/{name}" for name in ("open", "creat", "openat2")]
    if os.uname().machine != "x86_64":
        return []
    how = (ctypes.c_uint64 * 3)(os.O_CREAT | os.O_WRONLY, 0o600, 0)
    opened = [
        call(2, paths[0].encode(), os.O_CREAT | os.O_WRONLY, 0o600),
        call(85, paths[1].encode(), 0o600),
        call(437, -100, paths[2].encode(), how, 24),
    ]
    for fd in opened:
        os.close(fd)
    return paths
