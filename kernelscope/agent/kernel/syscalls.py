"""The kernel's own interface: bpf(2), perf_event_open(2) and a few other calls.

Raw system calls through ctypes, so that attaching costs no libbcc. Every function raises OSError
with the kernel's errno. Offsets are those of `union bpf_attr` and `struct perf_event_attr`
(include/uapi/linux/bpf.h and perf_event.h), both of which only ever grow at their end.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import signal
import struct
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Union

# bpf(2) commands
MAP_CREATE = 0
MAP_LOOKUP_ELEM = 1
MAP_UPDATE_ELEM = 2
MAP_GET_NEXT_KEY = 4
PROG_LOAD = 5
OBJ_GET_INFO_BY_FD = 15
RAW_TRACEPOINT_OPEN = 17
BTF_LOAD = 18
LINK_CREATE = 28
ITER_CREATE = 33
MAP_LOOKUP_BATCH = 24
ENABLE_STATS = 32

# map types
MAP_TYPE_HASH = 1
MAP_TYPE_ARRAY = 2
MAP_TYPE_PERF_EVENT_ARRAY = 4
MAP_TYPE_PERCPU_HASH = 5
MAP_TYPE_PERCPU_ARRAY = 6
MAP_TYPE_STACK_TRACE = 7
MAP_TYPE_LRU_HASH = 9
MAP_TYPE_LRU_PERCPU_HASH = 10
MAP_TYPE_LPM_TRIE = 11
MAP_TYPE_RINGBUF = 27
MAP_TYPE_TASK_STORAGE = 29

# program types
PROG_TYPE_SOCKET_FILTER = 1
PROG_TYPE_KPROBE = 2
PROG_TYPE_SCHED_CLS = 3
PROG_TYPE_TRACEPOINT = 5
PROG_TYPE_XDP = 6
PROG_TYPE_PERF_EVENT = 7
PROG_TYPE_RAW_TRACEPOINT = 17
PROG_TYPE_TRACING = 26

# attach types
TRACE_RAW_TP = 23
TRACE_FENTRY = 24
TRACE_FEXIT = 25
TRACE_ITER = 28
XDP = 37
TCX_INGRESS = 46
TCX_EGRESS = 47
_BPF_PERF_EVENT = 41

# perf_event_open(2)
PERF_TYPE_HARDWARE = 0
PERF_TYPE_SOFTWARE = 1
PERF_TYPE_TRACEPOINT = 2
PERF_COUNT_SW_CPU_CLOCK = 0
PERF_FLAG_FD_CLOEXEC = 8
PERF_EVENT_IOC_ENABLE = 0x2400
PERF_EVENT_IOC_SET_BPF = 0x40042408

_ATTEMPTS = 20
_PR_SET_PDEATHSIG = 1
_NUMBERS = {  # machine -> (bpf, perf_event_open)
    "x86_64": (321, 298),
    "aarch64": (280, 241),
}

libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long

Buffer = Union[bytes, bytearray, "ctypes.Array[Any]"]


class ProgramLoadError(OSError):
    """The kernel refused a program; `log` is what its verifier wrote ("" if it wrote nothing)."""

    log: str = ""


def address(buffer: Buffer) -> int:
    """Return a buffer's address; the caller keeps the buffer alive."""
    if isinstance(buffer, bytes):
        return ctypes.cast(ctypes.c_char_p(buffer), ctypes.c_void_p).value or 0
    if isinstance(buffer, bytearray):
        return ctypes.addressof(ctypes.c_char.from_buffer(buffer))
    return ctypes.addressof(buffer)


def call(number: int, *arguments: int) -> int:
    """Make a system call by its number. Raises OSError."""
    result = int(libc.syscall(ctypes.c_long(number), *map(ctypes.c_long, arguments)))
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result


def _number(index: int) -> int:
    numbers = _NUMBERS.get(platform.machine())
    if numbers is None:
        raise OSError(errno.ENOSYS, f"no system call numbers known for {platform.machine()}")
    return numbers[index]


# --- bpf(2) --------------------------------------------------------------------------------------


def bpf(command: int, attr: Buffer) -> int:
    """Call bpf(2) with a packed `union bpf_attr`; the kernel writes into a mutable one."""
    return call(_number(0), command, address(attr), memoryview(attr).nbytes)


def _create(command: int, attr: Buffer) -> int:
    """Call bpf(2) for something new, again if a signal interrupts it."""
    return _repeated(lambda: bpf(command, attr))


def _repeated(attempt: Callable[[], int]) -> int:
    """Make a call again if a signal interrupts it, as libbpf does.

    The verifier gives up with EAGAIN when a signal is pending (kernel/bpf/verifier.c): SIGSTOP and
    SIGCONT suffice, and so does the freezer of a suspended machine.
    """
    for _ in range(_ATTEMPTS - 1):
        try:
            return attempt()
        except OSError as error:  # noqa: PERF203 - the loop is for the errors
            if error.errno not in (errno.EAGAIN, errno.EINTR):
                raise
    return attempt()


def map_create(
    map_type: int,
    key_size: int,
    value_size: int,
    max_entries: int,
    flags: int = 0,
    name: str = "",
    types: tuple[int, int, int] = (0, 0, 0),
) -> int:
    """Create a map and return its fd. types: a BTF object, and the ids of key and value in it."""
    numbers = (map_type, key_size, value_size, max_entries, flags, 0, 0)
    return _create(MAP_CREATE, struct.pack("=7I16s4I", *numbers, _object_name(name), 0, *types))


def btf_load(data: bytes) -> int:
    """Load descriptions of types into the kernel and return their fd."""
    return _create(BTF_LOAD, struct.pack("=QQIII4x", address(data), 0, len(data), 0, 0))


def _object_name(name: str) -> bytes:
    """Cut a name to what BPF_OBJ_NAME_LEN and bpf_obj_name_cpy (kernel/bpf/syscall.c) accept."""
    allowed = (c if c.isascii() and (c.isalnum() or c in "_.") else "_" for c in name)
    return "".join(allowed).encode()[:15]


def prog_load(
    prog_type: int,
    insns: bytes,
    license: str = "GPL",
    *,
    name: str = "",
    expected_attach_type: int = 0,
    attach_btf_id: int = 0,
    kern_version: int = 0,
    log_level: int = 0,
    log_size: int = 0,
) -> tuple[int, str]:
    """Load a program and return its fd and the verifier's log. Raises ProgramLoadError."""
    text = license.encode()
    log = bytearray(log_size) if log_level else bytearray()
    attr = struct.pack(
        "=IIQQIIQII16sIIIIQIIQII",
        prog_type,
        len(insns) // 8,
        address(insns),
        address(text),
        log_level,
        len(log),
        address(log) if log else 0,
        kern_version,
        0,  # prog_flags
        _object_name(name),
        0,  # prog_ifindex
        expected_attach_type,
        *(0,) * 7,  # BTF of the program: function and line information
        attach_btf_id,
    )
    try:
        fd = _create(PROG_LOAD, attr)
    except OSError as error:
        refused = ProgramLoadError(error.errno, error.strerror)
        refused.log = _text(log)
        raise refused from None
    return fd, _text(log)


def return_number(number: int) -> bytes:
    """Return the program that only returns a number: r0 = number; exit."""
    return struct.pack("<BBhiQ", 0xB7, 0, 0, number, 0x95)


def _text(buffer: Buffer) -> str:
    return bytes(buffer).split(b"\0", 1)[0].decode(errors="replace")


def raw_tracepoint_open(prog_fd: int, name: str | None = None) -> int:
    """Attach a raw tracepoint program by name, or a tracing program to its BTF target; an fd."""
    text = None if name is None else name.encode() + b"\0"
    return _create(
        RAW_TRACEPOINT_OPEN, struct.pack("=QII", address(text) if text else 0, prog_fd, 0)
    )


def link_create(prog_fd: int, target: int, attach_type: int, flags: int = 0) -> int:
    """Attach a program by a link and return its fd; closing it detaches the program at once.

    target: an fd, or an interface's number.
    """
    return _create(LINK_CREATE, struct.pack("=IIIIQQ", prog_fd, target, attach_type, flags, 0, 0))


def perf_link(prog_fd: int, event_fd: int) -> int:
    """Attach a program to a perf event by a link; an fd."""
    return link_create(prog_fd, event_fd, _BPF_PERF_EVENT)


def iter_create(link_fd: int) -> int:
    """Return an fd; reading it runs an iterator's program for every object."""
    return _create(ITER_CREATE, struct.pack("=II", link_fd, 0))


def enable_stats() -> int:
    """Have the kernel count and time every program's runs until the returned fd is closed."""
    return _create(ENABLE_STATS, bytes(4))


@dataclass(frozen=True)
class ProgramInfo:
    """What the kernel counted for a program (while statistics were on)."""

    run_cnt: int
    run_time_ns: int
    recursion_misses: int
    verified_insns: int


@dataclass(frozen=True)
class MapInfo:
    """A map as the kernel created it."""

    type: int
    key_size: int
    value_size: int
    max_entries: int
    flags: int
    name: str


def _obj_info(fd: int, size: int) -> bytearray:
    info = bytearray(size)
    bpf(OBJ_GET_INFO_BY_FD, struct.pack("=IIQ", fd, size, address(info)))
    return info


def obj_info_prog(fd: int) -> ProgramInfo:
    """Return a program's run statistics (`struct bpf_prog_info`)."""
    info = _obj_info(fd, 232)
    run_time, runs, misses, verified = struct.unpack_from("=QQQI", info, 192)
    return ProgramInfo(runs, run_time, misses, verified)


def map_info(fd: int) -> MapInfo:
    """Return a map's type and sizes (`struct bpf_map_info`)."""
    info = _obj_info(fd, 80)
    kind, _, key, value, entries, flags = struct.unpack_from("=6I", info)
    return MapInfo(kind, key, value, entries, flags, _text(info[24:40]))


# --- perf_event_open(2) --------------------------------------------------------------------------


def perf_attr(
    type: int,
    config: int,
    *,
    sample_period: int = 0,
    sample_freq: int = 0,
    sample_type: int = 0,
    wakeup_events: int = 0,
    config1: int = 0,
    config2: int = 0,
    disabled: bool = False,
    clockid: int | None = None,
) -> bytes:
    """Pack a `struct perf_event_attr` (its 112-byte version)."""
    bits = disabled | bool(sample_freq) << 10 | (clockid is not None) << 25
    head = struct.pack(
        "=IIQQQQQ", type, 112, config, sample_freq or sample_period, sample_type, 0, bits
    )
    tail = struct.pack("=IIQQQQIi", wakeup_events, 0, config1, config2, 0, 0, 0, clockid or 0)
    return (head + tail).ljust(112, b"\0")


def perf_event_open(
    attr: bytes, pid: int, cpu: int, group: int = -1, flags: int = PERF_FLAG_FD_CLOEXEC
) -> int:
    """Open a perf event and return its fd."""
    return _repeated(lambda: call(_number(1), address(attr), pid, cpu, group, flags))


# --- the process and the machine -----------------------------------------------------------------


def check(result: int) -> None:
    """Raise OSError if a C library call returned an error."""
    if result != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def prctl_die_with_parent(number: int = signal.SIGKILL) -> None:
    """Have the kernel send this process a signal when its parent thread ends."""
    check(libc.prctl(_PR_SET_PDEATHSIG, ctypes.c_ulong(number), 0, 0, 0))


def online_cpus() -> list[int]:
    """Return the numbers of the CPUs that are running."""
    return _cpu_list("online")


def possible_cpus() -> int:
    """Return how many CPUs are possible: the number of values per key of a per-CPU map."""
    return max(_cpu_list("possible")) + 1


def _cpu_list(which: str) -> list[int]:
    text = Path(f"/sys/devices/system/cpu/{which}").read_text(encoding="ascii")
    parts = [part.split("-") for part in text.strip().split(",")]
    return [cpu for part in parts for cpu in range(int(part[0]), int(part[-1]) + 1)]


def page_size() -> int:
    """Return the size of a page in bytes."""
    return os.sysconf("SC_PAGE_SIZE")


if sys.byteorder != "little":  # offsets of bit fields above are little endian's
    raise ImportError("KernelScope's agent runs on little-endian machines only")
