"""Reading a ring buffer's memory, against rings written by hand as the kernel writes them."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from kernelscope.agent.kernel import ring_buffer
from kernelscope.agent.kernel.ring_buffer import BUSY, DISCARDED, PAGE, Chunk, Ring

SIZE = 4096


class Producer:
    """The kernel's side of a ring, in a file laid out like a ring-buffer map."""

    def __init__(self, start: int = 0) -> None:
        self.fd = os.memfd_create("ring")
        os.ftruncate(self.fd, 2 * PAGE + 2 * SIZE)
        self.position = start
        for page in (0, PAGE):
            os.pwrite(self.fd, struct.pack("=Q", start), page)

    def consumed(self) -> int:
        return int.from_bytes(os.pread(self.fd, 8, 0), "little")

    def has_room(self, length: int) -> bool:
        return self.position + (length + 15 & ~7) - self.consumed() <= SIZE

    def reserve(self, payload: bytes) -> int:
        place = self.position
        self._write(place, struct.pack("=II", len(payload) | BUSY, 3) + payload)
        self.position += len(payload) + 15 & ~7
        os.pwrite(self.fd, struct.pack("=Q", self.position), PAGE)
        return place

    def finish(self, place: int, length: int, discard: bool = False) -> None:
        self._write(place, struct.pack("=I", length | (DISCARDED if discard else 0)))

    def submit(self, payload: bytes, discard: bool = False) -> None:
        self.finish(self.reserve(payload), len(payload), discard)

    def _write(self, place: int, data: bytes) -> None:
        for index, byte in enumerate(data):
            at = (place + index) % SIZE
            for copy in (at, at + SIZE):
                os.pwrite(self.fd, bytes([byte]), 2 * PAGE + copy)


def payloads(chunks: list[Chunk]) -> Iterator[bytes]:
    """Read chunks as the client does."""
    for chunk in chunks:
        at = count = 0
        while at < len(chunk.data):
            header = int.from_bytes(chunk.data[at : at + 4], "little")
            assert not header & BUSY
            length = header & (DISCARDED - 1)
            assert chunk.stride in (0, length + 15 & ~7)
            assert not (chunk.stride and header & DISCARDED)
            if not header & DISCARDED:
                count += 1
                yield chunk.data[at + 8 : at + 8 + length]  # type: ignore[misc]
            at += length + 15 & ~7
        assert at == len(chunk.data)
        assert count == chunk.records


class AgainstAModel(RuleBasedStateMachine):
    """Every finished record arrives once and in order, whatever else happens in the ring."""

    def __init__(self) -> None:
        super().__init__()
        self.producer = Producer(start=SIZE * 7 - 64)
        self.ring = Ring(self.producer.fd, SIZE)
        self.open: list[tuple[int, bytes]] = []
        self.records: list[list[object]] = []  # place, payload, state
        self.read: list[bytes] = []

    @precondition(lambda self: self.producer.has_room(64))
    @rule(payload=st.one_of(st.binary(min_size=16, max_size=16), st.binary(max_size=64)))
    def reserve(self, payload: bytes) -> None:
        place = self.producer.reserve(payload)
        self.records.append([place, payload, "busy"])

    @precondition(lambda self: any(r[2] == "busy" for r in self.records))
    @rule(data=st.data(), discard=st.booleans())
    def finish(self, data: st.DataObject, discard: bool) -> None:
        record = data.draw(st.sampled_from([r for r in self.records if r[2] == "busy"]))
        self.producer.finish(record[0], len(record[1]), discard)
        record[2] = "discarded" if discard else "done"

    @rule()
    def drain(self) -> None:
        self.read += payloads(self.ring.drain())
        expected = []
        end = self.producer.position
        for place, payload, state in self.records:
            if state == "busy":
                end = place
                break
            if state == "done":
                expected.append(payload)
        assert self.read == expected
        assert self.producer.consumed() == end

    @invariant()
    def pending_is_what_is_between_the_positions(self) -> None:
        assert self.ring.pending() == self.producer.position - self.producer.consumed()

    def teardown(self) -> None:
        self.ring.close()
        os.close(self.producer.fd)


TestAgainstAModel = AgainstAModel.TestCase
TestAgainstAModel.settings = settings(max_examples=60, stateful_step_count=60, deadline=None)


@pytest.fixture
def producer() -> Iterator[Producer]:
    made = Producer()
    yield made
    os.close(made.fd)


@pytest.fixture
def ring(producer: Producer) -> Iterator[Ring]:
    made = Ring(producer.fd, SIZE)
    yield made
    made.close()


def test_equal_records_are_one_chunk_with_their_stride(producer: Producer, ring: Ring) -> None:
    for number in range(50):
        producer.submit(struct.pack("=QQQQQ", number, 0, 0, 0, 0))
    (chunk,) = ring.drain()
    assert (chunk.stride, chunk.records, len(chunk.data)) == (48, 50, 50 * 48)
    assert ring.drain() == []


def test_equal_records_before_a_busy_one_keep_their_stride(producer: Producer, ring: Ring) -> None:
    for _ in range(5):
        producer.submit(bytes(16))
    producer.reserve(bytes(16))
    (chunk,) = ring.drain()
    assert (chunk.stride, chunk.records) == (24, 5)
    assert ring.pending() == 24


def test_ring_of_discarded_records_is_emptied_without_a_chunk(
    producer: Producer, ring: Ring
) -> None:
    for _ in range(10):
        producer.submit(bytes(24), discard=True)
    assert ring.drain() == []
    assert ring.pending() == 0


def test_full_ring_with_a_wrapping_record_is_read_completely() -> None:
    late = Producer(start=3 * SIZE - 24)
    ring = Ring(late.fd, SIZE)
    sent = [bytes([number]) * 40 for number in range(SIZE // 48)]
    for payload in sent:
        late.submit(payload)
    assert list(payloads(ring.drain())) == sent
    ring.close()
    os.close(late.fd)


def test_limit_ends_the_drain_between_two_records(
    producer: Producer, ring: Ring, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ring_buffer, "CHUNK", 256)
    for _ in range(60):
        producer.submit(bytes(16))
    first = ring.drain(limit=300)
    assert sum(len(chunk.data) for chunk in first) == 480
    assert sum(chunk.records for chunk in [*first, *ring.drain()]) == 60


def test_chunk_is_passed_with_the_bytes_behind_it(
    producer: Producer, ring: Ring, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ring_buffer, "CHUNK", 256)
    for _ in range(25):
        producer.submit(bytes(16))
    producer.reserve(bytes(16))
    seen = []
    taken = ring.pass_on(lambda chunk, behind: seen.append((len(chunk.data), behind)))
    assert seen == [(240, 384), (240, 144), (120, 24)]
    assert taken == 600


@given(
    lengths=st.lists(st.integers(0, 200), max_size=18),
    chunk=st.sampled_from([64, 256, 1 << 20]),
    short=st.sampled_from([1, 3, 256]),
)
@settings(deadline=None, max_examples=80)
def test_records_of_mixed_lengths_arrive_for_any_piece_size(
    lengths: list[int], chunk: int, short: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ring_buffer, "CHUNK", chunk)
        patch.setattr(ring_buffer, "_SHORT_RUN", short)
        producer = Producer(start=SIZE - 8)
        ring = Ring(producer.fd, SIZE)
        sent = [os.urandom(length) for length in lengths]
        for payload in sent:
            producer.submit(payload)
        assert list(payloads(ring.drain())) == sent
        ring.close()
        os.close(producer.fd)
