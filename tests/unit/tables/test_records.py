"""Finding and reading records in raw bytes."""

from __future__ import annotations

import struct
from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from unit.builders.raw_frames import BUSY, DISCARDED, EVENT, event, lost, ring, sample

from kernelscope.protocol.layout import Field, Layout
from kernelscope.tables import records as decode

FLAGS = st.sampled_from([0, 0, 0, 0, BUSY, DISCARDED, BUSY | DISCARDED])
RECORDS = st.lists(st.tuples(st.binary(max_size=70), FLAGS), max_size=60)


def plain_walk(payload: bytes) -> tuple[list[bytes], int]:
    """The straightforward walk, as the reference for the vectorised one."""
    kept, torn, at = [], 0, 0
    while at < len(payload):
        (header,) = struct.unpack("<I", payload[at : at + 4].ljust(4, b"\0"))
        length = header & 0x3FFFFFFF
        whole = at + 8 + length <= len(payload)
        if header & BUSY or (not whole and not header & DISCARDED):
            torn += 1
        elif not header & DISCARDED:
            kept.append(payload[at + 8 : at + 8 + length])
        at += (length + 15) // 8 * 8
    return kept, torn


def found_bytes(payload: bytes, found: decode.Records) -> list[bytes]:
    starts, lengths = found.starts.tolist(), found.lengths.tolist()
    return [payload[a : a + n] for a, n in zip(starts, lengths, strict=True)]


class TestWalk:
    @given(RECORDS)
    def test_finds_the_same_records_as_a_plain_loop(self, records):
        payload = ring(records)
        found = decode.walk(payload)
        assert (found_bytes(payload, found), found.torn) == plain_walk(payload)

    @settings(max_examples=50)
    @given(RECORDS, st.sampled_from([1, 2, 3, 5, 8, 64]))
    def test_block_size_does_not_change_the_records(self, records, words):
        payload = ring(records)
        with mock.patch.object(decode, "_BLOCK_WORDS", words):
            found = decode.walk(payload)
        assert (found_bytes(payload, found), found.torn) == plain_walk(payload)

    @given(st.binary(max_size=400))
    def test_ends_on_any_bytes_with_the_records_of_a_plain_loop(self, payload):
        found = decode.walk(payload)
        assert (found_bytes(payload, found), found.torn) == plain_walk(payload)

    def test_crosses_many_blocks(self):
        lengths = np.random.default_rng(3).integers(0, 200, 20_011)
        payload = ring([bytes([n % 251]) * n for n in lengths])
        found = decode.walk(payload)
        assert found.lengths.tolist() == lengths.tolist()

    def test_crosses_a_record_larger_than_a_block(self):
        payload = ring([b"a" * 300_000, b"b" * 5])
        assert decode.walk(payload).lengths.tolist() == [300_000, 5]

    def test_counts_busy_records_as_torn_and_discarded_ones_not(self):
        found = decode.walk(ring([b"1" * 8, (b"2" * 8, BUSY), (b"3" * 8, DISCARDED), b"4" * 8]))
        assert (len(found.starts), found.torn) == (2, 1)

    def test_counts_a_truncated_record_as_torn(self):
        found = decode.walk(ring([b"1" * 8, b"2" * 40])[:-16])
        assert (len(found.starts), found.torn) == (1, 1)

    def test_no_bytes_hold_no_records(self):
        assert len(decode.walk(b"").starts) == 0


class TestSamples:
    DATA = st.tuples(
        st.integers(0, 2**31),
        st.integers(0, 2**64 - 1),
        st.integers(0, 255),
        st.binary(max_size=50),
    )

    @given(st.lists(st.one_of(DATA, st.integers(0, 1000)), max_size=30))
    def test_finds_samples_between_loss_reports(self, items):
        payload = b"".join(
            lost(item) if isinstance(item, int) else sample(item[0], item[0], *item[1:])
            for item in items
        )
        got = decode.samples(payload)
        wanted = [item for item in items if not isinstance(item, int)]
        assert got.lost == sum(item for item in items if isinstance(item, int))
        assert got.pid.tolist() == [pid for pid, *_ in wanted]
        assert got.time.tolist() == [time for _, time, *_ in wanted]
        assert got.cpu.tolist() == [cpu for *_, cpu, _ in wanted]
        found = found_bytes(payload, got.records)
        assert all(raw.startswith(data) for raw, (*_, data) in zip(found, wanted, strict=True))

    @given(st.binary(max_size=300))
    def test_survives_any_bytes(self, payload):
        got = decode.samples(payload)
        assert len(got.time) == len(got.records.starts)

    def test_reads_thread_and_cpu(self):
        got = decode.samples(sample(7, 8, 99, 3, b"abcd"))
        assert (got.pid[0], got.tid[0], got.time[0], got.cpu[0]) == (7, 8, 99, 3)

    def test_counts_a_sample_with_a_wrong_size_as_torn(self):
        bad = bytearray(sample(7, 8, 99, 3, b"abcd"))
        bad[32:36] = struct.pack("<I", 4000)
        got = decode.samples(bytes(bad))
        assert (len(got.time), got.records.torn) == (0, 1)


class TestRecords:
    def test_a_fixed_stride_is_read_in_place(self):
        payload = ring([event(1, 2, -3, b"sh"), event(4, 5, 6, b"ls")])
        rows = decode.records(payload, EVENT, 40)
        assert not rows.flags.owndata
        assert rows.tolist() == [(1, 2, -3, b"sh"), (4, 5, 6, b"ls")]

    @given(st.lists(st.binary(min_size=1, max_size=48), max_size=20))
    def test_pads_and_cuts_other_lengths_to_the_layout(self, records):
        rows = decode.records(ring(records), EVENT, 0)
        wanted = b"".join(data[:32].ljust(32, b"\0") for data in records)
        assert rows.tobytes() == wanted

    def test_a_fixed_stride_shorter_than_the_layout_reads_as_zeros(self):
        payload = bytearray(ring([struct.pack("<QI", 9, 8)] * 3))
        payload[20:24] = b"\xff" * 4  # padding is not data
        rows = decode.records(payload, EVENT, 24)
        assert rows.tolist() == [(9, 8, 0, b"")] * 3

    def test_a_flexible_text_takes_the_rest_of_each_record(self):
        layout = Layout(
            "t", "ring", value=(Field("n", "u32", 0, 4), Field("text", "char", 4, 0, 0))
        )
        rows = decode.records(ring([b"\1\0\0\0hello", b"\2\0\0\0", b"\3\0\0\0a"]), layout, 0)
        assert rows["text"].tolist() == [b"hello", b"", b"a"]

    def test_an_empty_batch_has_no_rows(self):
        assert len(decode.records(b"", EVENT, 0)) == 0
        assert len(decode.records(b"", EVENT, 40)) == 0


class TestFields:
    @pytest.mark.parametrize(
        ("kind", "size", "code", "value"),
        [
            ("u8", 1, "B", 255),
            ("s8", 1, "b", -1),
            ("u16", 2, "H", 65535),
            ("s16", 2, "h", -2),
            ("u32", 4, "I", 2**32 - 1),
            ("s32", 4, "i", -3),
            ("u64", 8, "Q", 2**64 - 1),
            ("s64", 8, "q", -4),
            ("f32", 4, "f", 0.5),
            ("f64", 8, "d", -0.25),
            ("ptr", 8, "Q", 0xFFFF800000000000),
        ],
    )
    def test_reads_every_scalar_type(self, kind, size, code, value):
        fields = (Field("x", kind, 0, size),)
        rows = np.frombuffer(struct.pack(f"<{code}", value), decode.dtype_of(fields, size))
        assert rows["x"].tolist() == [value]

    def test_members_of_nested_structs_keep_their_dotted_names(self):
        fields = (Field("addr.port", "u16", 0, 2), Field("addr.ip", "u8", 4, 4, 4))
        rows = np.frombuffer(b"\x01\x02\xff\xff\x7f\0\0\1", decode.dtype_of(fields, 8))
        assert rows["addr.port"].tolist() == [0x0201]
        assert rows["addr.ip"].tolist() == [[127, 0, 0, 1]]

    def test_a_u128_is_kept_as_bytes(self):
        fields = (Field("x", "u128", 0, 16),)
        rows = np.frombuffer(bytes(range(16)), decode.dtype_of(fields, 16))
        assert rows["x"][0].tobytes() == bytes(range(16))

    @given(st.integers(0, 2**32 - 1), st.integers(1, 32), st.data())
    def test_extracts_a_bit_field_from_its_container(self, word, bits, data):
        shift = data.draw(st.integers(0, 32 - bits))
        raw = (word >> shift) & ((1 << bits) - 1)
        signed = raw - (1 << bits) if raw >> (bits - 1) else raw
        for kind, wanted in (("u32", raw), ("s32", signed)):
            field = Field("x", kind, 0, 4, bit_offset=shift, bits=bits)
            rows = np.frombuffer(struct.pack("<I", word), decode.dtype_of((field,), 4))
            assert decode.column(rows, field).tolist() == [wanted]
