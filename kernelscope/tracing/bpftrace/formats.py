"""The printf formats of a script: what their output looks like, and the columns it has.

Source: man bpftrace(8), "printf"; src/format_string.cpp of bpftrace.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from kernelscope.protocol.c_tokens import Token, arguments
from kernelscope.tracing.bpftrace.c_strings import unescaped
from kernelscope.tracing.bpftrace.keys import Key, distinct, of_expression

_CONVERSION = re.compile(
    r"%(?P<percent>%)|%(?P<flags>[-+ #0]*)(?P<width>\d*)(?:\.(?P<precision>\d+))?"
    r"(?P<length>hh|h|ll|l|z|j)?(?P<kind>[diuxXopscr])"
)
_LONGEST = {"comm": 15}  # TASK_COMM_LEN of the kernel, without its NUL


@dataclass(frozen=True)
class Conversion:
    """One %-conversion: its kind, its least width, and the column that its values go to."""

    kind: str
    column: str
    width: int = 0
    left: bool = False
    longest: int | None = None
    literal: str | None = None

    @property
    def is_number(self) -> bool:
        """Whether the values are numbers."""
        return self.kind in "diuxXo"

    def pattern(self, greedy: str) -> str:
        """Return what a value looks like, with the spaces of its width."""
        if self.is_number:
            digits = {"x": "[0-9a-f]+", "X": "[0-9A-F]+", "o": "[0-7]+"}.get(self.kind, r"\d+")
            body = rf"[-+]?(?:0[xX])?{digits}"
            if self.width < 2:
                return body
            padded = rf"{body} *" if self.left else rf" *{body}"
            return rf"(?=[-+ \w]{{{self.width},}}){padded}"
        most = "" if self.longest is None else str(max(self.longest, self.width))
        if self.width < 2:
            return rf"(?s:.{{0,{most}}}{greedy})" if most else rf"(?s:.*{greedy})"
        exact = rf"(?s:.{{{self.width}}})"
        if self.longest is not None and self.longest <= self.width:
            return exact
        end, begin = (r"(?<! )", "") if self.left else ("", r"(?! )")
        return rf"(?:{exact}|{begin}(?s:.{{{self.width + 1},{most}}}{greedy}){end})"

    def value(self, text: str) -> Any:
        """Return a value as its conversion means it."""
        if self.is_number:
            return int(text.strip(), {"x": 16, "X": 16, "o": 8}.get(self.kind, 10))
        if len(text) == self.width and self.width > 1:
            return text.rstrip(" ") if self.left else text.lstrip(" ")
        return text


@dataclass(frozen=True)
class Format:
    """One printf of the script: text, conversion, text, ..., text."""

    texts: tuple[str, ...]
    conversions: tuple[Conversion, ...]

    @property
    def is_constant(self) -> bool:
        """Whether it always prints the same: a banner or a header."""
        return all(each.literal is not None for each in self.conversions)

    def match(self, text: str) -> tuple[Any, ...] | None:
        """Return the values of a text that it printed, None where it printed another.

        Raises ValueError where the text could be split in two ways.
        """
        found = [re.fullmatch(self._pattern(greedy), text) for greedy in ("", "?")]
        if found[0] is None or found[1] is None:
            return None
        if found[0].groups() != found[1].groups():
            raise ValueError("it can be split in two ways")
        pairs = zip(self.conversions, found[0].groups(), strict=True)
        return tuple(conversion.value(part) for conversion, part in pairs)

    def _pattern(self, greedy: str) -> str:
        pattern = re.escape(self.texts[0])
        for conversion, text in zip(self.conversions, self.texts[1:], strict=True):
            literal = conversion.literal
            body = conversion.pattern(greedy) if literal is None else rf" *{re.escape(literal)} *"
            pattern += f"({body}){re.escape(text)}"
        return pattern


def of_script(tokens: Sequence[Token]) -> list[Format]:
    """Return the formats of the script's printf calls; those that cannot be read are left out."""
    found = []
    for i, token in enumerate(tokens[:-1]):
        if token.text != "printf" or tokens[i + 1].text != "(":
            continue
        split = arguments(tokens, i + 1)
        if split is None or not split[0] or not split[0][0]:
            continue
        literals = [part for part in split[0][0] if part.kind == "string"]
        if len(literals) != len(split[0][0]):
            continue  # not a literal format
        made = _format("".join(unescaped(part.text) for part in literals), split[0][1:])
        if made is not None and made not in found:
            found.append(made)
    return found


def _format(text: str, values: Sequence[Sequence[Token]]) -> Format | None:
    texts, at = [""], 0
    conversions: list[Conversion] = []
    for match in _CONVERSION.finditer(text):
        texts[-1] += text[at : match.start()]
        at = match.end()
        if match["percent"]:
            texts[-1] += "%"
            continue
        if len(conversions) == len(values):
            return None  # fewer values than conversions
        conversions.append(_conversion(match, values[len(conversions)], texts[-1]))
        texts.append("")
    texts[-1] += text[at:]
    return Format(tuple(texts), _named(conversions))


def _conversion(match: re.Match[str], value: Sequence[Token], before: str) -> Conversion:
    key = of_expression(value)
    named = re.search(r"([A-Za-z_]\w*)=\Z", before)  # the format itself names it: "pid=%d"
    literal = key.literals[0] if key.kind == "literal" and value[0].kind == "string" else None
    return Conversion(
        kind=match["kind"],
        column=named[1] if named else key.column,
        width=int(match["width"] or 0),
        left="-" in match["flags"],
        longest=_LONGEST.get(value[0].text) if len(value) == 1 else None,
        literal=literal,
    )


def _named(conversions: Sequence[Conversion]) -> tuple[Conversion, ...]:
    """Return the conversions with columns that have names, each its own: value1, value2, ..."""
    names = [
        key.column
        for key in distinct(
            [Key(each.column or f"value{n + 1}", "text") for n, each in enumerate(conversions)]
        )
    ]
    return tuple(replace(each, column=name) for each, name in zip(conversions, names, strict=True))
