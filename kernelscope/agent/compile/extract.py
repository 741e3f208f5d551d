"""Extracts functions, maps and layouts from what BCC compiled."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import replace
from functools import partial

from kernelscope.agent.compile import libbcc
from kernelscope.agent.compile.bcc_layouts import ElementSizes, fields_of, raw_bytes
from kernelscope.agent.compile.bpf_object import LAYOUT_KINDS, Function, MapSpec, Object
from kernelscope.agent.kernel import syscalls
from kernelscope.agent.source import rewriter
from kernelscope.agent.source.record_types import TEXT
from kernelscope.protocol.layout import Field, Layout
from kernelscope.protocol.printk import TABLE as PRINTK_TABLE

_KEEPS_FD = re.compile(r"\bbpf_(?:spin_lock|timer)\b|_PINNED\b|_PUBLIC\b|_SHARED\b|\"extern\"")
# Map types that need only a type and sizes. For others, the fds that BCC created are passed on.
_PLAIN_TYPES = frozenset({*LAYOUT_KINDS, 3, 8, 11, 14, 15, 16, 17, 18, 22, 23, 29})
# The kernel sets this flag of device maps itself and refuses it from outside (kernel/bpf/devmap.c).
_DEVICE_MAPS = frozenset((14, 25))
_RDONLY_PROG = 1 << 7
_LD_IMM64 = 0x18
_ARRAY = 2
_BCC_SLOTS = 64
_PSEUDO_MAP_FD = 1
# Records of any length.
_TEXT = (Field("value", "char", 0, 0, count=0),)
_BYTES = (Field("value", "u8", 0, 0, count=0),)
# Macros of maps that hold data and that the agent does not read.
_NOT_SHOWN = frozenset(("BPF_QUEUE", "BPF_STACK", "BPF_HASH_OF_MAPS", "BPF_ARRAY_OF_MAPS"))
_Described = dict[str, tuple[MapSpec, str, str]]


def capture(module: libbcc.Module, rewritten: rewriter.Rewritten) -> Object:
    """Return a module's contents as plain data, without the added layout arrays."""
    by_fd: dict[int, str] = {}
    specs: list[MapSpec] = []
    described: _Described = {}
    fds: dict[str, int] = {}
    for name, fd, key, leaf in module.tables():
        info = syscalls.map_info(fd)
        table = rewritten.tables.get(name)
        spec = MapSpec(
            name,
            info.type,
            info.key_size,
            info.value_size,
            _entries(name, info, rewritten),
            info.flags & ~_RDONLY_PROG if info.type in _DEVICE_MAPS else info.flags,
            sized=table.sized if table else True,
        )
        by_fd[fd] = name
        described[name] = (spec, key, leaf)
        if not name.startswith(rewriter.LAYOUT_PREFIX):
            specs.append(spec)
            if info.type not in _PLAIN_TYPES or _KEEPS_FD.search(rewritten.text):
                fds[name] = fd
    functions = [Function(n, code, _map_uses(code, by_fd)) for n, code in module.functions()]
    return Object(
        functions=tuple(functions),
        maps=tuple(specs),
        layouts=tuple(_layouts(described, rewritten)),
        rings=rewritten.rings,
        params=rewritten.params,
        license=module.license,
        kernel_version=module.kernel_version,
        substituted=rewritten.substituted,
        printk=rewritten.printk,
        printk_formats=rewritten.printk_formats,
        counts_losses=rewritten.counts_losses,
        map_fds=fds,
        warnings=[*rewritten.warnings, *_hidden_maps(rewritten)],
    )


def _entries(name: str, info: syscalls.MapInfo, rewritten: rewriter.Rewritten) -> int:
    """Return a map's size; a log2 histogram of BCC's default size gets a slot for 2**63 and above.

    bpf_log2l returns 64 for them, as for a negative difference; BPF_HISTOGRAM has slots 0 to 63.
    """
    grows = info.max_entries == _BCC_SLOTS and rewritten.histograms.get(name) == "log2"
    return info.max_entries + (1 if grows and info.type == _ARRAY else 0)


def _hidden_maps(rewritten: rewriter.Rewritten) -> Iterator[str]:
    for name, table in rewritten.tables.items():
        if table.macro in _NOT_SHOWN:
            yield f"{name}: a {table.macro} is not shown in the result"
        if table.macro == "BPF_PROG_ARRAY":
            yield f"{name}: its slots stay empty, so tail calls through it do nothing"


def _map_uses(code: bytes, names: dict[int, str]) -> tuple[tuple[int, str], ...]:
    found = []
    index = 0
    while index < len(code) // 8:
        opcode, registers, _, value = struct.unpack_from("<BBhi", code, index * 8)
        if opcode == _LD_IMM64:
            if registers >> 4 == _PSEUDO_MAP_FD:
                found.append((index, names[value]))
            index += 1
        index += 1
    return tuple(found)


def _layouts(described: _Described, rewritten: rewriter.Rewritten) -> Iterator[Layout]:
    read = partial(fields_of, arrays=_element_sizes(described, rewritten))
    for name, (spec, key, leaf) in described.items():
        kind = LAYOUT_KINDS.get(spec.type)
        table = rewritten.tables.get(name)
        if kind is None or name in rewritten.scratch:
            continue
        if name.startswith("ks_") and name != PRINTK_TABLE:
            continue
        if kind in ("ring", "perf"):
            if kind == "ring" or (table is not None and table.macro == "BPF_PERF_OUTPUT"):
                yield _record_layout(name, kind, spec, described, rewritten)
            continue
        stacks = kind == "stack_trace"
        keys = read(key, spec.key_size, "key")
        if name in rewritten.stack_keys and [f.name for f in keys] == ["key"]:
            keys = (replace(keys[0], name="stack_id"),)
        yield Layout(
            table=name,
            kind=kind,
            key=keys,
            value=raw_bytes(spec.value_size, "value")
            if stacks
            else read(leaf, spec.value_size, "value"),
            key_size=spec.key_size,
            value_size=spec.value_size,
            histogram=rewritten.histograms.get(name, ""),
            cpus=syscalls.possible_cpus() if "percpu" in kind else 0,
            max_entries=spec.max_entries,
        )


def _element_sizes(described: _Described, rewritten: rewriter.Rewritten) -> ElementSizes | None:
    """Return the sizes of the elements of arrays of arrays, None if they are not all known."""
    found: dict[tuple[str, str], int] = {}
    for table, member in rewritten.array_members.items():
        size = described[table][0].value_size
        if found.setdefault((member.struct, member.member), size) != size:
            return None
    return None if rewritten.arrays_of_arrays and not found else found


def _record_layout(
    name: str,
    kind: str,
    spec: MapSpec,
    described: _Described,
    rewritten: rewriter.Rewritten,
) -> Layout:
    found = described.get(f"{rewriter.LAYOUT_PREFIX}{name}")
    if found is None:
        is_text = rewritten.records[name].type == TEXT if name in rewritten.records else False
        value = _TEXT if is_text else _BYTES
        return Layout(table=name, kind=kind, value=value, max_entries=spec.max_entries)
    shape, _, leaf = found
    sizes = _element_sizes(described, rewritten)
    return Layout(
        table=name,
        kind=kind,
        value=fields_of(leaf, shape.value_size, "value", arrays=sizes),
        value_size=shape.value_size,
        max_entries=spec.max_entries,
        record_size=shape.value_size if rewritten.records[name].fixed else 0,
    )
