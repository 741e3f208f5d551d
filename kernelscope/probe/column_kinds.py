"""The kinds of columns: what a raw value means, how it is decoded, what views do with it.

A new kind is one record here (or `register(ColumnKind(...))` from outside) and its decoder in
`tables/column_decoders.py`; nothing else names kinds one by one but for the few that shape a table
("time" comes first, "slot" makes two columns, "count" and the stacks).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

_DECODERS = "kernelscope.tables.column_decoders"


@dataclass(frozen=True)
class ColumnKind:
    """One kind of column.

    meaning: from the raw value to the DataFrame's. decoder: takes a `column_decoders.Source` and
    returns an array; or where it is, as "module:function", imported when a column is decoded: the
    catalogue needs no numpy. label: values name things; live views group by them. additive: values
    of several CPUs or rows of a map can be added up.
    """

    name: str
    meaning: str
    decoder: str | Callable[[Any], Any]
    label: bool = False
    additive: bool = False

    def load_decoder(self) -> Callable[[Any], Any]:
        """Return the function that decodes the column."""
        if not isinstance(self.decoder, str):
            return self.decoder
        module, _, function = self.decoder.partition(":")
        found: Callable[[Any], Any] = getattr(import_module(module), function)
        return found


def _kind(
    name: str, meaning: str, function: str = "", *, label: bool = False, additive: bool = False
) -> ColumnKind:
    return ColumnKind(name, meaning, f"{_DECODERS}:{function or name}", label, additive)


# By name. Live views prefer labels in this order.
COLUMN_KINDS: dict[str, ColumnKind] = {
    kind.name: kind
    for kind in (
        _kind("integer", "as it is", additive=True),
        _kind("float", "as it is", "floating", additive=True),
        _kind("duration", "nanoseconds -> the column's unit (ns, us, ms, s)", additive=True),
        _kind("count", "how many", "integer", additive=True),
        _kind("time", "bpf_ktime_get_ns -> datetime64[ns, UTC]"),
        _kind("slot", "a histogram's bucket -> two columns, its bounds [low, high)"),
        _kind("syscall", "a system call's number -> its name", label=True),
        _kind(
            "path", "a char array up to its NUL: a file's name in the kernel", "text", label=True
        ),
        _kind("text", "a char array, up to its NUL", label=True),
        _kind("enum", "a number -> the word that `names` has for it", label=True),
        _kind("btf_enum", "a number -> the word of the kernel's own enum", label=True),
        _kind("hook", "a hook's number (KS_HOOK) -> the function or event", label=True),
        _kind("device", "a dev_t -> the disk's name", label=True),
        _kind("errno", "a negative error number -> its name, '' for 0 and above", label=True),
        _kind("signal", "a signal's number -> its name", label=True),
        _kind("ip", "16 bytes of either family -> text; `family` is the field for it", label=True),
        _kind("ipv4", "u32 in network order -> text", label=True),
        _kind("ipv6", "16 bytes -> text, IPv4 in it as IPv4", label=True),
        _kind("fd", "a file descriptor; missing where it is negative", "descriptor", label=True),
        _kind("pid", "a process", "integer", label=True),
        _kind("tid", "a thread", "integer", label=True),
        _kind("uid", "a user", "integer", label=True),
        _kind("port", "a port in host order", "integer", label=True),
        _kind("port_be", "a port in network order", label=True),
        _kind("address", "an address -> hexadecimal text", label=True),
        _kind("ksym", "the address of a kernel function -> its name", label=True),
        _kind("mac", "6 bytes -> 00:00:5e:00:53:01", label=True),
        _kind("bool", "0 is False", "boolean", label=True),
        _kind("bytes", "hexadecimal text", "hexadecimal", label=True),
        _kind("kernel_stack", "a stack id -> folded text, root first, ';' between frames"),
        _kind("user_stack", "a stack id of the process -> folded text"),
    )
}


def register(kind: ColumnKind) -> None:
    """Add a kind, or replace the one of its name."""
    COLUMN_KINDS[kind.name] = kind


def is_additive(name: str) -> bool:
    """Whether values of a kind can be added up; False for an unknown kind."""
    return name in COLUMN_KINDS and COLUMN_KINDS[name].additive
