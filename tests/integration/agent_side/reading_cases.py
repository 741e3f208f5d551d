"""The steps of test_reader.py that run in the agent's Python; results are plain JSON."""

from __future__ import annotations

import ctypes
import os
import struct
import subprocess
import time
from pathlib import Path
from typing import Any

import bpf_programs as programs  # type: ignore[import-not-found]

from kernelscope.agent.kernel import maps, mounts, perf_buffer, ring_buffer, syscalls
from kernelscope.agent.run import bpf_stats
from kernelscope.agent.symbols import modules
from kernelscope.agent.symbols import process as process_symbols
from kernelscope.agent.symbols import stacks as symbols
from kernelscope.protocol.layout import Field, Layout

_UPDATE_BATCH = 26
RAW_TRACEPOINT = syscalls.PROG_TYPE_RAW_TRACEPOINT


# --- rings ---------------------------------------------------------------------------------------


def _ring(size: int) -> int:
    return syscalls.map_create(syscalls.MAP_TYPE_RINGBUF, 0, 0, size)


def _numbers(chunks: list[ring_buffer.Chunk]) -> list[int]:
    found = []
    for chunk in chunks:
        at = 0
        while at < len(chunk.data):
            header, _, number = struct.unpack_from("=IIQ", chunk.data, at)
            if header < ring_buffer.DISCARDED:
                found.append(number)
            at += ring_buffer.stride_of(header)
    return found


def ring_numbers(program: str, libbpf: bool) -> dict[str, Any]:
    """Run a program in uneven portions through a small ring and read it after each."""
    size = 1 << 16
    fd, counter = _ring(size), programs.counter()
    ring = ring_buffer.Ring(fd, size)
    if not libbpf:
        ring._walker_wanted = False
    prog = programs.load_program(getattr(programs, program)(fd, counter))
    numbers, strides, records = [], set(), 0
    for portion in [1, 2, 3, 700, 997, 1000, 13] * 7:
        programs.run(prog, portion)
        chunks = ring.drain()
        strides |= {chunk.stride for chunk in chunks}
        records += sum(chunk.records for chunk in chunks)
        numbers += _numbers(chunks)
    left = ring.pending()
    walker = ring._walker is not None
    ring.close()
    return {
        "sent": 7 * (1 + 2 + 3 + 700 + 997 + 1000 + 13),
        "numbers": numbers,
        "records": records,
        "strides": sorted(strides),
        "left": left,
        "walker": walker,
    }


def ring_under_flood(program: str) -> dict[str, Any]:
    """Read a ring while another process floods it for a second."""
    size = 4 << 20
    fd, counter = _ring(size), programs.counter()
    prog = programs.load_program(getattr(programs, program)(fd, counter))
    ring = ring_buffer.Ring(fd, size)
    child = os.fork()
    if not child:
        deadline = time.monotonic() + 1
        while time.monotonic() < deadline:
            programs.run(prog, 10_000)
        os._exit(0)
    numbers = []
    while os.waitpid(child, os.WNOHANG) == (0, 0):
        numbers += _numbers(ring.drain())
        time.sleep(0.002)
    numbers += _numbers(ring.drain())
    return {
        "read": len(numbers),
        "rising": numbers == sorted(set(numbers)),
        "left": ring.pending(),
    }


# --- maps ----------------------------------------------------------------------------------------


def _fill(fd: int, keys: bytes, values: bytes, count: int) -> None:
    places = (0, 0, syscalls.address(keys), syscalls.address(values))
    syscalls.bpf(_UPDATE_BATCH, bytearray(struct.pack("=QQQQIIQQ", *places, count, fd, 0, 0)))


def _read(fd: int, layout: Layout, key: str, value: str) -> list[tuple[Any, ...]]:
    entries = []
    for count, keys, values in maps.read(fd, layout):
        found, contents = struct.iter_unpack(key, keys), list(struct.iter_unpack(value, values))
        if len(contents) != count:
            raise AssertionError(f"{len(contents)} values in a piece of {count}")
        entries += [(number, *contents[index]) for index, (number,) in enumerate(found)]
    return entries


def map_entries(kind: str, entries: int, capacity: int, batches: bool) -> list[Any]:
    """Fill a u32 -> u64 map with i -> 3 * i and read it back, sorted."""
    types = {"hash": syscalls.MAP_TYPE_HASH, "lru_hash": 9, "array": syscalls.MAP_TYPE_ARRAY}
    fd = syscalls.map_create(types[kind], 4, 8, capacity)
    if entries:
        keys = struct.pack(f"={entries}I", *range(entries))
        values = struct.pack(f"={entries}Q", *range(0, 3 * entries, 3))
        _fill(fd, keys, values, entries)
    if not batches:
        syscalls.MAP_LOOKUP_BATCH = 9999  # type: ignore  # as an older kernel answers: EINVAL
    layout = Layout("t", kind, key_size=4, value_size=8, max_entries=capacity)
    return sorted(_read(fd, layout, "=I", "=Q"))


def percpu_entries(kind: str, batches: bool) -> dict[str, Any]:
    """Fill a per-CPU map (value: u32, 12 bytes) with key * 100 + cpu."""
    cpus = syscalls.possible_cpus()
    map_type = {"percpu_hash": 5, "percpu_array": 6, "lru_percpu_hash": 10}[kind]
    fd = syscalls.map_create(map_type, 4, 12, 7)
    for key in range(7):
        value = b"".join(struct.pack("=III4x", key * 100 + cpu, 0, 0) for cpu in range(cpus))
        maps.update(fd, struct.pack("=I", key), value)
    if not batches:
        syscalls.MAP_LOOKUP_BATCH = 9999  # type: ignore
    layout = Layout("t", kind, key_size=4, value_size=12, cpus=cpus, max_entries=7)
    return {"cpus": cpus, "entries": sorted(_read(fd, layout, "=I", "=" + "I12x" * cpus))}


def percpu_sums() -> dict[str, Any]:
    cpus = syscalls.possible_cpus()
    fd = syscalls.map_create(6, 4, 8, 64)
    for key in range(64):
        maps.update(fd, struct.pack("=I", key), struct.pack(f"={cpus}Q", *[key] * cpus))
    return {"cpus": cpus, "sums": maps.read_percpu_u64(fd, 64)}


def crowded_bucket() -> int:
    """Read 3,000 keys through batches of one: many a bucket holds more."""
    fd = syscalls.map_create(syscalls.MAP_TYPE_HASH, 4, 8, 4096)
    _fill(fd, struct.pack("=3000I", *range(3000)), bytes(24000), 3000)
    maps._FIRST_BATCH = 1
    layout = Layout("t", "hash", key_size=4, value_size=8, max_entries=4096)
    return len({key for key, _ in _read(fd, layout, "=I", "=Q")})


def map_changed_while_read(batches: bool) -> dict[str, Any]:
    """Delete and add keys from 5,000 on while the map is read; the first 5,000 stay."""
    fd = syscalls.map_create(syscalls.MAP_TYPE_HASH, 4, 8, 20_000)
    _fill(fd, struct.pack("=10000I", *range(10_000)), bytes(80_000), 10_000)
    child = os.fork()
    if not child:
        deadline = time.monotonic() + 1
        while time.monotonic() < deadline:
            for number in range(5_000, 10_000):
                key = struct.pack("=I", number)
                syscalls.bpf(3, struct.pack("=IIQQQ", fd, 0, syscalls.address(key), 0, 0))
                maps.update(fd, key, bytes(8))
        os._exit(0)
    if not batches:
        syscalls.MAP_LOOKUP_BATCH = 9999  # type: ignore
    layout = Layout("t", "hash", key_size=4, value_size=8, max_entries=20_000)
    steady, doubled, readings = set(), 0, 0
    while os.waitpid(child, os.WNOHANG) == (0, 0):
        keys = [key for key, _ in _read(fd, layout, "=I", "=Q")]
        steady.add(sum(key < 5_000 for key in keys))
        doubled += len(keys) - len(set(keys))
        readings += 1
    return {"steady": sorted(steady), "doubled": doubled, "readings": readings}


def no_such_map() -> str:
    layout = Layout("gone", "hash", key_size=4, value_size=8, max_entries=10)
    try:
        list(maps.read(9999, layout))
    except OSError as error:
        return str(error)
    return ""


# --- perf buffers --------------------------------------------------------------------------------


def _perf_numbers(pieces: list[tuple[int, bytes]]) -> tuple[list[int], list[int], int]:
    numbers, times, lost = [], [], 0
    for _, data in pieces:
        at = 0
        while at < len(data):
            kind, _, size = struct.unpack_from("=IHH", data, at)
            if kind == 9:
                pid, _, when, _, _, length = struct.unpack_from("=IIQIII", data, at + 8)
                if pid != os.getpid() or length < 40:
                    raise AssertionError((pid, length))
                numbers.append(struct.unpack_from("=Q", data, at + 36)[0])
                times.append(when)
            elif kind == 2:
                lost += struct.unpack_from("=QQ", data, at + 8)[1]
            at += size
        if at != len(data):
            raise AssertionError("a record was cut")
    return numbers, times, lost


def perf_numbers(portions: list[int], ring_bytes: int) -> dict[str, Any]:
    """Run a program that writes perf records, in portions, and read after each."""
    os.sched_setaffinity(0, {syscalls.online_cpus()[-1]})
    fd = syscalls.map_create(syscalls.MAP_TYPE_PERF_EVENT_ARRAY, 4, 4, syscalls.possible_cpus())
    buffer = perf_buffer.PerfBuffer.of_map(fd, ring_bytes)
    prog = programs.load_program(programs.perf_records(fd, programs.counter()))
    numbers, times, in_stream = [], [time.monotonic_ns()], 0
    cpus = set()
    for portion in portions:
        programs.run(prog, portion)
        pieces = buffer.drain()
        cpus |= {cpu for cpu, _ in pieces}
        found = _perf_numbers(pieces)
        numbers += found[0]
        times += found[1]
        in_stream += found[2]
    times.append(time.monotonic_ns())
    result = {
        "numbers": numbers,
        "cpus": sorted(cpus),
        "own_cpu": syscalls.online_cpus()[-1],
        "times_rise": times == sorted(times),
        "lost": buffer.lost(),
        "lost_in_stream": in_stream,
        "left": buffer.pending(),
    }
    buffer.close()
    return result


def printed_lines(times: int) -> list[str]:
    """Return what programs print, as the printk tracepoint's records carry it."""
    mounts.unshare_mounts()
    mounts.mount("tracefs", "/sys/kernel/tracing", "tracefs")
    buffer = perf_buffer.PerfBuffer.of_printk(Path("/sys/kernel/tracing"))
    programs.run(programs.load_program(programs.printing(b"ks-test")), times)
    lines = []
    for _, data in buffer.drain():
        at = 0
        while at < len(data):
            kind, _, size = struct.unpack_from("=IHH", data, at)
            if kind == 9:
                raw = data[at + 36 : at + size]
                place = struct.unpack_from("=I", raw, 8)[0]
                text = raw[place & 0xFFFF :][: place >> 16]
                lines.append(text.rstrip(b"\0").decode())
            at += size
    return [line for line in lines if "ks-test" in line]


# --- stacks --------------------------------------------------------------------------------------

RECORD = (
    Field("pid_tgid", "u64", 0, 8),
    Field("user_stack_id", "s64", 8, 8),
    Field("kernel_stack_id", "s64", 16, 8),
)


def _resolver() -> tuple[int, ring_buffer.Ring, symbols.StackResolver]:
    stacks = syscalls.map_create(syscalls.MAP_TYPE_STACK_TRACE, 4, 127 * 8, 1024)
    fd = _ring(1 << 20)
    prog = programs.load_program(programs.stack_records(fd, stacks), RAW_TRACEPOINT)
    layouts = [Layout("events", "ring", value=RECORD, record_size=24)]
    return prog, ring_buffer.Ring(fd, 1 << 20), symbols.StackResolver({"stacks": stacks}, layouts)


def own_stack() -> dict[str, Any]:
    """Take this process's stacks inside its bpf(2) call."""
    prog, ring, resolver = _resolver()
    programs.run_raw(prog)
    for chunk in ring.drain():
        resolver.observe_records("events", chunk.data, chunk.stride)
    frames = resolver.resolve()
    return {"pid": os.getpid(), "frames": frames}


def stacks_of_a_process_that_has_ended(binary: str, delete: bool) -> dict[str, Any]:
    """Trace a program's system calls; resolve when it, and perhaps its file, are gone."""
    prog, ring, resolver = _resolver()
    with subprocess.Popen([binary], stdin=subprocess.PIPE) as child:
        if delete:
            Path(binary).unlink()
        link = syscalls.raw_tracepoint_open(prog, "sys_enter")
        deadline = time.monotonic() + 5
        seen = 0
        while seen < 5 and time.monotonic() < deadline:
            for chunk in ring.drain():
                for at in range(0, len(chunk.data), chunk.stride):
                    record = chunk.data[at : at + chunk.stride]
                    if struct.unpack_from("=I", record, 12)[0] == child.pid:
                        resolver.observe_records("events", record, chunk.stride)
                        seen += 1
            time.sleep(0.01)
        os.close(link)
        child.kill()
    return {"seen": seen, "pid": child.pid, "frames": resolver.resolve()}


def map_with_stacks() -> dict[str, Any]:
    """Give the resolver a map keyed by pid and stack id instead of records."""
    prog, ring, _ = _resolver()
    programs.run_raw(prog)
    record = ring.drain()[0].data
    tgid, user, in_kernel = struct.unpack_from("=4xIqq", record, 8)
    stacks = next(fd for fd in range(3, 64) if _is_stack_map(fd))
    key = (Field("pid", "u32", 0, 4), Field("stack_id", "s32", 5, 4))  # packed: not aligned
    layout = Layout("counts", "hash", key=key, key_size=9, value_size=8)
    resolver = symbols.StackResolver({"stacks": stacks}, [layout])
    keys = b"".join(struct.pack("=Ixi", tgid, number) for number in (user, in_kernel, -14))
    first = resolver.wants("counts")
    resolver.observe_map("counts", 3, keys, bytes(24))
    frames = resolver.resolve()
    return {
        "wanted": [first, resolver.wants("other")],
        "keys": sorted(frames),
        "expected": sorted([f"{tgid}:{user}", f"0:{in_kernel}"]),
    }


def _is_stack_map(fd: int) -> bool:
    try:
        return syscalls.map_info(fd).type == syscalls.MAP_TYPE_STACK_TRACE
    except OSError:
        return False


def jit_names(owner: int) -> list[Any]:
    """Resolve an address in anonymous memory by a map file of the given owner."""
    path = Path(f"/tmp/perf-{os.getpid()}.map")
    page = ctypes.create_string_buffer(4096)
    start = ctypes.addressof(page)
    path.write_text(f"{start:x} 40 Main::hot\nnonsense\n{start + 64:x} zz bad\n")
    os.chown(path, owner, owner)
    try:
        process = process_symbols.Process(os.getpid(), modules.ModuleFiles())
        process.observe()
        process.read_jit()
        return list(process.resolve(start + 5))
    finally:
        path.unlink()


def jit_grows() -> list[str]:
    """Name an address before there is a map, when its function is compiled, and after others."""
    path = Path(f"/tmp/perf-{os.getpid()}.map")
    page = ctypes.create_string_buffer(4096)
    start = ctypes.addressof(page)
    process = process_symbols.Process(os.getpid(), modules.ModuleFiles())
    found = []
    try:
        for line in ("", f"{start:x} 40 first\n", f"{start + 64:x} 40 second\n"):
            with path.open("a") as file:
                file.write(line)
            process.observe()
            process.read_jit()
            found.append(process.resolve(start + 65)[0] or process.resolve(start + 1)[0])
    finally:
        path.unlink()
    return found


# --- statistics ----------------------------------------------------------------------------------


def statistics(duration_ns: int, runs: int) -> dict[str, Any]:
    """Run one of two programs in portions for a while with the sampling going."""
    busy = programs.load_program(programs.equal_records(_ring(4096), programs.counter()))
    idle = programs.load_program(programs.end())
    sampled = bpf_stats.RunStats({"busy": busy, "idle": idle})
    began = now = time.monotonic_ns()
    total = 0
    while now - began < duration_ns:
        sampled.tick(now)
        programs.run(busy, runs)
        total += runs
        now = time.monotonic_ns()
    return {"total": total, "misses": sampled.recursion_misses(), **sampled.result()}
