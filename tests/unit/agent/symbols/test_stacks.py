from __future__ import annotations

import struct

from kernelscope.agent.symbols.stacks import StackResolver
from kernelscope.protocol.layout import Field, Layout


def wants(*fields: Field) -> bool:
    return StackResolver({}, [Layout("t", "hash", key=fields, key_size=16)]).wants("t")


def test_integers_with_stack_in_their_name_are_stack_ids() -> None:
    assert wants(Field("user_stack_id", "s32", 0, 4))
    assert wants(Field("key.kernstack", "s64", 0, 8))
    assert not wants(Field("stack.pid", "u32", 0, 4))
    assert not wants(Field("stack", "char", 0, 16, count=16))
    assert not wants(Field("pid", "u32", 0, 4))


PID_AND_STACK = (Field("pid", "u32", 0, 4), Field("stack_id", "s32", 6, 4))  # packed


def stacks_seen(form: str, data: bytes, stride: int = 0) -> set[tuple[int, int]]:
    resolver = StackResolver({}, [Layout("t", form, value=PID_AND_STACK)])
    if form == "perf":
        resolver.observe_perf("t", data)
    else:
        resolver.observe_records("t", data, stride)
    return {(pid, stack) for _, pid, stack in resolver._wanted()}


def ring_record(payload: bytes, flags: int = 0) -> bytes:
    padding = bytes(-len(payload) % 8)
    return struct.pack("=II", len(payload) | flags, 0) + payload + padding


def test_finds_stacks_in_records_of_one_length() -> None:
    records = [struct.pack("=IHi", 0, 0, stack) for stack in (5, 6, 5, -14)]
    assert stacks_seen("ring", b"".join(map(ring_record, records)), 24) == {(0, 5), (0, 6)}


def test_finds_stacks_in_records_of_mixed_lengths() -> None:
    data = (
        ring_record(struct.pack("=IHi", 0, 0, 5))
        + ring_record(b"short")
        + ring_record(struct.pack("=IHi", 0, 0, 8), flags=1 << 30)
        + ring_record(struct.pack("=IHi13x", 0, 0, 7))
    )
    assert stacks_seen("ring", data) == {(0, 5), (0, 7)}


def test_records_that_end_before_the_stack_id_have_none() -> None:
    assert stacks_seen("ring", ring_record(bytes(0)) * 3, 8) == set()


def test_finds_stacks_in_perf_records() -> None:
    raw = struct.pack("=IHi2x", 0, 0, 5)
    head = struct.pack("=IIQIII", 1, 1, 0, 0, 0, len(raw))
    sample = struct.pack("=IHH", 9, 0, 8 + len(head) + len(raw)) + head + raw
    lost = struct.pack("=IHHQQ", 2, 0, 24, 1, 1)
    assert stacks_seen("perf", lost + sample + lost) == {(0, 5)}


def test_does_not_read_a_large_map_again_at_once() -> None:
    field = Field("stack_id", "s32", 0, 4)
    layout = Layout("t", "hash", key=(field,), key_size=4, value_size=8)
    resolver = StackResolver({}, [layout])
    resolver.observe_map("t", 1_000_000, b"\xff" * 4_000_000, b"")
    assert not resolver.wants("t")
