"""Known loads for the probes of bpf/fs that look at names: mounts, files made and deleted."""

from __future__ import annotations

import ctypes
import os
import time
from pathlib import Path
from typing import Any

LIBC = ctypes.CDLL(None, use_errno=True)
NEW_NAMESPACE, PRIVATE = 0x20000, 0x44000
BIND, READ_ONLY_REMOUNT = 0x1000, 0x21
DETACH = 2
AGE = 0.005


def _mount(source: str, target: str, kind: str = "", flags: int = 0) -> int:
    texts = (source.encode(), target.encode(), kind.encode() or None)
    return int(LIBC.mount(*texts, ctypes.c_ulong(flags), None))


def mounts_made(folder: str) -> dict[str, Any]:
    """13 mounts and unmounts of tmpfs, a bind mount, a remount, 5 mounts that fail."""
    LIBC.unshare(NEW_NAMESPACE)
    results = [_mount("none", "/", flags=PRIVATE)]
    targets = [f"{folder}/{number}" for number in range(13)]
    for target in targets:
        Path(target).mkdir()
        results.append(_mount("ks-tmpfs", target, "tmpfs"))
    results.append(_mount(targets[0], targets[1], flags=BIND))
    results.append(_mount("ks-tmpfs", targets[2], flags=READ_ONLY_REMOUNT))
    results.append(LIBC.umount2(targets[1].encode(), DETACH))
    failed = [_mount("/nonexistent", f"{folder}/{number}", "ext4") for number in range(5)]
    results += [LIBC.umount2(target.encode(), DETACH) for target in targets]
    return {"results": results, "failed": failed, "targets": targets}


def files_made_and_deleted(folder: str) -> dict[str, Any]:
    """53 files made and deleted, 7 of one name, 11 deleted by a child; 17 that were there or stay.

    Those 17 are 10 that are left and 7 that were there before.
    """
    old = [Path(folder, f"ks-old-{number}") for number in range(7)]
    made = [Path(folder, f"ks-made-{number}") for number in range(53)]
    for path in made:
        path.touch()
        time.sleep(AGE / 10)
        path.unlink()
    folders = [Path(folder, f"in-{number}") for number in range(7)]
    for place in folders:
        place.mkdir()
        Path(place, "ks-namesake").touch()
        Path(place, "ks-namesake").unlink()
    for number in range(10):
        Path(folder, f"ks-left-{number}").touch()
    child = _deleted_by_child(folder)
    for path in old:
        path.unlink(missing_ok=True)
    return {"made": [path.name for path in made], "child": child}


def files_lose_their_names(folder: str) -> dict[str, Any]:
    """53 files deleted, 11 folders deleted, 19 files renamed; 3 deletions fail."""
    old, folders, named = (
        [Path(f"{kind}-{number}") for number in range(count)]
        for kind, count in (("old", 53), ("folder", 11), ("name", 19))
    )
    before = Path.cwd()
    os.chdir(folder)
    try:
        for path in (*old, *named):
            path.touch()
        for path in folders:
            path.mkdir()
        for path in old:
            path.unlink()
        for path in folders:
            path.rmdir()
        for number, path in enumerate(named):
            path.rename(f"{folder}/moved-{number}")
        for number in range(3):
            Path(f"missing-{number}").unlink(missing_ok=True)
    finally:
        os.chdir(before)
    return {}


def _deleted_by_child(folder: str) -> int:
    paths = [Path(folder, f"ks-heir-{number}") for number in range(11)]
    for path in paths:
        path.touch()
    time.sleep(AGE)
    child = os.fork()
    if child == 0:
        for path in paths:
            path.unlink()
        os._exit(0)
    os.waitpid(child, 0)
    return child
