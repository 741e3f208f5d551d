"""Values that this machine has for an option: disks, interfaces, processes, users, files."""

from __future__ import annotations

import pwd
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from kernelscope.io.formats import FORMATS
from kernelscope.probe.column_kinds import COLUMN_KINDS
from kernelscope.tracing import cgroups

_MOST = 200  # an editor's menu is no place for more
_TIMES = ("1", "5", "10", "30", "1m", "5m", "inf")
_INTERVALS = ("100ms", "500ms", "1s", "5s")


def values(flag: str, word: str, kind: str, choices: Sequence[str]) -> list[str]:
    """Return the values of an option that start with `word`; [] if they are not known.

    kind: of a probe's parameter, "" for an option that all probes have.
    """
    if choices:
        found: Iterable[str] = choices
    elif kind == "disk":
        found = disks()
    elif flag == "--interface":
        found = interfaces()
    elif kind:
        return []
    elif flag == "--type":
        return _column_kinds(word)
    elif flag in _FILES:
        return _paths(word)
    else:
        found = _BY_FLAG.get(flag, list)()
    usable = (value for value in found if value.isprintable() and " " not in value)
    return [value for value in usable if value.startswith(word)][:_MOST]


def disks() -> list[str]:
    """Return the names of disks and partitions."""
    return sorted(path.name for path in Path("/sys/class/block").glob("*"))


def interfaces() -> list[str]:
    """Return the names of network interfaces."""
    return sorted(path.name for path in Path("/sys/class/net").glob("*"))


def processes() -> list[str]:
    """Return process ids, the newest first."""
    ids = (int(path.name) for path in Path("/proc").glob("[0-9]*"))
    return [str(pid) for pid in sorted(ids, reverse=True)]


def process_names() -> list[str]:
    """Return the names of the processes that run."""
    names = set()
    for path in Path("/proc").glob("[0-9]*/comm"):
        try:
            names.add(path.read_text(encoding="utf-8", errors="replace").rstrip("\n"))
        except OSError:  # it has ended
            continue
    return sorted(names)


def users() -> list[str]:
    """Return the names of this machine's users."""
    return sorted(entry.pw_name for entry in pwd.getpwall())


def _column_kinds(word: str) -> list[str]:
    column, equals, kind = word.partition("=")
    if not equals:
        return []
    return [f"{column}={name}" for name in COLUMN_KINDS if name.startswith(kind)]


def _paths(word: str) -> list[str]:
    """Return files and folders that start with `word`, folders with a slash."""
    base = word.rpartition("/")[2]
    folder = word[: len(word) - len(base)]
    try:
        entries = sorted(Path(folder or ".").iterdir())
    except OSError:
        entries = []
    found = [f"{folder}{e.name}{'/' * e.is_dir()}" for e in entries if _typeable(e.name, base)]
    if "." in base:  # the extension picks the format of --save
        stem = folder + base.partition(".")[0]
        found += [stem + end for end in FORMATS if (stem + end).startswith(word)]
    return list(dict.fromkeys(found))[:_MOST]


def _typeable(name: str, start: str) -> bool:
    return name.startswith(start) and name.isprintable() and " " not in name


_FILES = ("--csv", "--parquet", "--json", "--arrow", "--save", "--record")
_BY_FLAG: dict[str, Callable[[], Sequence[str]]] = {
    "--pid": processes,
    "--tree": processes,
    "--comm": process_names,
    "--uid": users,
    "--cgroup": cgroups.names,
    "-d": lambda: _TIMES,
    "--duration": lambda: _TIMES,
    "--interval": lambda: _INTERVALS,
}
