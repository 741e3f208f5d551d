"""Names of C++ and Rust functions as their sources write them.

C++ is left to libstdc++. Rust has two schemes: the legacy one looks like C++'s (rustc's
rustc_symbol_mangling/src/legacy.rs), v0 is described in its RFC 2603.
"""

from __future__ import annotations

import ctypes
import re
from collections.abc import Callable
from functools import lru_cache
from typing import Optional

_MAX_NAME = 4096
_MAX_DEPTH = 64
_MAX_STEPS = 10_000
_MAX_OUTPUT = 1 << 17  # bytes of all parts together

_LEGACY = re.compile(r"_ZN(\d[\w.$]*)E\Z", re.ASCII)
_LEGACY_HASH = re.compile(r"h[0-9a-f]{16}\Z")
_ESCAPES = {"SP": "@", "BP": "*", "RF": "&", "LT": "<", "GT": ">", "LP": "(", "RP": ")", "C": ","}
_BASIC = {
    "a": "i8", "b": "bool", "c": "char", "d": "f64", "e": "str", "f": "f32", "h": "u8",
    "i": "isize", "j": "usize", "l": "i32", "m": "u32", "n": "i128", "o": "u128", "p": "_",
    "s": "i16", "t": "u16", "u": "()", "v": "...", "x": "i64", "y": "u64", "z": "!",
}  # fmt: skip


@lru_cache(maxsize=4096)
def demangle(name: str) -> str:
    """Return a mangled name in readable form; any other name as it is."""
    if len(name) > _MAX_NAME:
        return name
    if name.startswith("_R"):
        return _rust_v0(name) or name
    if name.startswith("_Z"):
        return _rust_legacy(name) or _cpp(name) or name
    return name


def _cpp(name: str) -> str:
    runtime = _runtime()
    if runtime is None:
        return ""
    text = runtime.__cxa_demangle(name.encode(), None, None, None)
    if not text:
        return ""
    readable = ctypes.string_at(text).decode(errors="replace")
    free = ctypes.CDLL(None).free
    free.argtypes = [ctypes.c_void_p]
    free(text)
    return readable


@lru_cache(maxsize=1)
def _runtime() -> Optional[ctypes.CDLL]:
    try:
        runtime = ctypes.CDLL("libstdc++.so.6")
    except OSError:
        return None
    runtime.__cxa_demangle.restype = ctypes.c_void_p
    runtime.__cxa_demangle.argtypes = [
        ctypes.c_char_p,
        ctypes.c_void_p,
        ctypes.c_void_p,
        ctypes.c_void_p,
    ]
    return runtime


# --- Rust, the legacy scheme ---------------------------------------------------------------------


def _rust_legacy(name: str) -> str:
    match = _LEGACY.match(name.split(".llvm.", 1)[0])
    if match is None:
        return ""
    parts: list[str] = []
    rest = match[1]
    while rest:
        digits = re.match(r"\d+", rest)
        if digits is None:
            return ""
        start = digits.end()
        end = start + int(digits[0])
        if end > len(rest):
            return ""
        parts.append(rest[start:end])
        rest = rest[end:]
    if len(parts) < 2 or not _LEGACY_HASH.match(parts[-1]):
        return ""
    return "::".join(_legacy_part(part) for part in parts[:-1])


def _legacy_part(part: str) -> str:
    if part.startswith("_$"):
        part = part[1:]
    text = re.sub(r"\$(\w+)\$", _escape, part)
    return text.replace("..", "::")


def _escape(match: re.Match[str]) -> str:
    code = match[1]
    if code in _ESCAPES:
        return _ESCAPES[code]
    if re.match(r"u[0-9a-f]{1,6}\Z", code):
        number = int(code[1:], 16)
        if number < 0x110000:
            return chr(number)
    return match[0]


# --- Rust v0 -------------------------------------------------------------------------------------


class _BadNameError(Exception):
    """The name does not follow the scheme."""


def _rust_v0(name: str) -> str:
    body = name[2:].split(".", 1)[0]
    try:
        parser = _V0(body)
        text = parser.path(in_value=True)
    except (_BadNameError, IndexError, ValueError, OverflowError):
        return ""
    return text


class _V0:
    """A recursive parser of a mangled name; `_at` is the next character."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 1 if text[:1].isdigit() else 0  # an encoding version
        self._depth = 0
        self._steps = 0
        self._size = 0

    def path(self, in_value: bool = False) -> str:
        """Return the path at the present place."""
        self._enter()
        text = self._path(self._next(), in_value)
        self._size += len(text)
        self._depth -= 1
        return text

    def _enter(self) -> None:
        """Bound the work: a name may refer to its own parts again and again."""
        self._depth += 1
        self._steps += 1
        if self._depth > _MAX_DEPTH or self._steps > _MAX_STEPS or self._size > _MAX_OUTPUT:
            raise _BadNameError

    def _path(self, tag: str, in_value: bool) -> str:
        if tag == "C":
            self._disambiguator()
            return self._identifier()
        if tag == "M":
            self._implementation()
            return f"<{self._type()}>"
        if tag == "X":
            self._implementation()
            return f"<{self._type()} as {self.path()}>"
        if tag == "Y":
            return f"<{self._type()} as {self.path()}>"
        if tag == "N":
            return self._nested(in_value)
        if tag == "I":
            base = self.path(in_value)
            colons = "::" if in_value else ""
            return f"{base}{colons}<{', '.join(self._until(self._argument))}>"
        if tag == "B":
            return self._back(lambda: self.path(in_value))
        raise _BadNameError

    def _nested(self, in_value: bool) -> str:
        namespace = self._next()
        outer = self.path(in_value)
        number = self._disambiguator()
        inner = self._identifier()
        if namespace.isupper():
            kind = {"C": "closure", "S": "shim"}.get(namespace, namespace)
            label = f"{kind}:{inner}" if inner else kind
            return f"{outer}::{{{label}#{number}}}"
        return f"{outer}::{inner}" if inner else outer

    def _implementation(self) -> None:
        self._disambiguator()
        self.path()

    def _argument(self) -> str:
        if self._take("L"):
            return self._lifetime(self._number())
        if self._take("K"):
            return self._constant()
        return self._type()

    def _type(self) -> str:
        self._enter()
        text = self._type_of(self._next())
        self._size += len(text)
        self._depth -= 1
        return text

    def _type_of(self, tag: str) -> str:
        if tag in _BASIC:
            return _BASIC[tag]
        if tag in "RQ":
            lifetime = f"{self._lifetime(self._number())} " if self._take("L") else ""
            mutable = "mut " if tag == "Q" else ""
            return f"&{lifetime.lstrip(' ')}{mutable}{self._type()}"
        if tag in "PO":
            return f"*{'const' if tag == 'P' else 'mut'} {self._type()}"
        if tag == "A":
            element = self._type()
            return f"[{element}; {self._constant()}]"
        if tag == "S":
            return f"[{self._type()}]"
        if tag == "T":
            items = self._until(self._type)
            return f"({items[0]},)" if len(items) == 1 else f"({', '.join(items)})"
        if tag == "F":
            return self._function()
        if tag == "D":
            return self._dynamic()
        if tag == "B":
            return self._back(self._type)
        self._at -= 1
        return self.path()

    def _function(self) -> str:
        self._binder()
        unsafe = "unsafe " if self._take("U") else ""
        abi = ""
        if self._take("K"):
            name = "C" if self._take("C") else self._identifier().replace("_", "-")
            abi = f'extern "{name}" '
        inputs = ", ".join(self._until(self._type))
        result = self._type()
        arrow = "" if result == "()" else f" -> {result}"
        return f"{unsafe}{abi}fn({inputs}){arrow}"

    def _dynamic(self) -> str:
        self._binder()
        traits = self._until(self._trait)
        if not self._take("L"):
            raise _BadNameError
        lifetime = self._lifetime(self._number())
        bound = f" + {lifetime}" if lifetime != "'_" else ""
        return f"dyn {' + '.join(traits)}{bound}"

    def _trait(self) -> str:
        text = self.path()
        bindings = []
        while self._take("p"):
            bindings.append(f"{self._identifier()} = {self._type()}")
        if not bindings:
            return text
        inner = ", ".join(bindings)
        return f"{text[:-1]}, {inner}>" if text.endswith(">") else f"{text}<{inner}>"

    def _constant(self) -> str:
        if self._take("B"):
            return self._back(self._constant)
        kind = self._next()
        if kind == "p":
            return "_"
        negative = "-" if self._take("n") else ""
        end = self._text.index("_", self._at)
        digits = self._text[self._at : end]
        self._at = end + 1
        number = int(digits or "0", 16)
        if kind == "b":
            return "true" if number else "false"
        if kind == "c":
            return repr(chr(number))
        return f"{negative}{number}"

    def _binder(self) -> None:
        if self._take("G"):
            self._number()

    def _lifetime(self, number: int) -> str:
        return "'_" if not number else f"'{chr(ord('a') + (number - 1) % 26)}"

    # --- letters and numbers ---------------------------------------------------------------------

    def _next(self) -> str:
        letter = self._text[self._at]
        self._at += 1
        return letter

    def _take(self, letter: str) -> bool:
        if self._text[self._at : self._at + 1] != letter:
            return False
        self._at += 1
        return True

    def _until(self, read: Callable[[], str]) -> list[str]:
        found = []
        while not self._take("E"):
            found.append(read())
            if len(found) > _MAX_NAME:
                raise _BadNameError
        return found

    def _back(self, read: Callable[[], str]) -> str:
        start = self._at - 1
        target = self._number()
        if target >= start:
            raise _BadNameError
        place, self._at = self._at, target
        text = read()
        self._at = place
        return text

    def _number(self) -> int:
        """Return a number in base 62 that ends in "_"; "_" alone is 0."""
        value = 0
        if self._take("_"):
            return 0
        while not self._take("_"):
            letter = self._next()
            if letter.isdigit():
                digit = int(letter)
            elif letter.islower():
                digit = ord(letter) - ord("a") + 10
            elif letter.isupper():
                digit = ord(letter) - ord("A") + 36
            else:
                raise _BadNameError
            value = value * 62 + digit
        return value + 1

    def _disambiguator(self) -> int:
        return self._number() + 1 if self._take("s") else 0

    def _identifier(self) -> str:
        punycode = self._take("u")
        match = re.compile(r"0|[1-9]\d*").match(self._text, self._at)
        if match is None:
            raise _BadNameError
        self._at = match.end()
        self._take("_")
        end = self._at + int(match[0])
        if end > len(self._text):
            raise _BadNameError
        text = self._text[self._at : end]
        self._at = end
        if punycode:
            basic, _, rest = text.rpartition("_")
            text = (f"{basic}-{rest}" if basic else rest).encode("ascii").decode("punycode")
        return text
