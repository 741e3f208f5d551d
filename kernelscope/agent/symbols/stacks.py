"""Stack traces of a run, from the ids in its records and maps to named frames.

A stack id is any integer field with "stack" in its name; the field `tgid` or `pid` next to it
names the process. Kernel addresses are in the upper half, so a trace itself shows its kind.
"""

from __future__ import annotations

import re
import struct
import time
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import dropwhile
from pathlib import Path
from typing import Optional, Union

from kernelscope.agent.kernel import maps, syscalls
from kernelscope.agent.kernel.ring_buffer import DISCARDED, stride_of
from kernelscope.agent.symbols.kernel import KERNEL_HALF, Frame, KernelSymbols
from kernelscope.agent.symbols.mapping_events import MappingEvents
from kernelscope.agent.symbols.modules import MOST_FILES, ModuleFiles
from kernelscope.agent.symbols.process import Process
from kernelscope.protocol.layout import Field, Layout

_INTEGERS = ("u32", "s32", "u64", "s64")
_OBSERVE_AGAIN_S = 1.0
_PAUSE_S = 10e-6  # per entry read, so that reading takes at most a twentieth of the time
_PERF_RAW = 36  # header, pid, tid, time, cpu and size precede a perf record's data
_PERF_SAMPLE = 9
_MAX_PROCESSES = 4096
_NONE = (1 << 64) - 1  # what a record that is too short for the field reads as
_FIRST_PID_NAMESPACE = 0xEFFFFFFC  # PROC_PID_INIT_INO, include/linux/proc_ns.h
# Frames between a tracepoint or a function's entry and the program that reads the stack.
_TRACING = re.compile(
    r"bpf_prog_[0-9a-f]{16}|bpf_trampoline_|bpf_trace_run|__bpf_trace_|__traceiter_"
)

Buffer = Union[bytes, bytearray, memoryview]


@dataclass(frozen=True)
class _Place:
    """The place of a 4-byte number: in the key or the value, at `offset`."""

    in_key: bool
    offset: int


@dataclass(frozen=True)
class _Source:
    """A stack id and its process in one table's entries. kernel: None if the name is neutral.

    is_address: not a stack id, but the address of a kernel function.
    """

    stack: _Place
    pid: _Place | None
    kernel: bool | None
    is_address: bool = False


class StackResolver:
    """Collects (process, stack id) pairs during a run, and names the frames at its end.

    stack_fds: the fd of each BPF_STACK_TRACE table. layouts: all of the run's tables.
    kernel_names: fields whose values are addresses of kernel functions.
    """

    def __init__(
        self,
        stack_fds: Mapping[str, int],
        layouts: Sequence[Layout],
        kernel_names: Sequence[str] = (),
    ) -> None:
        self._fds = dict(stack_fds)
        self._layouts = {layout.table: layout for layout in layouts}
        self._sources = {layout.table: _sources(layout, kernel_names) for layout in layouts}
        self._addresses: set[int] = set()
        self._named: set[int] = set()
        self._pairs: dict[bool | None, set[tuple[int, int]]] = {}
        self._files = ModuleFiles()
        of_users = any(s.kernel is not True for each in self._sources.values() for s in each)
        self._events = MappingEvents.open() if of_users else None
        self._processes: OrderedDict[int, tuple[Process, float]] = OrderedDict()
        self._dropped_processes = 0
        self._next_read: dict[str, float] = {}
        self._in_kernel = lru_cache(maxsize=None)(KernelSymbols().resolve)
        self._resolved: set[tuple[bool | None, int, int]] = set()

    # --- collecting ------------------------------------------------------------------------------

    def watch(self, pids: Iterable[Optional[int]]) -> None:
        """Observe the filtered processes now: they may end before their first stack is read."""
        self._observe(pid for pid in pids if pid)

    def wants(self, table: str) -> bool:
        """Return whether to read a map's stacks now; False for most calls with a large map."""
        due = self._next_read.get(table, 0.0)
        return bool(self._sources.get(table)) and time.monotonic() >= due

    def observe_map(self, table: str, count: int, keys: Buffer, values: Buffer) -> None:
        """Record the stacks in one piece of a map's entries."""
        sources = self._sources.get(table)
        if not sources or not count:
            return
        layout = self._layouts[table]
        for source in sources:
            self._add_pairs(source, keys, layout.key_size, values, maps.value_bytes(layout))
        due = max(time.monotonic(), self._next_read.get(table, 0.0))
        self._next_read[table] = due + count * _PAUSE_S

    def observe_records(self, table: str, data: Buffer, stride: int) -> None:
        """Record the stacks in a ring's chunk (see `ring_buffer.Chunk`)."""
        sources = self._sources.get(table)
        if not sources:
            return
        records, size, skipped = data, stride, 8
        if not stride:
            size, skipped = self._record_size(table), 0
            records = b"".join(_ring_records(data, size))
        for source in sources:
            self._add_pairs(source, b"", 0, records, size, skipped)

    def observe_perf(self, table: str, data: Buffer) -> None:
        """Record the stacks in a perf buffer's records."""
        sources = self._sources.get(table)
        if not sources:
            return
        size = self._record_size(table)
        records = b"".join(_perf_records(data, size))
        for source in sources:
            self._add_pairs(source, b"", 0, records, size)

    def _record_size(self, table: str) -> int:
        return max(field.offset + field.size for field in self._layouts[table].value)

    def _add_pairs(
        self,
        source: _Source,
        keys: Buffer,
        key_size: int,
        values: Buffer,
        value_size: int,
        skipped: int = 0,
    ) -> None:
        kind = "Q" if source.is_address else "i"

        def column(place: _Place) -> list[int]:
            if place.in_key:
                return _numbers(keys, key_size, place.offset, kind)
            return _numbers(values, value_size, place.offset + skipped, kind)

        if source.is_address:
            found = set(column(source.stack))
            self._addresses |= {address for address in found if KERNEL_HALF <= address < _NONE}
            return
        ids = column(source.stack)
        pids = column(source.pid) if source.pid else [0] * len(ids)
        known = self._pairs.setdefault(source.kernel, set())
        new = set(zip(pids, ids)) - known
        if new:
            known |= new
            self._observe({pid for pid, stack in new if stack >= 0 and pid > 0})

    def _observe(self, pids: Iterable[int]) -> None:
        now = time.monotonic()
        for pid in pids:
            process, observed = self._processes.get(pid, (None, 0.0))
            if process is None:
                if len(self._processes) >= _MAX_PROCESSES:
                    self._processes.popitem(last=False)
                    self._dropped_processes += 1
                process = Process(pid, self._files)
                self._learn(process)
            elif now - observed < _OBSERVE_AGAIN_S:
                continue
            process.observe()
            self._processes[pid] = (process, now)
            self._processes.move_to_end(pid)

    def _learn(self, process: Process) -> None:
        if self._events is not None:
            self._events.read()
            process.learn(self._events.of(process.pid))

    def read_events(self) -> None:
        """Take what the kernel reported of processes' mappings, before its buffer is full."""
        if self._events is not None:
            self._events.read()

    # --- resolving -------------------------------------------------------------------------------

    def resolve(self, *, new: bool = False) -> dict[str, list[list[str | int]]]:
        """Return each trace's frames, leaf first: "PID:ID" -> [[symbol, offset, module], ...].

        new: only traces that no such call has returned yet.

        PID is 0 for the kernel's half of a stack, and for stacks without a process next to them.
        Without a symbol: ["", offset in the module, module], or ["", address, ""].
        """
        tables = [_Traces(fd) for fd in self._fds.values()]
        left = list(self._wanted())
        if new:
            left = [each for each in left if each not in self._resolved]
            self._resolved.update(left)
        for process, _ in self._processes.values() if left else ():
            process.observe()
            self._learn(process)
            process.read_jit()
        found: dict[str, list[list[str | int]]] = {}
        for address in self._addresses - self._named if new else self._addresses:
            found[f"0:{address}"] = [list(self._in_kernel(address))]
        self._named |= self._addresses
        for wanted, pid, stack in left:
            for table in tables:
                addresses = table.addresses(stack)
                is_kernel = bool(addresses) and addresses[0] >= KERNEL_HALF
                if not addresses or wanted not in (None, is_kernel):
                    continue
                if is_kernel:
                    frames = map(self._in_kernel, addresses)
                    key = f"0:{stack}"
                    named: list[list[str | int]] = list(map(list, dropwhile(_is_tracing, frames)))
                else:
                    key, named = f"{pid}:{stack}", self._user_frames(pid, addresses)
                found[key] = [*named, ["[truncated]", 0, ""]] if table.is_cut[stack] else named
        return found

    def warnings(self) -> list[str]:
        """Return what keeps stacks from having names."""
        found = []
        files, processes = self._files, [process for process, _ in self._processes.values()]
        if self._dropped_processes:
            found.append(
                f"stacks of {self._dropped_processes:,} processes have no names: only the latest"
                f" {_MAX_PROCESSES:,} are remembered; choose some with --pid or --comm"
            )
        if files.dropped:
            found.append(
                f"symbols of {files.dropped:,} files were not read: only {MOST_FILES:,} are kept"
                " open; choose processes with --pid or --comm"
            )
        if files.cut():
            found.append(f"symbols of {files.cut():,} files were not all read: that took too long")
        if any(process.jit_is_cut for process in processes):
            found.append("a /tmp/perf-PID.map is too large to be read completely")
        traced = {pid for pairs in self._pairs.values() for pid, _ in pairs}
        known = any(process.is_known for process in processes if process.pid in traced)
        if traced - {0} and not known and _in_container():
            found.append(
                "user stacks have no names: KernelScope runs in a container with its own pid"
                " namespace and cannot find the processes; start the container with --pid=host"
            )
        return found

    def _wanted(self) -> Iterable[tuple[bool | None, int, int]]:
        for wanted, pairs in self._pairs.items():
            yield from ((wanted, pid, stack) for pid, stack in pairs if stack >= 0)

    def _user_frames(self, pid: int, addresses: Sequence[int]) -> list[list[str | int]]:
        process, _ = self._processes.get(pid, (None, 0.0))
        if process is None:
            return [["", address, ""] for address in addresses]
        return [list(process.resolve(address)) for address in addresses]


def _in_container() -> bool:
    """Return whether this process has another pid namespace than the machine's first process."""
    try:
        return Path("/proc/self/ns/pid").stat().st_ino != _FIRST_PID_NAMESPACE
    except OSError:
        return False


def _deepest_stack() -> int:
    """Return how many frames the kernel records of a stack at most."""
    try:
        return int(Path("/proc/sys/kernel/perf_event_max_stack").read_text())
    except (OSError, ValueError):
        return 127


def _is_tracing(frame: Frame) -> bool:
    return bool(_TRACING.match(frame[0]))


class _Traces:
    """One stack table's traces by id, each looked up once."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._value = bytearray(syscalls.map_info(fd).value_size)
        self._known: dict[int, list[int]] = {}
        self._deepest = min(len(self._value) // 8, _deepest_stack())
        self.is_cut: dict[int, bool] = {}

    def addresses(self, stack: int) -> list[int]:
        if stack not in self._known:
            found: list[int] = []
            if maps.lookup(self._fd, struct.pack("=I", stack), self._value):
                found = memoryview(self._value).cast("Q").tolist()
                found = found[: found.index(0)] if 0 in found else found
                self.is_cut[stack] = len(found) >= self._deepest
            self._known[stack] = found
        return self._known[stack]


# --- places of the numbers ---------------------------------------------------------------------


def _sources(layout: Layout, kernel_names: Sequence[str]) -> list[_Source]:
    if layout.kind in ("stack_trace", "printk"):
        return []
    fields = [(True, field) for field in layout.key] + [(False, field) for field in layout.value]
    pid = _pid_place(fields)
    addresses = [
        _Source(_Place(in_key, field.offset), None, True, is_address=True)
        for in_key, field in fields
        if field.name.rpartition(".")[2] in kernel_names and field.size == 8 and field.count == 1
    ]
    return addresses + [
        _Source(_Place(in_key, field.offset), pid, _kernel_by_name(field.name))
        for in_key, field in fields
        if "stack" in _last(field) and field.type in _INTEGERS and field.count == 1
    ]


def _last(field: Field) -> str:
    return field.name.rpartition(".")[2].lower()


def _kernel_by_name(name: str) -> bool | None:
    lowered = name.lower()
    if "kern" in lowered:
        return True
    return False if "user" in lowered else None


def _pid_place(fields: list[tuple[bool, Field]]) -> _Place | None:
    for wanted in ("tgid", "pid_tgid", "tgid_pid", "pid"):
        for in_key, field in fields:
            if _last(field) == wanted and field.type in _INTEGERS and field.count == 1:
                upper = wanted == "pid_tgid" and field.size == 8  # bpf_get_current_pid_tgid()
                return _Place(in_key, field.offset + 4 * upper)
    return None


def _numbers(data: Buffer, stride: int, offset: int, kind: str = "i") -> list[int]:
    """Return the numbers at an offset of every entry, 32-bit ones (i) or 64-bit ones (Q)."""
    size = struct.calcsize(f"={kind}")
    if offset + size > stride:  # records that end before the field
        return [-1 if kind == "i" else _NONE] * (len(data) // stride)
    packed = struct.Struct(f"={offset}x{kind}{stride - offset - size}x")
    return [number for (number,) in packed.iter_unpack(data)]


def _ring_records(data: Buffer, size: int) -> Iterable[bytes]:
    """Yield a mixed chunk's records, each cut or padded to `size` bytes."""
    at = 0
    while at + 8 <= len(data):
        header = int.from_bytes(data[at : at + 4], "little")
        length = header & (DISCARDED - 1)
        if header == length:
            yield _fitted(data[at + 8 : at + 8 + length], size)
        at += stride_of(header)


def _perf_records(data: Buffer, size: int) -> Iterable[bytes]:
    """Yield the data of perf records, each cut or padded to `size` bytes."""
    at = 0
    while at + 8 <= len(data):
        kind, _, length = struct.unpack_from("=IHH", data, at)
        if kind == _PERF_SAMPLE:
            yield _fitted(data[at + _PERF_RAW : at + length], size)
        at += max(length, 8)


def _fitted(record: Buffer, size: int) -> bytes:
    return bytes(record[:size]).ljust(size, b"\xff")  # missing bytes read as no stack
