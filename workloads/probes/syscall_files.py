"""Known loads for the probes of bpf/syscall that follow calls about files."""

from __future__ import annotations

import contextlib
import ctypes
import mmap
import os
import tempfile
from pathlib import Path
from typing import Any

C = ctypes.CDLL(None, use_errno=True)


def files_asked_about() -> dict[str, Any]:
    """103 stat of one file, 19 of a missing one, 1 lstat, 1 statvfs, 1 statx; 1 cut."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "there")
        path.touch()
        for _ in range(103):
            path.stat()
        for _ in range(19):
            with contextlib.suppress(FileNotFoundError):
                path.with_suffix(".missing").stat()
        os.lstat(folder)
        os.statvfs(folder)
        C.statx(-100, bytes(path), 0, 0x7FF, ctypes.create_string_buffer(256))
        with contextlib.suppress(OSError):
            Path("/" + "y" * 300).stat()
        return {"path": str(path), "folder": folder}


def files_synced() -> dict[str, Any]:
    """31 fsync and 13 fdatasync of one file, 7 msync, and 1 each of the others; 3 fsync fail."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "synced")
        with path.open("w+b") as file:
            file.write(b"x" * 4096)
            file.flush()
            fd = file.fileno()
            for _ in range(31):
                os.fsync(fd)
            for _ in range(13):
                os.fdatasync(fd)
            with mmap.mmap(fd, 4096) as pages:
                for _ in range(7):
                    pages.flush()
            C.sync_file_range(fd, ctypes.c_int64(0), ctypes.c_int64(4096), 2)
            C.syncfs(fd)
        os.sync()
        for _ in range(3):
            with contextlib.suppress(OSError):
                os.fsync(9999)
        return {"fd": fd, "name": path.name}
