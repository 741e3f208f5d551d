"""A separate file system on an unused disk; the bytes that a process read and wrote."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest


@contextlib.contextmanager
def mounted_ext4(folder: Path) -> Iterator[Path]:
    """Mount an ext4 of 64 MiB below a folder; skip the test if that is not possible."""
    image, target = folder / "image", folder / "mounted"
    target.mkdir()
    with image.open("wb") as file:
        file.truncate(64 << 20)
    for command in (f"mkfs.ext4 -q -F {image}", f"mount -o loop {image} {target}"):
        try:
            made = subprocess.run(command.split(), capture_output=True, text=True)
        except FileNotFoundError as error:
            pytest.skip(str(error))
        if made.returncode:
            pytest.skip(f"no ext4 available: {made.stderr.strip()}")
    try:
        yield target
    finally:
        subprocess.run(["umount", target], check=True)
        image.unlink()


def disk_of(path: Path) -> str:
    """Return the name of the disk that a path is on."""
    device = path.stat().st_dev
    link = Path(f"/sys/dev/block/{os.major(device)}:{os.minor(device)}")
    return link.resolve().name


def io_of(pid: int) -> dict[str, int]:
    """Return the kernel's own counts for a process: proc_pid_io(5)."""
    lines = Path(f"/proc/{pid}/io").read_text().splitlines()
    return {name: int(number) for name, _, number in (line.partition(":") for line in lines)}
