"""The queue between a run and a notebook that may be slow or gone."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernelscope.agent.run.send_queue import SendQueue
from kernelscope.protocol.frames import FrameReader


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    run, notebook = socket.socketpair()
    with run, notebook:
        yield run, notebook


Ends = tuple[socket.socket, socket.socket]


def test_frames_arrive_complete_and_in_order(ends: Ends) -> None:
    queue = SendQueue(ends[0], 1 << 20)
    for number in range(200):
        assert queue.push({"type": "batch", "n": number}, bytes([number]) * number)
    assert queue.flush()
    assert queue.bytes == 0
    reader = FrameReader(ends[1])
    for number in range(200):
        frame = reader.read()
        assert frame is not None
        assert frame.header["n"] == number
        assert bytes(frame.payload) == bytes([number]) * number


def test_passed_payload_may_change_afterwards(ends: Ends) -> None:
    queue = SendQueue(ends[0], 64 << 20)
    ring = bytearray(b"a" * (8 << 20))  # more than the socket takes
    queue.pass_on({"type": "batch"}, memoryview(ring))
    assert queue.bytes
    ring[:] = b"b" * len(ring)
    queue.pass_on({"type": "batch"}, memoryview(ring)[:10])
    received: list[bytes] = []
    reader = FrameReader(ends[1])

    def receive() -> None:
        for _ in range(2):
            frame = reader.read()
            received.append(bytes(frame.payload) if frame else b"")

    thread = threading.Thread(target=receive)
    thread.start()
    assert queue.drain(10)
    thread.join(10)
    assert received == [b"a" * (8 << 20), b"b" * 10]


def test_flush_never_waits_for_the_reader(ends: Ends) -> None:
    queue = SendQueue(ends[0], 64 << 20)
    queue.push({"type": "batch"}, bytes(32 << 20))
    assert not queue.flush()
    waiting = queue.bytes
    assert 0 < waiting < 33 << 20
    assert not queue.flush()
    assert queue.bytes == waiting


def test_frame_beyond_the_limit_is_not_queued(ends: Ends) -> None:
    queue = SendQueue(ends[0], 1000)
    assert queue.push({"type": "batch"}, bytes(500))
    before = queue.bytes
    assert not queue.push({"type": "batch"}, bytes(600))
    assert queue.bytes == before


def test_queue_is_full_from_its_limit_on(ends: Ends) -> None:
    queue = SendQueue(ends[0], 1000)
    assert not queue.full
    queue.push({"type": "map"}, bytes(2000), always=True)
    assert queue.full
    assert queue.flush()
    assert not queue.full


def test_missing_reader_is_an_error_and_no_signal(ends: Ends) -> None:
    queue = SendQueue(ends[0], 1 << 20)
    ends[1].close()
    queue.push({"type": "status"})
    with pytest.raises((BrokenPipeError, ConnectionResetError)):
        queue.flush()


def test_drain_gives_up_if_the_reader_takes_nothing(ends: Ends) -> None:
    queue = SendQueue(ends[0], 64 << 20)
    queue.push({"type": "batch"}, bytes(8 << 20))
    assert not queue.drain(0.01)


@given(
    sizes=st.lists(st.integers(0, 5000), min_size=1, max_size=80),
    takes=st.lists(st.integers(1, 20000), min_size=1, max_size=50),
)
@settings(deadline=None, max_examples=60)
def test_partial_writes_neither_lose_nor_repeat_bytes(sizes: list[int], takes: list[int]) -> None:
    run, notebook = socket.socketpair()
    with run, notebook:
        run.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        queue = SendQueue(run, 1 << 30)
        for number, size in enumerate(sizes):
            queue.push({"n": number}, memoryview(bytes([number % 251]) * size))
        received = bytearray()
        turn = 0
        while not queue.flush():
            received += notebook.recv(takes[turn % len(takes)])
            turn += 1
        run.shutdown(socket.SHUT_WR)
        while piece := notebook.recv(1 << 16):
            received += piece
    expected = b"".join(
        b'{"n":%d%s}\n' % (number, b',"bytes":%d' % size if size else b"")
        + bytes([number % 251]) * size
        for number, size in enumerate(sizes)
    )
    assert received == expected
