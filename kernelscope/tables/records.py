"""Raw bytes from the agent as numpy arrays: no Python code runs for a single record.

Three shapes arrive. Ring batches of one stride are read in place. Ring batches of differing
lengths, and perf batches, are linked lists in memory (each header leads to the next one), so the
records must be found first; `_walk` does that by pointer doubling. Maps are plain arrays.

Record formats: ring buffer headers are `struct bpf_ringbuf_hdr` in the kernel's
kernel/bpf/ringbuf.c (u32 length with two flag bits, u32 page offset); perf records are described
in include/uapi/linux/perf_event.h.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from kernelscope.protocol.layout import Field, Layout

Array = npt.NDArray[Any]
Buffer = bytes | bytearray | memoryview

HEADER = 8
_LENGTH = np.uint32(0x3FFF_FFFF)
_BUSY = np.uint32(1 << 31)
_DISCARDED = np.uint32(1 << 30)
_PERF_SAMPLE = 9
# sample_type TID|TIME|CPU|RAW: header 8, pid and tid 8, time 8, cpu 8, raw_size 4, then the data.
_PERF_DATA = 36

_BLOCK_WORDS = 16384  # 128 KiB: the tables of a block stay in the second-level cache
_DOUBLINGS = 3

_FORMATS = {
    "u8": "<u1",
    "u16": "<u2",
    "u32": "<u4",
    "u64": "<u8",
    "s8": "<i1",
    "s16": "<i2",
    "s32": "<i4",
    "s64": "<i8",
    "f32": "<f4",
    "f64": "<f8",
    "ptr": "<u8",
    "bool": "<u1",
    "char": "<i1",
}


# --- dtypes --------------------------------------------------------------------------------------


def dtype_of(fields: Sequence[Field], size: int, offset: int = 0) -> np.dtype[Any]:
    """Return the structured dtype of `fields`, `size` bytes per item, each field moved by `offset`.

    A char array becomes "S", another array a subarray, a u128 or an unknown type raw bytes ("V").
    Names are the fields' own, dots and all; a bit field has its container's type (see `column`).
    """
    return np.dtype(
        {
            "names": [field.name for field in fields],
            "formats": [_format(field) for field in fields],
            "offsets": [field.offset + offset for field in fields],
            "itemsize": size,
        }
    )


def _format(field: Field) -> Any:
    if field.type == "char" and field.count != 1:
        return f"S{field.size}"
    if field.bits:
        return f"<{'i' if field.type.startswith('s') else 'u'}{field.size}"
    if field.type not in _FORMATS:
        return f"V{field.size}"
    return (_FORMATS[field.type], (field.count,)) if field.count != 1 else _FORMATS[field.type]


def span(fields: Sequence[Field], size: int = 0) -> int:
    """Return the bytes that hold all of `fields`, at least `size`."""
    return max([size, *(field.offset + field.size for field in fields)])


def has_padding(fields: Sequence[Field], size: int) -> bool:
    """Whether some of the `size` bytes belong to no field, as the compiler's padding does."""
    covered = np.zeros(size, bool)
    for field in fields:
        covered[field.offset : field.offset + field.size] = True
    return not covered.all()


def is_flexible(fields: Sequence[Field]) -> bool:
    """Whether the last field is an array without a size (`char text[]`)."""
    return bool(fields) and fields[-1].type in ("char", "u8") and not fields[-1].size


def fitted(fields: Sequence[Field], longest: int) -> tuple[Field, ...]:
    """Return `fields`; a flexible last one gets the size that the longest record needs."""
    if not is_flexible(fields):
        return tuple(fields)
    size = max(longest - fields[-1].offset, 1)
    return (*fields[:-1], dataclasses.replace(fields[-1], size=size, count=max(size, 2)))


def column(rows: Array, field: Field) -> Array:
    """Return one field of structured `rows`, a bit field taken out of its container."""
    values: Array = rows[field.name]
    if not field.bits:
        return values
    kind = values.dtype.type
    up = kind(field.size * 8 - field.bits - field.bit_offset)
    down = kind(field.size * 8 - field.bits)
    with np.errstate(over="ignore"):
        result: Array = (values << up) >> down  # a signed type's right shift extends the sign
    return result


# --- finding the records -------------------------------------------------------------------------


@dataclass(frozen=True)
class Records:
    """Where the records of one payload are.

    starts: the byte where each record's data starts. lengths: its bytes.
    torn: records left out because they were incomplete when they were copied.
    """

    starts: Array
    lengths: Array
    torn: int = 0


@dataclass(frozen=True)
class Samples:
    """The samples of a perf payload: their records, with time, CPU, process and thread.

    time: nanoseconds of CLOCK_MONOTONIC. lost: records that PERF_RECORD_LOST reported missing.
    """

    records: Records
    time: Array
    cpu: Array
    pid: Array
    tid: Array
    lost: int


def walk(payload: Buffer) -> Records:
    """Find the records of a ring buffer payload (headers included).

    Discarded records are left out. Busy ones, and one that the payload's end cuts off, are counted
    as torn.
    """
    words = _words(payload)
    headers = words.view("<u4")[::2]
    positions = _walk(((headers & _LENGTH) + np.uint32(HEADER + 7)) >> np.uint32(3))
    found = headers[positions]
    starts = positions * 8 + HEADER
    lengths = (found & _LENGTH).astype(np.int64)
    whole = starts + lengths <= len(payload)
    busy = (found & _BUSY) != 0
    discarded = (found & _DISCARDED) != 0
    keep = whole & ~busy & ~discarded
    torn = int(np.count_nonzero(busy | (~whole & ~discarded)))
    return Records(starts[keep], lengths[keep], torn)


def samples(payload: Buffer) -> Samples:
    """Find the samples of a perf payload (TID, TIME, CPU and RAW in each)."""
    words = _words(payload)
    positions = _walk(np.maximum(words >> np.uint64(51), 1).astype(np.uint32))
    kinds = words.view("<u4")[::2][positions]
    sizes = (words[positions] >> np.uint64(48)).astype(np.int64)
    ends = positions * 8 + sizes
    # Two words, id and lost, follow the header of PERF_RECORD_LOST (type 2).
    reports = positions[(kinds == 2) & (sizes >= 24) & (ends <= len(words) * 8)]
    lost = int(words[reports + 2].sum())
    is_sample = kinds == _PERF_SAMPLE
    room = is_sample & (ends <= len(words) * 8) & (sizes > _PERF_DATA)
    at = positions[room]
    u4 = words.view("<u4")
    lengths = u4[at * 2 + 8].astype(np.int64)
    fits = lengths + _PERF_DATA <= sizes[room]
    at, lengths = at[fits], lengths[fits]
    torn = int(np.count_nonzero(is_sample)) - len(at)
    return Samples(
        Records(at * 8 + _PERF_DATA, lengths, torn),
        time=words[at + 2],
        cpu=u4[at * 2 + 6],
        pid=u4[at * 2 + 2],
        tid=u4[at * 2 + 3],
        lost=lost,
    )


def _words(payload: Buffer) -> Array:
    return np.frombuffer(_padded(payload, 8), "<u8")


def _padded(payload: Buffer, unit: int) -> Buffer:
    """Return a payload whose size is a multiple of `unit`, with zeros added if it was not."""
    missing = -len(payload) % unit
    return bytes(payload) + bytes(missing) if missing else payload


def _walk(steps: Array) -> Array:
    """Return the indexes reached from 0 when each index i leads to i + steps[i].

    For each block: `jumps[0]` holds the next index of every index, reachable or not; composing a
    table with itself gives jumps of 2, 4 and 8 records. A short chain of the longest jumps crosses
    the block, and the shorter ones fill in between, in order. Costs a few gathers per word and one
    step of Python per 8 records.
    """
    found: list[Array] = []
    start = 0
    while start < len(steps):
        block = steps[start : start + _BLOCK_WORDS]
        size = len(block)
        following = np.arange(size + 1)
        following[:size] += block
        jumps = [np.minimum(following, size)]
        for _ in range(_DOUBLINGS):
            jumps.append(jumps[-1].take(jumps[-1]))
        reached = _chain(jumps.pop(), size)
        for jump in reversed(jumps):
            reached = np.stack([reached, jump.take(reached)], axis=1).ravel()
        reached = reached[reached < size]
        found.append(reached + start)
        start += int(following[reached[-1]])
    return np.concatenate(found) if found else np.empty(0, np.int64)


def _chain(jump: Array, end: int) -> Array:
    table = jump.data
    position = 0
    chain = []
    while position < end:
        chain.append(position)
        position = table[position]
    return np.array(chain, np.int64)


# --- reading the records -------------------------------------------------------------------------


def gather(payload: Buffer, found: Records, size: int) -> Array:
    """Copy each record's first `size` bytes, zeros where it is shorter: uint8 of shape (n, size).

    `found.starts` are multiples of 4, as `walk` and `samples` make them.
    """
    unit = 4 if (found.starts % 8).any() else 8
    count = -(-size // unit)
    units = np.frombuffer(_padded(payload, unit) or bytes(unit), f"<u{unit}")
    first = found.starts // unit
    rows = np.empty((len(first), count), units.dtype)
    for index in range(count):
        units.take(first + index, out=rows[:, index], mode="clip")
    data = rows.view(np.uint8)
    shortest = int(found.lengths.min()) if len(first) else size
    if shortest < size:
        tail = data[:, shortest:size]
        tail *= np.arange(shortest, size) < found.lengths[:, None]
    return data[:, :size]


def records(payload: Buffer, layout: Layout, stride: int) -> Array:
    """Return a ring batch as a structured array, one item per record.

    stride > 0: every record has that stride and none is busy or discarded; the array is a view of
    `payload`. stride 0: records are found and copied (see `walk`). A record shorter than the
    layout reads as zeros at its end, a longer one is cut.
    """
    size = span(layout.value)
    if stride and len(payload) >= stride and not is_flexible(layout.value):
        length = int.from_bytes(payload[:4], "little") & int(_LENGTH)
        if size <= length:
            whole = memoryview(payload)[: len(payload) // stride * stride]
            return np.frombuffer(whole, dtype_of(layout.value, stride, HEADER))
    return structured(payload, strided(payload, stride) if stride else walk(payload), layout.value)


def strided(payload: Buffer, stride: int) -> Records:
    """Return where the records of a payload with one stride are."""
    starts = np.arange(len(payload) // stride) * stride + HEADER
    length = int.from_bytes(payload[:4], "little") & int(_LENGTH)
    return Records(starts, np.full(len(starts), min(length, stride - HEADER), np.int64))


def structured(payload: Buffer, found: Records, fields: Sequence[Field]) -> Array:
    """Copy the records `found` into a structured array of `fields`."""
    longest = int(found.lengths.max()) if len(found.lengths) else 0
    fields = fitted(fields, longest)
    size = max(span(fields), 1)
    rows = np.ascontiguousarray(gather(payload, found, size))
    result: Array = rows.view(dtype_of(fields, size)).reshape(len(found.starts))
    return result
