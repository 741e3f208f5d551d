"""What a compilation gives: plain data, apart from the maps that only BCC can make."""

from __future__ import annotations

from dataclasses import dataclass, field

from kernelscope.agent import kernel
from kernelscope.protocol.program import Layout

# What a map's type is called where a layout says how to read it.
LAYOUT_KINDS = {
    kernel.MAP_TYPE_HASH: "hash",
    kernel.MAP_TYPE_ARRAY: "array",
    kernel.MAP_TYPE_PERCPU_HASH: "percpu_hash",
    kernel.MAP_TYPE_PERCPU_ARRAY: "percpu_array",
    kernel.MAP_TYPE_LRU_HASH: "lru_hash",
    kernel.MAP_TYPE_LRU_PERCPU_HASH: "lru_percpu_hash",
    kernel.MAP_TYPE_STACK_TRACE: "stack_trace",
    kernel.MAP_TYPE_RINGBUF: "ring",
    kernel.MAP_TYPE_PERF_EVENT_ARRAY: "perf",
}


@dataclass(frozen=True)
class Function:
    """One BPF program: instructions, and which of them load which map (index, name)."""

    name: str
    code: bytes
    maps: tuple[tuple[int, str], ...]


@dataclass(frozen=True)
class MapSpec:
    """A map to make. sized: the source states how large it is."""

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
    from 1 on. params: the index of each KS_PARAM. substituted: the rings that the source declares
    as perf buffers. printk: it calls bpf_trace_printk the kernel's way; printk_formats: what it
    prints to its own ring buffer, by site. map_fds: maps that only BCC can make.
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
