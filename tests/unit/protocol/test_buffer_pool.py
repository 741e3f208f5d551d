"""Memory that is given out again once nobody looks at it, and not before."""

from __future__ import annotations

import numpy as np

from kernelscope.protocol.buffer_pool import SIZE, SMALLEST, BufferPool

PIECE = 1 << 20


def test_referenced_memory_is_never_reused() -> None:
    pool = BufferPool()
    held = []
    for number in range(3 * SIZE // PIECE):
        piece = pool.take(PIECE)
        piece[:8] = number.to_bytes(8, "little")
        held.append(piece)
    assert [int.from_bytes(piece[:8], "little") for piece in held] == list(range(len(held)))


def test_memory_referenced_by_numpy_is_not_reused() -> None:
    pool = BufferPool()
    seen = []
    for number in range(3 * SIZE // PIECE):
        array = np.frombuffer(pool.take(PIECE), np.uint8)
        array[:] = number
        seen.append(array[5:])
    assert [set(array[:3]) for array in seen] == [{number} for number in range(len(seen))]


def test_unreferenced_memory_is_reused() -> None:
    pool = BufferPool()
    for _ in range(20 * SIZE // PIECE):
        pool.take(PIECE)
    assert len(pool._mappings) <= 2


def test_small_payload_is_separate() -> None:
    assert isinstance(BufferPool().take(SMALLEST - 1), bytearray)
