"""The result of a compilation: plain data, apart from maps that only BCC can create."""

from __future__ import annotations

import base64
from dataclasses import asdict, dataclass, field
from typing import Any

from kernelscope.agent.kernel import syscalls
from kernelscope.protocol.layout import Layout

# Names of map types in a layout.
LAYOUT_KINDS = {
    syscalls.MAP_TYPE_HASH: "hash",
    syscalls.MAP_TYPE_ARRAY: "array",
    syscalls.MAP_TYPE_PERCPU_HASH: "percpu_hash",
    syscalls.MAP_TYPE_PERCPU_ARRAY: "percpu_array",
    syscalls.MAP_TYPE_LRU_HASH: "lru_hash",
    syscalls.MAP_TYPE_LRU_PERCPU_HASH: "lru_percpu_hash",
    syscalls.MAP_TYPE_LPM_TRIE: "lpm_trie",
    syscalls.MAP_TYPE_STACK_TRACE: "stack_trace",
    syscalls.MAP_TYPE_RINGBUF: "ring",
    syscalls.MAP_TYPE_PERF_EVENT_ARRAY: "perf",
}

_PLAIN = ("params", "license", "kernel_version", "printk", "counts_losses", "header", "warnings")


@dataclass(frozen=True)
class Function:
    """One BPF program: its instructions, and the map that each listed instruction loads."""

    name: str
    code: bytes
    maps: tuple[tuple[int, str], ...]


@dataclass(frozen=True)
class MapSpec:
    """A map to create. sized: the source states its size."""

    name: str
    type: int
    key_size: int
    value_size: int
    max_entries: int
    flags: int
    sized: bool


@dataclass
class Object:
    """A compiled program.

    layouts: one for each table that a user sees. rings: in the order of their slots in `ks_lost`,
    from 1. params: the index of each KS_PARAM. substituted: the rings that the source declares as
    perf buffers. printk: it calls bpf_trace_printk the kernel's way; printk_formats: formats of
    the calls that print to a ring buffer instead, by site. map_fds: maps that only BCC can create.
    timings: seconds.
    """

    functions: tuple[Function, ...]
    maps: tuple[MapSpec, ...]
    layouts: tuple[Layout, ...]
    rings: tuple[str, ...] = ()
    params: dict[str, int] = field(default_factory=dict)
    license: str = "GPL"
    kernel_version: int = 0
    substituted: tuple[str, ...] = ()
    printk: bool = False
    printk_formats: tuple[str, ...] = ()
    counts_losses: bool = True
    header: str = "lean"
    cached: bool = False
    timings: dict[str, float] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    map_fds: dict[str, int] = field(default_factory=dict)


def dump(obj: Object) -> dict[str, Any]:
    """Return the object as plain JSON values (it must hold no fds)."""
    entry: dict[str, Any] = {name: getattr(obj, name) for name in _PLAIN}
    entry["rings"] = list(obj.rings)
    entry["printk_formats"] = list(obj.printk_formats)
    entry["substituted"] = list(obj.substituted)
    entry["maps"] = [asdict(spec) for spec in obj.maps]
    entry["layouts"] = [layout.to_json() for layout in obj.layouts]
    entry["functions"] = [
        {
            "name": function.name,
            "code": base64.b64encode(function.code).decode(),
            "maps": [list(use) for use in function.maps],
        }
        for function in obj.functions
    ]
    return entry


def load(entry: dict[str, Any]) -> Object | None:
    """Rebuild an object, None where `entry` is not one."""
    try:
        functions = tuple(
            Function(
                item["name"],
                base64.b64decode(item["code"], validate=True),
                tuple((int(index), str(name)) for index, name in item["maps"]),
            )
            for item in entry["functions"]
        )
        return Object(
            functions=functions,
            maps=tuple(MapSpec(**item) for item in entry["maps"]),
            layouts=tuple(Layout.from_json(item) for item in entry["layouts"]),
            rings=tuple(entry["rings"]),
            printk_formats=tuple(entry["printk_formats"]),
            substituted=tuple(entry["substituted"]),
            cached=True,
            **{name: entry[name] for name in _PLAIN},
        )
    except (KeyError, TypeError, ValueError):
        return None
