"""Checks of JSON values from outside, to be combined: `mapping(text(64), integer())`.

Each check takes a value and where it is, and raises UntrustedError.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from kernelscope.protocol.validation import NAME

Check = Callable[[Any, str], None]


class UntrustedError(ValueError):
    """Data from outside is not what it should be."""


def require(right: bool, where: str, why: str) -> None:
    """Raise UntrustedError where something is not right."""
    if not right:
        raise UntrustedError(f"{where} {why}")


def integer(low: int = 0, high: int = 1 << 62) -> Check:
    """Return a check for an integer in a range."""

    def check(value: Any, where: str) -> None:
        require(type(value) is int and low <= value <= high, where, "is not a possible number")

    return check


def number(low: float = 0, high: float = 1e18) -> Check:
    """Return a check for a finite number in a range."""

    def check(value: Any, where: str) -> None:
        right = type(value) in (int, float) and math.isfinite(value) and low <= value <= high
        require(right, where, "is not a possible number")

    return check


def text(longest: int = 4096) -> Check:
    """Return a check for text up to a length, without surrogates."""

    def check(value: Any, where: str) -> None:
        require(isinstance(value, str) and len(value) <= longest, where, "is not a short text")
        try:
            value.encode()
        except UnicodeEncodeError:
            raise UntrustedError(f"{where} is not valid Unicode") from None

    return check


def flag(value: Any, where: str) -> None:
    """Check for True or False."""
    require(isinstance(value, bool), where, "is not true or false")


def one_of(*choices: Any) -> Check:
    """Return a check for one of some values."""

    def check(value: Any, where: str) -> None:
        hashable = isinstance(value, (str, int, float, bool, type(None)))
        require(hashable and value in choices, where, "has an unknown value")

    return check


def optional(inner: Check) -> Check:
    """Return a check that None passes too."""

    def check(value: Any, where: str) -> None:
        if value is not None:
            inner(value, where)

    return check


def listing(inner: Check, most: int = 65_536) -> Check:
    """Return a check for a list."""

    def check(value: Any, where: str) -> None:
        require(isinstance(value, list) and len(value) <= most, where, "is not a short list")
        for index, item in enumerate(value):
            inner(item, f"{where}[{index}]")

    return check


def mapping(key: Check, inner: Check, most: int = 65_536) -> Check:
    """Return a check for an object with any keys."""

    def check(value: Any, where: str) -> None:
        require(isinstance(value, dict) and len(value) <= most, where, "is not a small object")
        for name, item in value.items():
            key(name, f"a key of {where}")
            inner(item, f"{where}.{name[:64]}")

    return check


def record(fields: Mapping[str, Check], needed: Sequence[str] = ()) -> Check:
    """Return a check for an object whose known keys are checked; others are allowed."""

    def check(value: Any, where: str) -> None:
        require(isinstance(value, dict), where, "is not an object")
        for name in needed:
            require(name in value, where, f"has no {name!r}")
        for name, inner in fields.items():
            if name in value:
                inner(value[name], f"{where}.{name}" if where else name)

    return check


def numeral(value: Any, where: str) -> None:
    """Check for an integer written as text, as JSON's keys are."""
    require(
        isinstance(value, str) and bool(re.fullmatch(r"-?\d{1,20}", value, re.ASCII)),
        where,
        "is not a number",
    )


def identifier(value: Any, where: str) -> None:
    """Check for a C identifier."""
    require(isinstance(value, str) and bool(NAME.match(value)), where, "is not a name")
