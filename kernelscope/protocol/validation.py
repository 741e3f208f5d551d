"""Checks of values from the other process, one field at a time.

Each raises AgentRefusedError, naming the field.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from kernelscope.errors import AgentRefusedError

NAME = re.compile(r"[A-Za-z_]\w{0,127}\Z", re.ASCII)


def refuse(field_name: str, why: str) -> AgentRefusedError:
    """Return the error for a field with a wrong value."""
    return AgentRefusedError(f"the agent refused {field_name}: {why}", field=field_name)


def known(data: Any, cls: type, where: str) -> dict[str, Any]:
    """Return an object after checking that its keys are fields of a dataclass."""
    if not isinstance(data, dict):
        raise refuse(where, "not a JSON object")
    unknown = sorted(set(data) - set(cls.__dataclass_fields__))  # type: ignore[attr-defined]
    if unknown:
        raise refuse(f"{where}.{unknown[0]}", "no such field")
    return data


def integer(value: Any, where: str, low: int, high: int) -> int:
    """Return an integer (no bool) after checking its range."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise refuse(where, "not an integer")
    if not low <= value <= high:
        raise refuse(where, f"{value} is outside {low} to {high}")
    return value


class Checker:
    """Takes values out of a JSON object, each with its own check."""

    def __init__(self, values: Mapping[str, Any], where: str) -> None:
        self.values = values
        self.where = where

    def _value(self, key: str, default: Any = ...) -> Any:
        value = self.values.get(key, default)
        if value is ...:
            raise refuse(f"{self.where}.{key}", "missing")
        return value

    def text(self, key: str, limit: int, default: Any = ...) -> str:
        """Return text of at most `limit` bytes."""
        value = self._value(key, default)
        if not isinstance(value, str) or "\0" in value:
            raise refuse(f"{self.where}.{key}", "not text without NUL")
        try:
            size = len(value.encode())
        except UnicodeEncodeError as error:
            where = f"the character {value[error.start]!r} at {error.start}"
            raise refuse(f"{self.where}.{key}", f"not valid Unicode: {where}") from None
        if size > limit:
            raise refuse(f"{self.where}.{key}", f"longer than {limit} bytes")
        return value

    def pattern(self, key: str, pattern: re.Pattern[str], default: Any = ...) -> str:
        """Return text that matches."""
        value = self._value(key, default)
        if not isinstance(value, str) or not pattern.match(value):
            raise refuse(f"{self.where}.{key}", f"{value!r} is not a valid name")
        return value

    def names(self, key: str, limit: int) -> list[str]:
        """Return a list of names."""
        names = self.items(key, limit)
        if not all(isinstance(name, str) and NAME.match(name) for name in names):
            raise refuse(f"{self.where}.{key}", "not a list of names")
        return names

    def items(self, key: str, limit: int) -> list[Any]:
        """Return a list of at most `limit` items."""
        value = self._value(key, [])
        if not isinstance(value, (list, tuple)) or len(value) > limit:
            raise refuse(f"{self.where}.{key}", f"not a list of at most {limit}")
        return list(value)

    def integer(self, key: str, low: int, high: int, default: Any = ...) -> int | None:
        """Return a number, or None if it is None."""
        value = self._value(key, default)
        return None if value is None else integer(value, f"{self.where}.{key}", low, high)

    def number(self, key: str, low: int, high: int, default: int) -> int:
        """Return a number."""
        return integer(self._value(key, default), f"{self.where}.{key}", low, high)

    def power_of_two(self, key: str, low: int, high: int, default: int) -> int:
        """Return a number that is a power of two."""
        value = self.number(key, low, high, default)
        if value & (value - 1):
            raise refuse(f"{self.where}.{key}", f"{value} is not a power of two")
        return value

    def flag(self, key: str, default: bool) -> bool:
        """Return True or False."""
        value = self._value(key, default)
        if not isinstance(value, bool):
            raise refuse(f"{self.where}.{key}", "not true or false")
        return value
