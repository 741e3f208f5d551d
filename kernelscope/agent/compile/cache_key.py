"""The key of the bytecode cache: everything besides the program that bytecode depends on."""

from __future__ import annotations

import hashlib
import os
import platform
import struct
from pathlib import Path

from kernelscope.agent.compile import libbcc
from kernelscope.agent.kernel import syscalls
from kernelscope.protocol.probe_folder import PACKAGE


def machine_key() -> bytes:
    """Return a digest of the kernel, bcc, the agent's code, the architecture and its CPUs."""
    parts = (kernel_id().encode(), library_stamp(), own_code(), platform.machine().encode())
    return digest(*parts, str(syscalls.possible_cpus()).encode()).encode()


def digest(*parts: bytes) -> str:
    """Return a short digest of the parts; where one ends and the next begins matters."""
    state = hashlib.sha256()
    for part in parts:
        state.update(struct.pack("<Q", len(part)) + part)
    return state.hexdigest()[:32]


def kernel_id() -> str:
    """Return a digest of the running kernel's build."""
    try:
        notes = Path("/sys/kernel/notes").read_bytes()
    except OSError:
        notes = " ".join(os.uname()).encode()
    return digest(notes, platform.release().encode())[:16]


def library_stamp() -> bytes:
    """Return path, time and size of libbcc."""
    path = libbcc.library_path()
    if path is None:
        return b"none"
    info = path.stat()
    return f"{path} {info.st_mtime_ns} {info.st_size}".encode()


def own_code() -> bytes:
    """Return names, times and sizes of every file below agent/ and protocol/."""
    stamps: list[str] = []
    folders = [PACKAGE / "agent", PACKAGE / "protocol"]
    for folder in folders:  # grows while folders are found
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_dir():
                    if entry.name != "__pycache__":
                        folders.append(Path(entry.path))
                else:
                    info = entry.stat()
                    stamps.append(f"{entry.path} {info.st_mtime_ns} {info.st_size} ")
    return "".join(sorted(stamps)).encode()
