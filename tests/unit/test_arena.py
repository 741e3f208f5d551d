"""Memory that is given out again once nobody looks at it, and not before."""

from __future__ import annotations

import numpy as np

from kernelscope.protocol.buffer_pool import SIZE, SMALLEST, Arena

PIECE = 1 << 20


def test_what_is_held_is_never_given_out_again() -> None:
    arena = Arena()
    held = []
    for number in range(3 * SIZE // PIECE):
        piece = arena.take(PIECE)
        piece[:8] = number.to_bytes(8, "little")
        held.append(piece)
    assert [int.from_bytes(piece[:8], "little") for piece in held] == list(range(len(held)))


def test_what_is_looked_at_through_numpy_alone_is_held_too() -> None:
    arena = Arena()
    seen = []
    for number in range(3 * SIZE // PIECE):
        array = np.frombuffer(arena.take(PIECE), np.uint8)
        array[:] = number
        seen.append(array[5:])
    assert [set(array[:3]) for array in seen] == [{number} for number in range(len(seen))]


def test_what_nobody_holds_is_used_again() -> None:
    arena = Arena()
    for _ in range(20 * SIZE // PIECE):
        arena.take(PIECE)
    assert len(arena._mappings) <= 2


def test_a_small_piece_stands_alone() -> None:
    assert isinstance(Arena().take(SMALLEST - 1), bytearray)
