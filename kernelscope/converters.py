"""Converts values as people write them: 5ms, 64K, 1M, a disk, a user.

Every function takes text (from a command line) and numbers (from Python) alike, and raises
ValueError with a reason.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

from kernelscope.units import NANOSECONDS

_SECONDS = {
    **{unit: size / 1e9 for unit, size in NANOSECONDS.items()},
    "µs": 1e-6,
    "": 1.0,
    "m": 60.0,
    "min": 60.0,
    "h": 3600.0,
    "d": 86400.0,
}
_DECIMAL = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9}
_BINARY = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}
_NUMBER = re.compile(r"([0-9][0-9_]*(?:\.[0-9]+)?|\.[0-9]+)\s*([a-zA-Zµ]*)\Z")
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z_0-9]*\Z")


def _split(value: Any) -> tuple[float, str]:
    match = _NUMBER.match(str(value).strip())
    if not match:
        raise ValueError("not a number with a unit")
    number = float(match[1].replace("_", ""))
    if not math.isfinite(number):
        raise ValueError("not a finite number")
    return number, match[2]


def duration(value: Any) -> float:
    """Return seconds: 5, 0.5, "500ms", "2m", "1h", a timedelta; "inf" means until stopped."""
    if isinstance(value, timedelta):
        return value.total_seconds()
    if str(value).strip().lower() in ("inf", "infinity"):
        return math.inf
    try:
        number, unit = _split(value)
        return number * _SECONDS[unit]
    except (KeyError, ValueError):
        raise ValueError("not a duration such as 5, 500ms, 2m or 1h") from None


def run_time(value: Any) -> float:
    """Return a run's length in seconds, above 0 and at most 7 days, or inf."""
    seconds = duration(value)
    if seconds <= 0:
        raise ValueError("must be more than 0")
    if seconds != math.inf and seconds > 7 * 86400:
        raise ValueError("longer than 7 days")
    return seconds


def read_interval(value: Any) -> float:
    """Return the seconds between two readings of the maps, at least 10 ms."""
    seconds = duration(value)
    if not 0.01 <= seconds <= 86400:
        raise ValueError("must be from 10ms to 1d")
    return seconds


def size(value: Any) -> int:
    """Return bytes: 65536, "64K", "16M", "1GiB"; K is 1,024."""
    try:
        number, unit = _split(value)
        return int(number * _BINARY[re.sub(r"i?b\Z", "", unit.lower())])
    except (KeyError, ValueError):
        raise ValueError("not a size such as 65536, 64K or 16M") from None


def ring_size(value: Any) -> int:
    """Return a ring buffer's size: bytes, rounded up to a power of two."""
    wanted = size(value)
    if not 4096 <= wanted <= 1 << 30:
        raise ValueError("must be from 4K to 1G")
    return 1 << (wanted - 1).bit_length()


def count(value: Any) -> int:
    """Return a whole number: 1000000, "1_000_000", "1M"; M is 1,000,000."""
    try:
        number, unit = _split(value)
        whole = number * _DECIMAL[unit.lower()]
    except (KeyError, ValueError):
        raise ValueError("not a whole number such as 1000, 10k or 1M") from None
    if whole != int(whole):
        raise ValueError("not a whole number")
    return int(whole)


def row_limit(value: Any) -> int:
    """Return how many rows to keep at most, 1 or more."""
    rows = count(value)
    if rows < 1:
        raise ValueError("must be at least 1")
    return rows


def map_entries(value: Any) -> int:
    """Return a map's capacity, 1 to 64 Mi entries."""
    entries = count(value)
    if not 1 <= entries <= 64 << 20:
        raise ValueError("must be from 1 to 67,108,864")
    return entries


def integer(value: Any) -> int:
    """Return an integer, also from "0x1f" or "1_000"."""
    if isinstance(value, bool):
        raise ValueError("not an integer")
    if isinstance(value, int):
        return value
    try:
        return int(str(value).strip(), 0)
    except ValueError:
        raise ValueError("not an integer") from None


def number(value: Any) -> float:
    """Return a finite float."""
    try:
        result = float(value)
    except (TypeError, ValueError):
        raise ValueError("not a number") from None
    if not math.isfinite(result):
        raise ValueError("not a finite number")
    return result


def flag(value: Any) -> bool:
    """Return a bool; text and numbers are rejected, because "no" would be true."""
    if not isinstance(value, bool):
        raise ValueError("must be True or False")
    return value


def process_id(value: Any) -> int:
    """Return a process id of 1 or more."""
    pid = integer(value)
    if not 1 <= pid < 1 << 31:
        raise ValueError("not a process id")
    return pid


def comm(value: Any) -> str:
    """Return a process's name in the kernel, 1 to 15 bytes."""
    text = str(value)
    if not text or "\0" in text:
        raise ValueError("not a process's name")
    if len(text.encode()) > 15:
        raise ValueError("longer than 15 bytes; the kernel keeps no more of a name")
    return text


def user_id(value: Any) -> int:
    """Return a user's number, given that or the name."""
    if isinstance(value, int) or str(value).strip().isdigit():
        uid = integer(value)
    else:
        try:
            import pwd  # Unix only; recordings can be read elsewhere too

            uid = pwd.getpwnam(str(value)).pw_uid
        except (KeyError, ImportError):
            raise ValueError("no such user") from None
    if not 0 <= uid < (1 << 32) - 1:
        raise ValueError("not a user id")
    return uid


def disk(value: Any, block: Path = Path("/sys/class/block")) -> int:
    """Return a disk's device number as the kernel holds it (major << 20 | minor)."""
    name = str(value).removeprefix("/dev/").replace("/", "!")
    names = sorted(entry.name for entry in block.iterdir()) if block.is_dir() else []
    if name not in names:
        known = ", ".join(names) or "none"
        raise ValueError(f"no such disk on this machine (the disks are: {known})")
    major, minor = (block / name / "dev").read_text().split(":")
    return int(major) << 20 | int(minor)


def identifier(value: Any) -> str:
    """Return a name that Python can bind."""
    import keyword

    text = str(value)
    if not text.isidentifier() or keyword.iskeyword(text):
        raise ValueError("not a Python name")
    return text


def text(value: Any) -> str:
    """Return non-empty text."""
    if not isinstance(value, str) or not value.strip():
        raise ValueError("must be text, and not empty")
    return value


def output_path(value: Any) -> Path | None:
    """Return a file's path; its folder must be there. "-" (None) is standard output."""
    if str(value) == "-":
        return None
    try:
        path = Path(value).expanduser()
    except RuntimeError:  # "~name" of a user that does not exist
        raise ValueError("names the home directory of an unknown user") from None
    if "\0" in str(path):
        raise ValueError("is not a path: it has a NUL byte")
    if path.is_dir():
        raise ValueError("is a folder, not a file")
    if not path.parent.is_dir():
        raise ValueError(f"the folder {path.parent} does not exist")
    return path


def file_path(value: Any) -> Path:
    """Return the path of a file to write; its folder must be there."""
    path = output_path(value)
    if path is None:
        raise ValueError("must be a file")
    return path


def pairs(value: Any) -> list[tuple[str, str]]:
    """Return (left, right) of each LEFT=RIGHT, or of a mapping's items; split at the last "="."""
    if isinstance(value, Mapping):
        return [(str(left), str(right)) for left, right in value.items()]
    items = [value] if isinstance(value, str) else list(value)
    result = []
    for item in items:
        left, equals, right = str(item).rpartition("=")
        if not equals or not left.strip() or not right.strip():
            raise ValueError(f"{item!r} is not of the form LEFT=RIGHT")
        result.append((left.strip(), right.strip()))
    return result


def attachments(value: Any) -> list[tuple[str, str]]:
    """Return (hook, function) of each SPEC=FUNCTION."""
    result = pairs(value)
    for _, function in result:
        if not _IDENTIFIER.match(function):
            raise ValueError(f"{function!r} is not the name of a C function")
    return result


def macros(value: Any) -> dict[str, str]:
    """Return preprocessor macros of each NAME=VALUE, or NAME alone (which is 1)."""
    if isinstance(value, Mapping):
        found = {str(name): str(text) for name, text in value.items()}
    else:
        items = [value] if isinstance(value, str) else list(value)
        split = [str(item).partition("=") for item in items]
        found = {name.strip(): text if equals else "1" for name, equals, text in split}
    for name, body in found.items():
        if not _IDENTIFIER.match(name):
            raise ValueError(f"{name!r} is not the name of a macro")
        if not re.match(r"[\x20-\x7e]{0,256}\Z", body):
            raise ValueError(f"the value of {name} is not one line of plain text")
    return found
