"""Finds the cgroup that --cgroup names: by its path, its id, or a container's id.

Only cgroups of version 2: BPF knows no others. A machine may have them next to version 1 (then at
/sys/fs/cgroup/unified), with every process in the root.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_INITIAL_NAMESPACE = 0xEFFFFFFB  # include/linux/proc_ns.h
_MOST_NAMED = 5


@dataclass(frozen=True)
class Cgroup:
    """A cgroup: its id in the kernel, and how many levels below the root it is (0: the root)."""

    id: int
    level: int
    path: str

    def __str__(self) -> str:
        return self.path


def mount() -> Path | None:
    """Return where the cgroups of version 2 are mounted; None if they are not."""
    try:
        lines = Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    found = (line.split()[1] for line in lines if line.split()[2] == "cgroup2")
    place = next(found, None)
    return None if place is None else Path(place.encode().decode("unicode_escape"))


def find(value: Any) -> Cgroup:
    """Return the cgroup of that path, id or container. Raises ValueError."""
    if isinstance(value, Cgroup):
        return value
    root = mount()
    if root is None:
        raise ValueError("no cgroups of version 2 are mounted here")
    if Path("/proc/self/ns/cgroup").stat().st_ino != _INITIAL_NAMESPACE:
        raise ValueError("this process is in a cgroup namespace and sees only part of the cgroups")
    folder = _folder(str(value).strip(), root)
    relative = folder.relative_to(root)
    return Cgroup(folder.stat().st_ino, len(relative.parts), f"/{relative}".replace("/.", "/"))


def _folder(text: str, root: Path) -> Path:
    if not text:
        raise ValueError("not the path or id of a cgroup")
    if text.isdigit():
        return _by_id(int(text), root)
    for path in (Path(text), root / text.lstrip("/")):
        found = Path(os.path.normpath(path))
        if found.is_dir() and found.is_relative_to(root):
            return found
    if "/" in text:
        raise ValueError(f"no such cgroup below {root}")
    return _by_name(text, root)


def _by_id(number: int, root: Path) -> Path:
    for folder in folders(root):
        if folder.stat().st_ino == number:
            return folder
    raise ValueError(f"no cgroup below {root} has that id")


def _by_name(text: str, root: Path) -> Path:
    """Find a cgroup by its own name, or by a container's id in it: docker-4fa6e0....scope."""
    named = [folder for folder in sorted(folders(root)) if folder.name == text]
    if not named and len(text) >= 4:
        named = [folder for folder in sorted(folders(root)) if text in folder.name]
    if len(named) == 1:
        return named[0]
    if not named:
        raise ValueError(f"no cgroup below {root} has that name")
    shown = ", ".join(f"/{folder.relative_to(root)}" for folder in named[:_MOST_NAMED])
    raise ValueError(f"{len(named)} cgroups have that name: {shown}")


def folders(root: Path) -> Iterator[Path]:
    """Yield every cgroup's folder, the root first; those that are removed meanwhile are skipped."""
    for name, _, _ in os.walk(root):
        yield Path(name)


def names() -> list[str]:
    """Return every cgroup's path below the root, for completion."""
    root = mount()
    found = sorted(folders(root)) if root is not None else []
    return [f"/{folder.relative_to(root)}" for folder in found if root is not None][1:]
