"""Units: their scales, which one a column's name ends in, and numbers as people read them."""

from __future__ import annotations

import math
from collections.abc import Callable

NANOSECONDS = {"ns": 1, "us": 1_000, "ms": 1_000_000, "s": 1_000_000_000}
UNITS = (*NANOSECONDS, "bytes")
LONG_NAMES = {
    "ns": "nanoseconds",
    "us": "microseconds",
    "ms": "milliseconds",
    "s": "seconds",
    "bytes": "bytes",
}


def unit_of(name: str) -> str:
    """Return the unit that a column's name ends in: "us" of "latency_us"; "" for none."""
    unit = name.rpartition("_")[2]
    return unit if unit in UNITS else ""


def seconds(number: float, unit: str) -> float:
    """Return a number of "ns", "us", "ms" or "s" in seconds."""
    return number * (NANOSECONDS[unit] / 1e9)


def duration_text(seconds: float) -> str:
    """Return a time in the unit that suits it: "1.5 ms", "20 µs"."""
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6), ("ns", 1e-9)):
        if abs(seconds) >= size * 0.9995:
            return f"{_short(seconds / size)} {unit}"
    return "0" if seconds == 0 else f"{_short(seconds * 1e9)} ns"


def bytes_text(size: float) -> str:
    """Return a size in binary units: "4 KiB", "1.5 MiB"."""
    value = abs(size)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 1023.5:
            return f"{_short(math.copysign(value, size))} {unit}"
        value /= 1024
    return f"{_short(math.copysign(value, size))} TiB"


def count_text(number: float) -> str:
    """Return a count: "950", "12,400", "1.2 M"."""
    if abs(number) < 1e5:
        return f"{number:,.0f}" if number == int(number) else f"{number:,.3g}"
    for unit, size in (("G", 1e9), ("M", 1e6)):
        if abs(number) >= size:
            return f"{_short(number / size)} {unit}"
    return f"{_short(number / 1e3)} k"


def _short(value: float) -> str:
    return f"{value:.3g}" if abs(value) < 999.5 else f"{value:,.0f}"


def text_in(unit: str) -> Callable[[float], str]:
    """Return the function that writes numbers of a unit: "ns", "us", "ms", "s", "bytes" or ""."""
    if unit in NANOSECONDS:
        return lambda value: duration_text(seconds(value, unit))
    return bytes_text if unit == "bytes" else count_text


def range_text(low: float, high: float, unit: str) -> str:
    """Return bounds, with their unit once where it is the same: "2.05\N{EN DASH}2.3 µs"."""
    write = text_in(unit)
    if not math.isfinite(high):
        return f"above {write(low)}"
    first, last = write(low), write(high)
    number, _, unit_text = first.rpartition(" ")
    same = number and unit_text == last.rpartition(" ")[2]
    return f"{number if same else first}\N{EN DASH}{last}"


def label_of(name: str, unit: str) -> str:
    """Return a column's name for an axis, without the unit that its ticks show."""
    return name.removesuffix(f"_{unit}").replace("_", " ")
