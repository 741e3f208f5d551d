"""Read perf ring buffers in bulk: BPF_PERF_OUTPUT tables, and what bpf_trace_printk writes.

One buffer for each CPU (kernel/events/ring_buffer.c): a control page (`struct
perf_event_mmap_page`) whose data_head the kernel moves behind finished records only and whose
data_tail is ours, then the data. There are no wakeups: the run polls.
"""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
import struct
import time
from contextlib import suppress
from pathlib import Path

from kernelscope.agent.kernel import maps, syscalls
from kernelscope.agent.kernel.ring_buffer import fence

_SAMPLE_TYPE = 1 << 1 | 1 << 2 | 1 << 7 | 1 << 10  # TID | TIME | CPU | RAW
_BPF_OUTPUT = 10  # PERF_COUNT_SW_BPF_OUTPUT
_DUMMY = 9  # PERF_COUNT_SW_DUMMY
_MMAP, _MMAP2 = 1 << 8, 1 << 23
_FORMAT_LOST = 1 << 4  # PERF_FORMAT_LOST, since Linux 6.0
_READ_FORMAT_AT, _FLAGS_AT = 32, 40  # in struct perf_event_attr
_WATERMARK = 1 << 14
_HEAD_AT = 1024  # data_head and data_tail in struct perf_event_mmap_page


class PerfBuffer:
    """The perf rings of one source on every online CPU. Create one with a classmethod."""

    def __init__(self, attr: bytes, ring_bytes: int) -> None:
        self._rings: list[_CpuRing] = []
        self._counts_lost = True
        page = syscalls.page_size()
        pages = 1 << (max(ring_bytes // page, 1) - 1).bit_length()
        try:
            for cpu in syscalls.online_cpus():
                ring = self._open(attr, cpu, pages * page)
                if ring is not None:
                    self._rings.append(ring)
        except OSError:
            self.close()
            raise

    @classmethod
    def of_map(cls, map_fd: int, ring_bytes: int = 256 << 10) -> PerfBuffer:
        """Open rings of `ring_bytes` per CPU and put them into a perf_event_array map."""
        buffer = cls(_every_event(syscalls.PERF_TYPE_SOFTWARE, _BPF_OUTPUT), ring_bytes)
        for ring in buffer._rings:
            maps.update(map_fd, struct.pack("=I", ring.cpu), struct.pack("=i", ring.fd))
        return buffer

    @classmethod
    def of_printk(cls, tracefs: Path, ring_bytes: int = 256 << 10) -> PerfBuffer:
        """Open rings on the tracepoint that bpf_trace_printk fires. Raises OSError without it.

        It fires for every program on the machine that prints, not only for this run's.
        """
        number = int((tracefs / "events/bpf_trace/bpf_trace_printk/id").read_text(encoding="ascii"))
        return cls(_every_event(syscalls.PERF_TYPE_TRACEPOINT, number), ring_bytes)

    @classmethod
    def of_mappings(cls, ring_bytes: int = 1 << 20) -> PerfBuffer:
        """Open rings for what all processes map to execute (PERF_RECORD_MMAP2)."""
        attr = bytearray(_every_event(syscalls.PERF_TYPE_SOFTWARE, _DUMMY))
        flags = struct.unpack_from("=Q", attr, _FLAGS_AT)[0]
        struct.pack_into("=Q", attr, _FLAGS_AT, flags | _MMAP | _MMAP2)
        return cls(bytes(attr), ring_bytes)

    def drain(self) -> list[tuple[int, bytes]]:
        """Take everything written: (cpu, whole raw records) for each CPU that has any."""
        taken = [(ring.cpu, ring.drain()) for ring in self._rings]
        return [(cpu, data) for cpu, data in taken if data]

    def pending(self) -> int:
        """Return how many bytes wait, on all CPUs."""
        return sum(ring.pending() for ring in self._rings)

    def lost(self) -> int:
        """Return how many records found no room so far (0 from kernels before 6.0).

        The stream holds PERF_RECORD_LOST records as well, each written when there is room again;
        so they miss the last losses, and are all that an older kernel reports.
        """
        if not self._counts_lost:
            return 0
        return sum(int(struct.unpack("=QQ", os.read(ring.fd, 16))[1]) for ring in self._rings)

    def close(self) -> None:
        """Unmap and close every ring."""
        for ring in self._rings:
            ring.close()
        self._rings = []

    def _open(self, attr: bytes, cpu: int, size: int) -> _CpuRing | None:
        """Open one CPU's ring; None for a CPU that went offline meanwhile."""
        try:
            fd = syscalls.perf_event_open(_with_options(attr, self._counts_lost), -1, cpu)
        except OSError as error:
            if error.errno == errno.ENODEV:
                return None
            if error.errno != errno.EINVAL or not self._counts_lost:
                raise
            self._counts_lost = False
            fd = syscalls.perf_event_open(_with_options(attr, False), -1, cpu)
        try:
            return _CpuRing(fd, cpu, size)
        except OSError:
            os.close(fd)
            raise


def _every_event(kind: int, config: int) -> bytes:
    return syscalls.perf_attr(
        kind, config, sample_period=1, sample_type=_SAMPLE_TYPE, clockid=time.CLOCK_MONOTONIC
    )


def _with_options(attr: bytes, counts_lost: bool) -> bytes:
    """Ask for a count of lost records, and for no wakeups."""
    packed = bytearray(attr)
    flags = struct.unpack_from("=Q", packed, _FLAGS_AT)[0]
    struct.pack_into("=Q", packed, _READ_FORMAT_AT, _FORMAT_LOST if counts_lost else 0)
    struct.pack_into("=QI", packed, _FLAGS_AT, flags | _WATERMARK, 0x7FFFFFFF)
    return bytes(packed)


class _CpuRing:
    """One CPU's ring: `size` bytes (a power of two of pages) behind its control page."""

    def __init__(self, fd: int, cpu: int, size: int) -> None:
        self.fd = fd
        self.cpu = cpu
        self.size = size
        self._map = mmap.mmap(fd, syscalls.page_size() + size, mmap.MAP_SHARED)
        view = memoryview(self._map)
        self._ends = view[_HEAD_AT : _HEAD_AT + 16].cast("Q")  # data_head, data_tail
        self._data = view[syscalls.page_size() :]
        fcntl.ioctl(fd, syscalls.PERF_EVENT_IOC_ENABLE, 0)

    def pending(self) -> int:
        head, tail = self._ends
        return int(head - tail)

    def drain(self) -> bytes:
        head, tail = self._ends[0], self._ends[1]
        if head == tail:
            return b""
        fence()
        start, end = tail & (self.size - 1), head & (self.size - 1)
        if start < end:
            data = bytes(self._data[start:end])
        else:
            data = b"".join((self._data[start:], self._data[:end]))
        fence()
        self._ends[1] = head
        return data

    def close(self) -> None:
        self._ends.release()
        self._data.release()
        with suppress(BufferError):
            self._map.close()
        os.close(self.fd)
