"""What crosses the boundary between the notebook and the agent, and how it is checked.

A *frame* is one line of JSON, then as many raw bytes as its "bytes" key says (none without it).
The line is at most `MAX_LINE` long. Every request travels over the control socket together with
one end of a fresh socket pair (SCM_RIGHTS); the agent forks for it, and the child answers on that
socket alone, so that a child that dies can corrupt no other run's stream.

Requests   hello · run · check · list · doctor
A run      [loaded ·] attached · batch* · map* · status* · stacks · receipt · end, or error · end
To a run   start (where the program holds) · until · stop · snapshot

`Program.from_json` is the agent's gate: it accepts only known keys with values of the right type
and range, and raises `AgentRefusedError` naming the field otherwise.
"""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from kernelscope.errors import AgentDiedError
from kernelscope.protocol.buffer_pool import Arena
from kernelscope.protocol.validation import NAME, Checker, integer, known, refuse

VERSION = 1
MAX_LINE = 4 << 20
MAX_PAYLOAD = 1 << 30
MAX_SOURCE = 256 << 10
MAX_FIELDS = 6  # of a tracepoint's record
MAX_DURATION_NS = 7 * 24 * 3600 * 10**9

# What bpf_trace_printk prints, as records: `struct ks_printk_t` of agent/source/printk.py.
PRINTK_TABLE = "ks_printk"
PRINTK_CONVERSION = re.compile(r"%[-+ #0]*\d*(?:\.\d+)?(?:hh|ll|[hlzjt])?([diuxXpsc%])")

_SPEC = re.compile(r"[\x21-\x7e][\x20-\x7e]{0,511}\Z")


# --- what to run ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Hook:
    """Where a C function is attached: the first of `any_of` that this kernel has.

    any_of: specs as bpftrace names them ("tracepoint:block:block_rq_issue", "uprobe:c:malloc").
        * and ? in a name stand for all that match (see hook_patterns.py).
    optional: the run goes on without this hook where the kernel has none of them.
    fields: of a tracepoint's record; KS_PARAM(hook_field_0) and so on then say where they are.
    """

    function: str
    any_of: tuple[str, ...]
    optional: bool = False
    fields: tuple[str, ...] = ()


@dataclass(frozen=True)
class Filters:
    """Which tasks are traced; None means all. Compiled into each program's first instructions.

    cgroup: the id of a cgroup of version 2, whose tasks and those below it are meant.
    cgroup_level: how far it is below the root.
    tree: the id of a process that is meant with all it starts, its threads' too (descendants.py).
    tree_cell: it is a thread's id instead, which says by its name when it is meant.
    tree_in_code: the program asks for the tree itself, where the current task is not the subject.
    """

    pid: int | None = None
    comm: str | None = None
    uid: int | None = None
    cgroup: int | None = None
    cgroup_level: int | None = None
    tree: int | None = None
    tree_cell: bool | None = None
    tree_in_code: bool | None = None


@dataclass(frozen=True)
class Program:
    """One run, wholly described: plain data that survives JSON, checked by the agent.

    name: for messages and the kernel's own lists.
    source: BPF C in BCC's dialect.
    prelude: C put before the source (kernelscope.h); errors are counted from the source's line 1.
    defines: preprocessor macros; part of what the bytecode cache is keyed by.
    hooks: attached besides those that BCC's naming in the source states by itself.
    params: numbers for `KS_PARAM(name)`; patched into the bytecode, so any value is a cache hit.
    filters: tasks to trace.
    exclude: process ids to leave out (the agent always adds its own) where the hook fires in the
        context of the task that it is about: system calls, user probes, sampling.
    target_pid: the process whose address space user probes and USDT attach to.
    duration_ns: 0 runs until stopped.
    interval_ns: maps are also read this often while it runs; 0 reads them at the end alone.
    ring_bytes: size of each ring buffer (a power of two; a larger size in the source wins).
    spool_bytes: what the agent keeps while the notebook is slow.
    max_entries: replaces the size of every hash in the source that states none; None keeps BCC's.
    per_cpu: keep per-CPU values apart instead of summing them on the notebook's side.
    substitute_perf: let a ring buffer stand in for BPF_PERF_OUTPUT.
    tables: the maps to read; empty reads them all. Rings and perf buffers are always read.
    enums: the kernel's enums whose names are wanted: sent with "attached".
    symbolize: resolve stack traces.
    measure: take the kernel's BPF run statistics in short windows.
    hold: load, say so, and attach at the word "start": so several runs begin together.
    """

    name: str
    source: str
    prelude: str = ""
    defines: Mapping[str, str] = field(default_factory=dict)
    hooks: tuple[Hook, ...] = ()
    params: Mapping[str, int] = field(default_factory=dict)
    filters: Filters = Filters()
    exclude: tuple[int, ...] = ()
    target_pid: int | None = None
    duration_ns: int = 0
    interval_ns: int = 0
    ring_bytes: int = 16 << 20
    spool_bytes: int = 256 << 20
    max_entries: int | None = None
    per_cpu: bool = False
    substitute_perf: bool = True
    tables: tuple[str, ...] = ()
    enums: tuple[str, ...] = ()
    symbolize: bool = True
    measure: bool = True
    hold: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return the program as plain JSON values."""
        data = asdict(self)
        data["defines"] = dict(self.defines)
        data["params"] = dict(self.params)
        return data

    @classmethod
    def from_json(cls, data: Any) -> Program:
        """Check `data` and build the program. Raises AgentRefusedError, naming the field."""
        values = known(data, cls, "program")
        check = Checker(values, "program")
        return cls(
            name=check.pattern("name", NAME),
            source=check.text("source", MAX_SOURCE),
            prelude=check.text("prelude", MAX_SOURCE, default=""),
            defines=_defines(values.get("defines", {})),
            hooks=tuple(_hook(item) for item in check.items("hooks", 256)),
            params=_params(values.get("params", {})),
            filters=_filters(values.get("filters", {})),
            exclude=tuple(
                integer(pid, "program.exclude", 0, 2**31 - 1) for pid in check.items("exclude", 64)
            ),
            target_pid=check.integer("target_pid", 1, 2**31 - 1, default=None),
            duration_ns=check.number("duration_ns", 0, MAX_DURATION_NS, 0),
            interval_ns=check.number("interval_ns", 0, MAX_DURATION_NS, 0),
            ring_bytes=check.power_of_two("ring_bytes", 4096, 1 << 30, 16 << 20),
            spool_bytes=check.number("spool_bytes", 1 << 20, 16 << 30, 256 << 20),
            max_entries=check.integer("max_entries", 1, 64 << 20, default=None),
            per_cpu=check.flag("per_cpu", False),
            substitute_perf=check.flag("substitute_perf", True),
            tables=tuple(check.names("tables", 256)),
            enums=tuple(check.names("enums", 16)),
            symbolize=check.flag("symbolize", True),
            measure=check.flag("measure", True),
            hold=check.flag("hold", False),
        )


def _hook(data: Any) -> Hook:
    check = Checker(known(data, Hook, "hook"), "hook")
    specs = check.items("any_of", 16)
    if not specs or not all(isinstance(s, str) and _SPEC.match(s) for s in specs):
        raise refuse("hook.any_of", "not a list of hook names")
    return Hook(
        check.pattern("function", NAME),
        tuple(specs),
        check.flag("optional", False),
        tuple(check.names("fields", MAX_FIELDS)),
    )


def _filters(data: Any) -> Filters:
    check = Checker(known(data, Filters, "filters"), "filters")
    comm = check.values.get("comm")
    return Filters(
        pid=check.integer("pid", 0, 2**31 - 1, default=None),
        comm=None if comm is None else check.text("comm", 15),
        uid=check.integer("uid", 0, 2**32 - 1, default=None),
        cgroup=check.integer("cgroup", 0, 2**64 - 1, default=None),
        cgroup_level=check.integer("cgroup_level", 0, 255, default=None),
        tree=check.integer("tree", 1, 2**31 - 1, default=None),
        tree_cell=_flag_or_none(check, "tree_cell"),
        tree_in_code=_flag_or_none(check, "tree_in_code"),
    )


def _flag_or_none(check: Checker, name: str) -> bool | None:
    return None if check.values.get(name) is None else check.flag(name, False)


def _defines(data: Any) -> dict[str, str]:
    if not isinstance(data, dict) or len(data) > 64:
        raise refuse("program.defines", "not an object of at most 64 macros")
    for name, value in data.items():
        if not NAME.match(name):
            raise refuse("program.defines", f"{name!r} is not a macro's name")
        if not isinstance(value, str) or not re.match(r"[\x20-\x7e]{0,256}\Z", value):
            raise refuse(f"program.defines.{name}", "not one line of plain text")
    return dict(data)


def _params(data: Any) -> dict[str, int]:
    if not isinstance(data, dict) or len(data) > 64:
        raise refuse("program.params", "not an object of at most 64 numbers")
    for name, value in data.items():
        if not NAME.match(name):
            raise refuse("program.params", f"{name!r} is not a parameter's name")
        integer(value, f"program.params.{name}", -(2**63), 2**64 - 1)
    return dict(data)


# --- how to read what comes back -----------------------------------------------------------------


@dataclass(frozen=True)
class Field:
    """One scalar (or array of scalars) at its place in a record, key or value.

    name: dotted for members of nested structs ("addr.port", "path[1].id").
    type: u8 … u64, s8 … s64, u128, f32, f64, char, bool, ptr.
    offset, size: in bytes; size covers the whole array.
    count: elements; 1 for a scalar. A char array is text.
    bit_offset, bits: a bit field's place within its `size` bytes; bits 0 means none.
    """

    name: str
    type: str
    offset: int
    size: int
    count: int = 1
    bit_offset: int = 0
    bits: int = 0


@dataclass(frozen=True)
class Layout:
    """How to read one table's bytes; comes from what BCC compiled, never written twice.

    table: the map's name in the C text.
    kind: "ring" and "perf" (records), "printk" (trace_printk lines, perf records), "stack_trace",
        or a map: "hash", "lru_hash", "percpu_hash", "lru_percpu_hash", "array", "percpu_array".
    key, value: for maps; record (in `value`) for rings. `*_size` are bytes.
    histogram: "", "log2" (BPF_HISTOGRAM fed by bpf_log2l), "linear" (BPF_HISTOGRAM fed otherwise)
        or "log_linear" (KS_HISTOGRAM); the slot is the key's last field.
    cpus: how many values a per-CPU map holds for a key (each padded to 8 bytes); else 0.
    max_entries: the map's capacity; a ring's size in bytes.
    record_size: payload bytes when every record has the same size, else 0.
    """

    table: str
    kind: str
    key: tuple[Field, ...] = ()
    value: tuple[Field, ...] = ()
    key_size: int = 0
    value_size: int = 0
    histogram: str = ""
    cpus: int = 0
    max_entries: int = 0
    record_size: int = 0

    def to_json(self) -> dict[str, Any]:
        """Return the layout as plain JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Layout:
        """Build a layout from `to_json`'s values (the agent is trusted by the notebook)."""
        values = dict(data)
        for part in ("key", "value"):
            values[part] = tuple(Field(**item) for item in values.get(part, ()))
        return cls(**values)


# --- frames --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Frame:
    """One message: its JSON header and its raw payload."""

    header: dict[str, Any]
    payload: bytes | bytearray | memoryview = b""

    @property
    def type(self) -> str:
        """The frame's "type" key."""
        return str(self.header.get("type", ""))


def encode_header(header: Mapping[str, Any], payload_bytes: int = 0) -> bytes:
    """Return the header's line; `payload_bytes` raw bytes must follow it."""
    if payload_bytes:
        header = {**header, "bytes": payload_bytes}
    return json.dumps(header, separators=(",", ":")).encode() + b"\n"


def decode_header(line: bytes) -> tuple[dict[str, Any], int]:
    """Return a line's header and how many payload bytes follow. Raises AgentRefusedError."""
    try:
        header = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise refuse("frame", f"not JSON ({error})") from None
    if not isinstance(header, dict):
        raise refuse("frame", "not a JSON object")
    size = integer(header.pop("bytes", 0), "frame.bytes", 0, MAX_PAYLOAD)
    return header, size


class FrameReader:
    """Reads frames from a stream socket; blocks, and releases the interpreter while it does."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self._pending = bytearray()
        self._arena = Arena()

    def read(self) -> Frame | None:
        """Return the next frame, or None at the stream's end.

        Raises AgentDiedError where the stream ends inside a frame, AgentRefusedError where the
        line is not a frame's.
        """
        line = self._line()
        if line is None:
            self._arena = Arena()  # what nobody looks at any more may go
            return None
        header, size = decode_header(line)
        return Frame(header, self._payload(size) if size else b"")

    def _line(self) -> bytes | None:
        searched = 0
        while True:
            end = self._pending.find(b"\n", searched)
            if end >= 0:
                line = bytes(self._pending[:end])
                del self._pending[: end + 1]
                return line
            searched = len(self._pending)
            if searched > MAX_LINE:
                raise refuse("frame", f"a line of more than {MAX_LINE} bytes")
            chunk = self.sock.recv(1 << 16)
            if not chunk:
                if self._pending:
                    raise AgentDiedError("the stream ended inside a message")
                return None
            self._pending += chunk

    def _payload(self, size: int) -> bytearray | memoryview:
        payload = self._arena.take(size)
        have = min(size, len(self._pending))
        payload[:have] = self._pending[:have]
        del self._pending[:have]
        view = memoryview(payload)
        while have < size:
            # All at once: each return would wait for the interpreter's lock.
            count = self.sock.recv_into(view[have:], 0, socket.MSG_WAITALL)
            if not count:
                raise AgentDiedError("the stream ended inside a message")
            have += count
        return payload


def send_frame(
    sock: socket.socket, header: Mapping[str, Any], payload: bytes | memoryview = b""
) -> None:
    """Send one frame, blocking until the socket took it all."""
    sock.sendall(encode_header(header, len(payload)))
    if payload:
        sock.sendall(payload)
