"""Changes of inputs: of bytes, of text, and of JSON values at random places."""

from __future__ import annotations

import copy
import random
from collections.abc import Iterator
from typing import Any

_BYTES = (b"\0", b"\xff", b"\x7f", b"\x80", b"\n", b";", b'"')
_ODD: tuple[Any, ...] = (
    None, True, False, -1, 0, 1, 7, 255, 65_536, 1 << 30, 1 << 31, 1 << 40, 1 << 63, 1 << 64,
    10**30, -(1 << 63), 0.5, -0.0, 1e300, float("inf"), float("nan"), "", "0", "x", "../../x",
    "a" * 300, "\0", "\ud800", "\x1b[2J", "%1000000000d", [], [[]], [1, 2, 3], {}, {"a": {}},
    {"": None}, [None] * 100,
)  # fmt: skip


def mutated_bytes(data: bytes, rng: random.Random) -> bytes:
    """Return data with one to eight changes: bytes set, cut, copied, put in."""
    out = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 4, 8))):
        at = rng.randrange(len(out) + 1)
        end = min(len(out), at + rng.choice((1, 1, 2, 4, 16, 200)))
        kind = rng.randrange(6)
        if kind == 0 and at < len(out):
            out[at] ^= 1 << rng.randrange(8)
        elif kind == 1:
            out[at:end] = rng.choice(_BYTES) * (end - at)
        elif kind == 2:
            del out[at:end]
        elif kind == 3:
            out[at:at] = out[at:end] * rng.choice((1, 2, 50))
        elif kind == 4:
            out[at:at] = rng.randbytes(rng.choice((1, 4, 40)))
        elif at + 8 <= len(out):
            number = rng.choice((0, 1, 1 << 16, 1 << 31, (1 << 32) - 1, 1 << 62, (1 << 64) - 1))
            out[at : at + 8] = number.to_bytes(8, "little")
    return bytes(out)


def mutated_json(value: Any, rng: random.Random) -> Any:
    """Return a JSON value with one to four changes: values replaced, keys lost, added, swapped."""
    value = copy.deepcopy(value)
    for _ in range(rng.choice((1, 1, 2, 4))):
        places = list(_places(value))
        if not places:
            return rng.choice(_ODD)
        holder, key = rng.choice(places)
        kind = rng.randrange(5)
        if kind < 3:
            holder[key] = copy.deepcopy(rng.choice(_ODD))
        elif kind == 3:
            del holder[key]
        else:
            other_holder, other_key = rng.choice(places)
            other = copy.deepcopy(other_holder[other_key])
            if isinstance(holder, list):
                holder.insert(key, other)
            else:
                holder[rng.choice([key, str(key) + "x", ""])] = other
    return value


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Yield every (container, key) of a JSON value."""
    items = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    for key, item in items:
        yield value, key
        yield from _places(item)
