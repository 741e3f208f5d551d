"""The values of a call to show, and how to read them: "path=%s flags=%d ret=%d".

An item is NAME=%CONVERSION, or NAME alone for %ld. The first item is the first argument, and so on;
argN is the Nth argument at any place, `%2$s` the second one under any name, and `ret` the return
value of the function. For a tracepoint, NAME is a field of its record.

    %d %i %u %hd %hu %hhd %hhu   numbers of 32, 16 and 8 bits     %ld %lu %zu   of 64 bits
    %x %lx %p                    the same in hexadecimal         %s            text
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from kernelscope.probe.model import Column
from kernelscope.protocol.program import MAX_FIELDS

MAX_TEXTS = 3
_RETURN = 7  # KS_RETURN of kernelscope.h
_TEXT = 7  # KS_TEXT
_ITEM = re.compile(
    r"(?P<name>[A-Za-z_]\w*)"
    r"(?:=%(?:(?P<place>\d+)\$)?#?(?P<size>hh|h|ll|l|z|j|t)?(?P<letter>[diuxXps]))?\Z",
    re.ASCII,
)
_SIGNED = {"": 1, "h": 3, "hh": 5}  # KS_S32, KS_S16, KS_S8; the unsigned ones are one more
_CONDITION = re.compile(r"\s*([A-Za-z_]\w*)\s*(==|!=|<=|>=|<|>|&)\s*(-?\w+)\s*\Z", re.ASCII)
_OPERATORS = ("==", "!=", "<", "<=", ">", ">=", "&")  # KS_EQUAL, ... from 0


@dataclass(frozen=True)
class Item:
    """One value: where it comes from (argument 1 to 6, or _RETURN), and its conversion."""

    name: str
    source: int
    kind: int
    letter: str


@dataclass(frozen=True)
class Format:
    """The wanted values of each call, in order."""

    text: str
    items: tuple[Item, ...]

    def __str__(self) -> str:
        return self.text

    @property
    def names(self) -> list[str]:
        """The items' names."""
        return [item.name for item in self.items]

    @property
    def traits(self) -> set[str]:
        """What a description's `when` may test.

        The names, "argument" and "ret" for the source of a value, "%s" for a text, "%d" for a
        number.
        """
        kinds = {"%s" if item.kind == _TEXT else "%d" for item in self.items}
        sources = {"ret" if item.source == _RETURN else "argument" for item in self.items}
        return {*self.names, *kinds, *sources}

    @property
    def fields(self) -> list[str]:
        """The items' names in a tracepoint's record."""
        return [item.name for item in self.items if item.source != _RETURN]

    @property
    def has_return(self) -> bool:
        """Whether a value is read at the function's return."""
        return any(item.source == _RETURN for item in self.items)

    def params(self, name: str) -> dict[str, int]:
        """Return NAME_0, ...: each item's source, kind and text slot, and NAME_returns."""
        found = {f"{name}_returns": int(self.has_return)}
        texts = 0
        for number, item in enumerate(self.items):
            found[f"{name}_{number}"] = item.source | item.kind << 8 | texts << 16
            texts += item.kind == _TEXT
        return found

    def columns(self, taken: list[str]) -> list[Column]:
        """Return the items' columns; a name that is taken gets "_arg" at its end."""
        found = []
        texts = 0
        for number, item in enumerate(self.items):
            name = f"{item.name}_arg" if item.name in taken else item.name
            where = "The return value" if item.source == _RETURN else f"Argument {item.source}"
            if item.kind == _TEXT:
                found.append(Column(name, "text", f"text{texts}", help=where))
                texts += 1
            elif item.letter in "xXp":
                found.append(Column(name, "address", f"unsigned_[{number}]", help=where))
            else:
                whole = "unsigned_" if item.letter == "u" else "number"
                found.append(Column(name, "integer", f"{whole}[{number}]", help=where))
        return found


def read(value: object, most: int = MAX_FIELDS) -> Format:
    """Parse a format. Raises ValueError."""
    if not isinstance(value, str) or not value.strip():
        raise ValueError('names no value, as "path=%s flags=%d" does')
    words = value.replace(",", " ").split()
    items: list[Item] = []
    for word in words:
        item = _item(word, 1 + sum(item.source != _RETURN for item in items))
        if item.name in [other.name for other in items]:
            raise ValueError(f"names {item.name} twice")
        items.append(item)
    if len(items) > most:
        raise ValueError(f"names {len(items)} values; at most {most} are allowed")
    if sum(item.kind == _TEXT for item in items) > MAX_TEXTS:
        raise ValueError(f"has more than {MAX_TEXTS} texts")
    return Format(value, tuple(items))


def _item(word: str, place: int) -> Item:
    found = _ITEM.match(word)
    if found is None:
        raise ValueError(f"{word!r} is not of the form NAME=%d, NAME=%2$s or NAME")
    name, letter, size = found["name"], found["letter"] or "d", found["size"] or ""
    numbered = re.match(r"arg(\d)\Z", name)
    if found["place"] or numbered:
        place = int(found["place"] or (numbered[1] if numbered else 0))
    source = _RETURN if name == "ret" and not found["place"] else place
    if (not 1 <= source <= MAX_FIELDS and source != _RETURN) or place > MAX_FIELDS:
        raise ValueError(f"{word!r}: only the first {MAX_FIELDS} arguments can be read")
    if letter == "s":
        return Item(name, source, _TEXT, letter)
    is_wide = found["letter"] is None or letter == "p" or size not in _SIGNED
    kind = 0 if is_wide else _SIGNED[size] + (letter not in "di")
    return Item(name, source, kind, letter)


@dataclass(frozen=True)
class Condition:
    """A comparison of one of a format's numbers with a constant: "ret<0"."""

    text: str
    name: str
    operator: str
    number: int

    def __str__(self) -> str:
        return self.text

    def params(self, name: str, values: Format | None) -> dict[str, int]:
        """Return NAME_value (from 1), NAME_operator and NAME_number. Raises ValueError."""
        numbers = [i.name for i in values.items if i.kind != _TEXT] if values else []
        if values is None or self.name not in numbers:
            there = ", ".join(numbers) or "none"
            raise ValueError(
                f"compares {self.name}, which is not one of the numbers in the format: {there}"
            )
        return {
            f"{name}_value": values.names.index(self.name) + 1,
            f"{name}_operator": _OPERATORS.index(self.operator),
            f"{name}_number": self.number,
        }


def condition(value: object) -> Condition:
    """Parse a condition. Raises ValueError."""
    found = _CONDITION.match(value) if isinstance(value, str) else None
    if found is None:
        raise ValueError('is not a comparison such as "ret<0" or "flags&64"')
    try:
        number = int(found[3], 0)
    except ValueError:
        raise ValueError(f"{found[3]!r} is not a number") from None
    if not -(1 << 63) <= number < 1 << 63:
        raise ValueError(f"{found[3]} is out of range")
    return Condition(found[0].strip(), found[1], found[2], number)
