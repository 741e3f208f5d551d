"""Read a BPF ring buffer's memory in bulk: no Python call per event.

The mmap of a ring-buffer map (kernel/bpf/ringbuf.c): page 0 holds the consumer's position
(read/write), page 1 the producer's (read only), then the data is mapped twice in a row, so that a
record that wraps reads as one piece. A record is an 8-byte header (u32 length, whose bit 31 says
busy and bit 30 discarded; u32 page offset) and its payload, together rounded up to 8 bytes.

The header is read before the payload, always: a record that was finished when its header was read
stays unchanged until the consumer's position passes it. (A copy made first could hold a payload
from before the end of the record with a header from after it.)
"""

from __future__ import annotations

import ctypes
import mmap
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Union

PAGE = mmap.PAGESIZE
CHUNK = 5 << 19  # one tick of a burst; larger pieces leave the CPU's cache
BUSY, DISCARDED = 1 << 31, 1 << 30
_LENGTH = DISCARDED - 1
_HEADER = 8
_LONG_RUN = 64 << 10  # bytes: from here on, creating the walker pays off
_SHORT_RUN = 256  # records: for fewer, a separate chunk costs more than walking

_lock = threading.Lock()


def fence() -> None:
    """Keep the memory reads after this call after those before it, on any CPU."""
    with _lock:  # a release, then an acquire: x86 needs neither, arm64 does
        pass
    with _lock:
        pass


def stride_of(header: int) -> int:
    """Return how many bytes a record takes in the ring, from its header's first word."""
    return (header & _LENGTH) + _HEADER + 7 & ~7


@dataclass(frozen=True)
class Chunk:
    """Whole records as they are in the ring, headers included.

    stride: bytes from one record to the next, when all are alike and none was discarded; else 0,
        and the records must be walked (a discarded one, bit 30, is to be skipped).
    records: how many there are, discarded ones not counted.
    """

    data: Union[bytes, memoryview]
    stride: int
    records: int


class Ring:
    """The reading end of one ring buffer. There must be only one reader.

    source: a ring-buffer map's fd; or anything that `mmap` takes, for tests (an fd whose file
        has the same layout).
    size: the map's max_entries, in bytes.
    record_size: the payload's bytes if all records have the same size; else 0.
    stride: bytes from one record to the next if that is known; else 0.
    """

    def __init__(self, map_fd: int, size: int, record_size: int = 0) -> None:
        read_write = mmap.PROT_READ | mmap.PROT_WRITE
        self.capacity = size
        self._fd = map_fd
        self._consumer_map = mmap.mmap(map_fd, PAGE, mmap.MAP_SHARED, read_write)
        self._producer_map = mmap.mmap(
            map_fd, PAGE + 2 * size, mmap.MAP_SHARED, mmap.PROT_READ, offset=PAGE
        )
        # Whole machine words: neither side must ever read half a position.
        self._consumer = memoryview(self._consumer_map)[:8].cast("Q")
        self._producer = memoryview(self._producer_map)[:8].cast("Q")
        self._data = memoryview(self._producer_map)[PAGE:]
        self._words = self._data.cast("I")
        self._alike: tuple[int, memoryview] = (-1, memoryview(b""))
        self.stride = stride_of(record_size) if record_size else 0
        self._walker: _Walker | None = None
        self._walker_wanted = True

    def pending(self) -> int:
        """Return how many bytes wait in the ring, records still being written included."""
        return self._producer[0] - self._consumer[0]

    def drain(self, limit: int = 1 << 62) -> list[Chunk]:
        """Take the finished records, up to the first that is still being written.

        limit: stop after about this many bytes (never within a record).
        """
        chunks: list[Chunk] = []
        self.pass_on(lambda chunk, _: chunks.append(replace(chunk, data=bytes(chunk.data))), limit)
        return chunks

    def pass_on(self, take: Callable[[Chunk, int], object], limit: int = 1 << 62) -> int:
        """Pass `take` what `drain` would return, without a copy; return how many bytes.

        A chunk's data is the ring's own memory, valid until `take` returns. The second argument
        is how many bytes are behind the chunk, finished or not.
        """
        start = position = self._consumer[0]
        end = self._producer[0]
        fence()
        while position < end and position - start < limit:
            chunk, taken = self._next(position, end)
            if not taken:
                break
            if chunk is not None:
                take(chunk, end - position - taken)
            position += taken
            fence()
            self._consumer[0] = position
        return position - start

    def close(self) -> None:
        """Unmap the ring."""
        if self._walker is not None:
            self._walker.close()
            self._walker = None
        for view in (self._words, self._data, self._producer, self._consumer):
            view.release()
        self._producer_map.close()
        self._consumer_map.close()

    def _next(self, position: int, end: int) -> tuple[Chunk | None, int]:
        """Find the records at `position`: a chunk (None if all were discarded), bytes taken."""
        at = position & (self.capacity - 1)
        header = self._words[at >> 2]
        if header & BUSY:
            return None, 0
        span = min(end - position, CHUNK)
        if span >= _LONG_RUN and self.stride and self._has_walker():
            return self._walk_alike(position, span)
        if not header & DISCARDED:
            stride = stride_of(header)
            possible = max(span // stride, 1)
            records = self._run(at, header, stride, possible)
            taken = records * stride
            if records >= min(_SHORT_RUN, possible) or self._words[at + taken >> 2] & BUSY:
                fence()
                return Chunk(self._data[at : at + taken], stride, records), taken
        records, taken = self._walk(position, span)
        fence()
        return (Chunk(self._data[at : at + taken], 0, records) if records else None), taken

    def _walk_alike(self, position: int, span: int) -> tuple[Chunk | None, int]:
        """`_next` for records of one size: one call, discarded records or not."""
        records, taken = self._walk(position, span)
        fence()
        at = position & (self.capacity - 1)
        stride = self.stride if taken == records * self.stride else 0
        return (Chunk(self._data[at : at + taken], stride, records) if records else None), taken

    def _run(self, at: int, header: int, stride: int, possible: int) -> int:
        """Count the records from `at` that have the header `header`, up to `possible`."""
        if self._alike[0] != header:
            words = struct.pack("=I", header) * max(CHUNK // stride, 1)
            self._alike = (header, memoryview(words).cast("I"))
        alike = self._alike[1]
        headers = self._words[at >> 2 : (at + possible * stride) >> 2 : stride >> 2]
        if headers == alike[:possible]:
            return possible
        low, high = 0, possible  # the first `low` are alike; not all of the first `high` are
        while high - low > 1:
            middle = (low + high) // 2
            if headers[low:middle] == alike[low:middle]:
                low = middle
            else:
                high = middle
        return low

    def _walk(self, position: int, span: int) -> tuple[int, int]:
        """Find the end of the finished records within about `span` bytes: (records, bytes)."""
        if self._has_walker() and self._walker is not None:
            return self._walker.walk(position, position + span)
        return self._walk_slowly(position & (self.capacity - 1), span)

    def _has_walker(self) -> bool:
        if self._walker_wanted:
            self._walker_wanted = False
            self._walker = _Walker.make(self._fd)
        return self._walker is not None

    def _walk_slowly(self, start: int, span: int) -> tuple[int, int]:
        words = self._words
        at, records = start, 0
        end = start + span
        while at < end:
            header = words[at >> 2]
            if header & BUSY:
                break
            records += not header & DISCARDED
            at += (header & _LENGTH) + 15 & ~7
        return records, at - start


class _Walker:
    """libbpf's consumer, used to walk the ring without consuming it: 20 times Python's speed.

    `ring_buffer__consume` steps from header to header in C, stops at a busy one, and calls back for
    each record: here libc's `abs`, which does nothing. It maps the ring by itself; private pages
    put over its two position pages let us set where it starts and ends, and hide from the
    kernel that it moved. So the records stay in the ring until they are copied.
    """

    def __init__(self, library: Any, handle: int, consumer: int, producer: int) -> None:
        self._library = library
        self._handle = handle
        self._consumer = ctypes.c_uint64.from_address(consumer)
        self._producer = ctypes.c_uint64.from_address(producer)

    @classmethod
    def make(cls, map_fd: int) -> _Walker | None:
        """Return a walker of the map's ring, or None if libbcc_bpf has none."""
        try:
            library = ctypes.CDLL("libbcc_bpf.so.0")
            new, consume = library.bpf_new_ringbuf, library.bpf_consume_ringbuf
        except (OSError, AttributeError):
            return None
        new.restype = ctypes.c_void_p
        new.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p]
        consume.argtypes = [ctypes.c_void_p]
        nothing = ctypes.cast(ctypes.CDLL(None).abs, ctypes.c_void_p)
        before = _ring_pages()
        handle = new(map_fd, nothing, None)
        if not handle:
            return None
        pages = [page for page in _ring_pages() if page not in before]
        consumers = [address for address, offset in pages if offset == 0]
        producers = [address for address, offset in pages if offset == PAGE]
        if len(consumers) != 1 or len(producers) != 1:  # not mapped as expected
            library.bpf_free_ringbuf(ctypes.c_void_p(handle))
            return None
        _cover(consumers[0])
        _cover(producers[0])
        return cls(library, handle, consumers[0], producers[0])

    def walk(self, start: int, end: int) -> tuple[int, int]:
        """Return (records, bytes) of the finished records that begin in [start, end)."""
        self._consumer.value = start
        self._producer.value = end
        records = self._library.bpf_consume_ringbuf(self._handle)
        return max(records, 0), self._consumer.value - start

    def close(self) -> None:
        """Unmap what libbpf mapped."""
        self._library.bpf_free_ringbuf(ctypes.c_void_p(self._handle))


def _ring_pages() -> set[tuple[int, int]]:
    """Return (address, offset in the file) of every mapping of a BPF map in this process."""
    found = set()
    for line in Path("/proc/self/maps").read_text(errors="replace").splitlines():
        if line.endswith("bpf-map"):
            span, _, offset = line.split()[:3]
            found.add((int(span.split("-")[0], 16), int(offset, 16)))
    return found


def _cover(address: int) -> None:
    """Replace the page at `address` by a private one of zeros. Raises OSError."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_void_p
    word, number = ctypes.c_size_t, ctypes.c_int
    libc.mmap.argtypes = [ctypes.c_void_p, word, number, number, number, ctypes.c_long]
    fixed = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x10  # MAP_FIXED
    if libc.mmap(address, PAGE, mmap.PROT_READ | mmap.PROT_WRITE, fixed, -1, 0) != address:
        raise OSError(ctypes.get_errno(), "a ring buffer's page could not be replaced")
