"""Read whole BPF maps in few system calls: raw keys and values, a batch at a time.

BPF_MAP_LOOKUP_BATCH (kernel/bpf/hashtab.c and syscall.c) fills two arrays per call. Kernels or
map types without it are read one key at a time. A map that changes while it is read returns each
key that stayed in it exactly once; other keys may or may not appear.
"""

from __future__ import annotations

import errno
import os
import struct
from collections.abc import Iterator

from kernelscope.agent.kernel import syscalls
from kernelscope.protocol.layout import Layout

BATCH = 131_072  # entries per piece: bounds the memory used at once
_FIRST_BATCH = 4096  # clearing big arrays would slow down small maps
_BATCH_BYTES = 64 << 20
_RETRIES = 8
_UNSUPPORTED = {errno.EINVAL, errno.EOPNOTSUPP, 524}  # 524 is the kernel's own ENOTSUPP

Piece = tuple[int, bytes, bytes]


def value_bytes(layout: Layout) -> int:
    """Return how many bytes one key's value takes: per-CPU values are padded to 8, one per CPU."""
    return (layout.value_size + 7 & ~7) * layout.cpus if layout.cpus else layout.value_size


def read(fd: int, layout: Layout) -> Iterator[Piece]:
    """Yield a map's entries in pieces: (count, keys, values), raw and in the same order.

    Every slot of an array is an entry, used or not. An empty map yields nothing.
    Raises OSError if the map cannot be read.
    """
    try:
        pieces = _read_batches(fd, layout)
        first = next(pieces, None)
    except OSError as error:
        if error.errno not in _UNSUPPORTED:
            raise
        yield from _read_singly(fd, layout)
        return
    if first is not None:
        yield first
        yield from pieces


def read_percpu_u64(fd: int, entries: int) -> list[int]:
    """Return the sums over all CPUs of a BPF_PERCPU_ARRAY of u64 with that many entries."""
    cpus = syscalls.possible_cpus()
    layout = Layout("", "percpu_array", key_size=4, value_size=8, cpus=cpus, max_entries=entries)
    values = memoryview(b"".join(piece[2] for piece in read(fd, layout))).cast("Q")
    return [sum(values[start : start + cpus]) for start in range(0, len(values), cpus)]


def _read_batches(fd: int, layout: Layout) -> Iterator[Piece]:
    key_size, value_size = layout.key_size, value_bytes(layout)
    most = max(min(BATCH, layout.max_entries, _BATCH_BYTES // (key_size + value_size)), 1)
    size = min(_FIRST_BATCH, most)
    position = bytearray(max(key_size, 8))  # a bucket's number for hashes, a key for arrays
    started, retries = False, 0
    keys, values = bytearray(), bytearray()
    while True:
        if len(keys) < size * key_size:
            keys, values = bytearray(size * key_size), bytearray(size * value_size)
        code, count = _lookup_batch(fd, position if started else None, position, keys, values, size)
        if code == errno.ENOSPC:  # one bucket holds more than the batch: nothing was copied
            size *= 2
            continue
        retries += code == errno.EINTR  # keys were deleted meanwhile: those read are good
        if code not in (0, errno.ENOENT) and (code != errno.EINTR or retries > _RETRIES):
            raise OSError(code, f"map {layout.table} could not be read: {os.strerror(code)}")
        if count:
            started = True
            yield count, _head(keys, count * key_size), _head(values, count * value_size)
        if code == errno.ENOENT or (code == 0 and not count):
            return
        size = max(size, min(size * 8, most))


def _head(buffer: bytearray, size: int) -> bytes:
    return bytes(memoryview(buffer)[:size])


def _lookup_batch(
    fd: int,
    after: bytearray | None,
    position: bytearray,
    keys: bytearray,
    values: bytearray,
    size: int,
) -> tuple[int, int]:
    """Fill both arrays with the entries behind `after` and move `position`: (errno, count)."""
    start = 0 if after is None else syscalls.address(after)
    places = (start, *(syscalls.address(buffer) for buffer in (position, keys, values)))
    attr = bytearray(struct.pack("=QQQQIIQQ", *places, size, fd, 0, 0))
    code = 0
    try:
        syscalls.bpf(syscalls.MAP_LOOKUP_BATCH, attr)
    except OSError as error:
        code = error.errno or errno.EIO
    return code, int(struct.unpack_from("=I", attr, 32)[0])


def _read_singly(fd: int, layout: Layout) -> Iterator[Piece]:
    """Read one key at a time, each once: a deleted key sends the kernel back to the first."""
    seen: dict[bytes, bytes] = {}
    value = bytearray(value_bytes(layout))
    key = next_key(fd, None, layout.key_size)
    steps, most = 0, 2 * layout.max_entries + 1024
    while key is not None and steps < most:
        if lookup(fd, key, value):
            seen[key] = bytes(value)
        key = next_key(fd, key, layout.key_size)
        steps += 1
    entries = list(seen.items())
    for start in range(0, len(entries), BATCH):
        piece = entries[start : start + BATCH]
        yield len(piece), b"".join(k for k, _ in piece), b"".join(v for _, v in piece)


def next_key(fd: int, key: bytes | None, key_size: int) -> bytes | None:
    """Return the key after `key` (the first for None), or None at the end."""
    found = bytearray(key_size)
    before = 0 if key is None else syscalls.address(key)
    try:
        syscalls.bpf(
            syscalls.MAP_GET_NEXT_KEY,
            struct.pack("=IIQQQ", fd, 0, before, syscalls.address(found), 0),
        )
    except OSError as error:
        if error.errno == errno.ENOENT:
            return None
        raise
    return bytes(found)


def lookup(fd: int, key: bytes, value: bytearray) -> bool:
    """Fill `value` (of the map's full value size) with a key's value; False if it has none."""
    attr = struct.pack("=IIQQQ", fd, 0, syscalls.address(key), syscalls.address(value), 0)
    try:
        syscalls.bpf(syscalls.MAP_LOOKUP_ELEM, attr)
    except OSError as error:
        if error.errno == errno.ENOENT:
            return False
        raise
    return True


def update(fd: int, key: bytes, value: bytes) -> None:
    """Set a key's value."""
    attr = struct.pack("=IIQQQ", fd, 0, syscalls.address(key), syscalls.address(value), 0)
    syscalls.bpf(syscalls.MAP_UPDATE_ELEM, attr)
