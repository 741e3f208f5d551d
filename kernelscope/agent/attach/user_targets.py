"""Find the program or library that a user probe names: "c", "/usr/bin/python3", "pid:42"."""

from __future__ import annotations

import os
import platform
import re
import struct
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from kernelscope.errors import TargetError, did_you_mean

_LD_CACHE = "/etc/ld.so.cache"
_CACHE_MAGIC = b"glibc-ld.so.cache1.1"  # struct cache_file_new, glibc's dl-cache.h
_CACHE_FLAGS = {"x86_64": 0x0303, "aarch64": 0x0A03}
_MAX_CACHE = 64 << 20
_LIBRARY_DIRS = ("/lib64", "/usr/lib64", "/lib", "/usr/lib", "/usr/local/lib")
_PROGRAM_DIRS = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")
_SONAME = re.compile(r"lib([\w+-]+)(?:\.so(?:\.\d+)*)?\Z")
_SHORT = re.compile(r"[\w.+-]+\Z")


def paths(target: str, pid: int | None = None, *, only_mapped: bool = False) -> list[str]:
    """Return the files that `target` may mean, likeliest first; pid is the process looked into.

    For "pid:N" they are its program and every library that it has mapped. Files of a process are
    named through /proc/PID/root, because it may see other mounts; only_mapped: by the mapping
    itself, and no other files of it. Raises TargetError.
    """
    if target.startswith("pid:"):
        if not re.match(r"\d{1,10}\Z", target[4:], re.ASCII):
            raise TargetError(f"{target!r} does not name a process: write pid:42", target=target)
        return [path for path, _ in _mapped(int(target[4:]), only_mapped)]
    if target.startswith("/"):
        if pid is None:
            return [target]
        if only_mapped:
            return [path for path, name in _mapped(pid, only_mapped) if name == target] or [target]
        _alive(pid)
        return [_inside(pid, target)]
    if not _SHORT.match(target):
        raise TargetError(
            f"{target!r} is neither a library's name nor an absolute path", target=target
        )
    mapped = [] if pid is None else _mapped(pid, only_mapped)
    for name in _short_names(target):
        found = [path for path, called in mapped if _is_called(called, name)]
        found = found or [*_libraries(name), *_programs(name)]
        if found:
            break
    if not found:
        raise _missing(target, pid)
    return found


def _short_names(target: str) -> Iterator[str]:
    """Yield a library's name as given, and as a short name: "libc.so.6" and "libc" mean "c"."""
    yield target
    long = _SONAME.match(target)
    if long:
        yield long[1]


def mapped_files(pid: int, *, only_mapped: bool = False) -> list[tuple[str, str]]:
    """Return a process's program and libraries: (path to open, name as the process knows it)."""
    return _mapped(pid, only_mapped)


def process_of(target: str, pid: int | None) -> int | None:
    """Return the process that a target limits its probe to, None for every process."""
    return int(target[4:]) if target.startswith("pid:") else pid


def _alive(pid: int) -> None:
    if not os.path.exists(f"/proc/{pid}"):  # noqa: PTH110 - a hot path needs no Path
        raise TargetError(
            f"there is no process {pid}", hint="It may have ended.", target=f"pid:{pid}"
        )


def _inside(pid: int, path: str) -> str:
    return f"/proc/{pid}/root{os.path.normpath(path)}"


def _mapped(pid: int, only_mapped: bool) -> list[tuple[str, str]]:
    """Return a process's program and mapped files: (path to open, name as the process knows it)."""
    _alive(pid)
    try:
        text = Path(f"/proc/{pid}/maps").read_text(errors="surrogateescape")
    except OSError as error:
        raise TargetError(
            f"process {pid} cannot be read: {error.strerror}", target=f"pid:{pid}"
        ) from None
    exe = f"/proc/{pid}/exe"
    files = {exe: exe}
    with suppress(OSError):
        files[exe] = os.readlink(exe)  # noqa: PTH115 - a hot path needs no Path
    for line in text.splitlines():
        fields = line.split(None, 5)
        if len(fields) == 6 and "x" in fields[1] and fields[5].startswith("/"):
            path = _inside(pid, fields[5])
            if only_mapped or not os.path.exists(path):  # noqa: PTH110 - a hot path needs no Path
                path = f"/proc/{pid}/map_files/{fields[0]}"
            if not fields[5].endswith(" (deleted)"):
                files.setdefault(path, fields[5])
    return list(files.items())


def _is_called(path: str, name: str) -> bool:
    """Whether a file is the library or program `name`: libNAME.so.6, libNAME-2.31.so, NAME."""
    base = path.rpartition("/")[2]
    return base == name or bool(re.match(rf"lib{re.escape(name)}(-[\d.]+)?\.so(\.|\Z)", base))


def _libraries(name: str) -> Iterator[str]:
    wanted = re.compile(rf"lib{re.escape(name)}\.so(\.[\w.]+)?\Z")
    yield from (path for soname, path in _cached_libraries() if wanted.match(soname))
    directories = [Path(d) for d in (*_LIBRARY_DIRS, f"/usr/lib/{platform.machine()}-linux-gnu")]
    for directory in directories:
        with suppress(OSError):
            yield from (str(p) for p in sorted(directory.glob(f"lib{name}.so*")) if p.is_file())


def _programs(name: str) -> Iterator[str]:
    for directory in _PROGRAM_DIRS:
        path = Path(directory) / name
        if path.is_file():
            yield str(path)


def _cached_libraries() -> list[tuple[str, str]]:
    """Return (soname, path) of this machine's libraries from the loader's cache, [] without it."""
    try:
        with Path(_LD_CACHE).open("rb") as file:
            data = file.read(_MAX_CACHE)
    except OSError:
        return []
    start = data.find(_CACHE_MAGIC)
    if start < 0 or len(data) < start + 48:
        return []
    data = data[start:]
    count = min(struct.unpack_from("<I", data, 20)[0], (len(data) - 48) // 24)
    found = []
    for flags, key, value, *_ in struct.iter_unpack("<iIIIQ", data[48 : 48 + count * 24]):
        if flags == _CACHE_FLAGS.get(platform.machine()):
            found.append((_string(data, key), _string(data, value)))
    return found


def _string(data: bytes, place: int) -> str:
    return data[place : max(place, data.find(b"\0", place))].decode(errors="replace")


def _missing(target: str, pid: int | None) -> TargetError:
    known = {re.sub(r"^lib|\.so.*$", "", soname) for soname, _ in _cached_libraries()}
    matches = did_you_mean(target, sorted(known))
    where = f"process {pid} or this machine" if pid else "this machine"
    hint = f"Did you mean {' or '.join(matches)}? " if matches else ""
    return TargetError(
        f"{where} has no library or program called {target!r}",
        hint=f"{hint}Give the file's absolute path.",
        target=target,
        matches=matches,
    )
