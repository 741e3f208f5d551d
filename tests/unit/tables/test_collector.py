"""From a run's frames to its tables."""

from __future__ import annotations

import json
import struct
from unittest import mock

import numpy as np
import pandas as pd
import pytest
from unit.builders.collectors import HISTOGRAM, PER_CPU, SCALAR, U32, U64, collector, filled
from unit.builders.raw_frames import (
    BUSY,
    CLOCK,
    EVENT,
    OFFSET_NS,
    event,
    perf_batch,
    reading,
    ring,
    ring_batch,
    sample,
)

from kernelscope.errors import ParameterError, ProbeSpecError
from kernelscope.probe.model import Column, TableSpec
from kernelscope.protocol.frames import Frame
from kernelscope.protocol.layout import Field, Layout
from kernelscope.tables import collector as frame
from kernelscope.tables import decoder
from kernelscope.tables.assemble import assembled
from kernelscope.tables.collector import Collector


class TestRecords:
    def test_a_struct_becomes_columns_of_its_names_and_types(self):
        table = filled(EVENT, frames=[ring_batch([event(5, 7, -1, b"sh\0x")], 40)]).tables()[
            "events"
        ]
        assert table.dtypes.astype(str).to_dict() == {
            "ts": "uint64",
            "pid": "uint32",
            "ret": "int32",
            "comm": "str",
        }
        assert table.iloc[0].tolist() == [5, 7, -1, "sh"]

    def test_batches_of_both_forms_are_in_order(self):
        frames = [
            ring_batch([event(1, 1, 0, b"a"), event(2, 1, 0, b"b")], 40),
            ring_batch([event(3, 1, 0, b"c"), b"\4"], 0),
        ]
        table = filled(EVENT, frames=frames).tables()["events"]
        assert table["ts"].tolist() == [1, 2, 3, 4]
        assert table["comm"].tolist() == ["a", "b", "c", ""]

    def test_a_program_without_events_gives_typed_columns_without_rows(self):
        tables = collector(EVENT, SCALAR, PER_CPU, HISTOGRAM).tables()
        assert [len(table) for table in tables.values()] == [0, 0, 0, 0]
        assert tables["events"]["comm"].dtype == "str"
        assert list(tables["dist"]) == ["disk", "value_low", "value_high", "count"]

    def test_torn_records_are_counted(self):
        payload = ring([event(1, 1, 0, b"a"), (event(2, 2, 0, b"b"), BUSY)])
        made = filled(EVENT, frames=[Frame({"type": "batch", "table": "events"}, payload)])
        assert (made.rows("events"), made.torn) == (1, 1)

    def test_perf_samples_of_several_cpus_are_sorted_by_time(self):
        def on(cpu, *times):
            return perf_batch(
                b"".join(sample(1, 1, t, cpu, event(t, cpu, 0, b"x")) for t in times), cpu=cpu
            )

        table = filled(EVENT, frames=[on(0, 10, 30), on(1, 20, 40)]).tables()["events"]
        assert table["ts"].tolist() == [10, 20, 30, 40]

    def test_a_flexible_text_is_as_wide_as_the_longest_in_any_batch(self):
        layout = Layout("t", "ring", value=(Field("n", "u32", 0, 4), Field("s", "char", 4, 0, 0)))
        frames = [
            ring_batch([U32(1) + b"short"], 0, "t"),
            ring_batch([U32(2) + b"longer text"], 0, "t"),
        ]
        assert filled(layout, frames=frames).tables()["t"]["s"].tolist() == ["short", "longer text"]

    def test_a_record_longer_than_its_struct_is_cut(self):
        frames = [ring_batch([event(1, 2, 3, b"a") + b"tail of it"], 0)]
        assert filled(EVENT, frames=frames).tables()["events"]["comm"].tolist() == ["a"]

    def test_an_array_of_numbers_becomes_a_column_for_each(self):
        layout = Layout(
            "t", "ring", value=(Field("n", "u32", 0, 12, 3), Field("id", "u8", 12, 4, 4))
        )
        frames = [ring_batch([struct.pack("<3I", 1, 2, 3) + b"\1\2\3\4"], 24, "t")]
        table = filled(layout, frames=frames).tables()["t"]
        assert table.iloc[0].to_dict() == {"n[0]": 1, "n[1]": 2, "n[2]": 3, "id": "01020304"}

    def test_reads_overlapping_unions_and_bit_fields(self):
        fields = (
            Field("whole", "u32", 0, 4),
            Field("low", "u32", 0, 4, bits=4),
            Field("high", "s32", 0, 4, bit_offset=4, bits=28),
        )
        frames = [ring_batch([U32(0xFFFFFFF3)], 16, "t")]
        table = filled(Layout("t", "ring", value=fields), frames=frames).tables()["t"]
        assert table.iloc[0].tolist() == [0xFFFFFFF3, 3, -1]


class TestBounds:
    def test_keeps_the_latest_rows_and_counts_the_rest(self):
        made = collector(EVENT, max_rows=5)
        for first in range(0, 12, 3):
            made.add(ring_batch([event(first + i, 0, 0, b"") for i in range(3)], 40))
        assert made.tables()["events"]["ts"].tolist() == [7, 8, 9, 10, 11]
        assert (made.rows("events"), made.seen("events"), made.dropped_rows) == (5, 12, 7)

    def test_holds_no_more_batches_than_the_rows_need(self):
        made = collector(EVENT, max_rows=4)
        for _ in range(100):
            made.add(ring_batch([event(0, 0, 0, b"")] * 2, 40))
        assert len(made._stores["events"].batches) == 2

    def test_memory_is_bounded_without_max_rows(self):
        with mock.patch.object(frame, "available_bytes", return_value=4 * 10_000):
            made = collector(EVENT, SCALAR)
        made.add(reading("counts", [U32(1)], [U64(2)]))
        for first in range(200):
            made.add(ring_batch([event(first, 0, 0, b"")] * 10, 40))
        assert sum(store.size for store in made._stores.values()) <= 10_000
        assert made.tables()["events"]["ts"].iloc[-1] == 199
        assert made.dropped_rows == 2000 - made.rows("events") > 0
        assert made.rows("counts") == 1

    def test_the_bound_counts_the_result_too(self):
        with mock.patch.object(frame, "available_bytes", return_value=4 * 1_000_000):
            made = collector(SCALAR)
        keys = [U32(key) for key in range(1009)]
        for at in range(1, 200):
            made.add(reading("counts", keys, [U64(at)] * 1009, at_ns=at))
        raw = sum(store.size for store in made._stores.values())
        result = made.history("counts").memory_usage(deep=True).sum()
        assert 500_000 < raw + result <= 1_200_000

    def test_drops_old_readings_of_a_map_to_keep_the_bound(self):
        with mock.patch.object(frame, "available_bytes", return_value=4 * 5_000):
            made = collector(SCALAR)
        for at in range(50):
            made.add(reading("counts", [U32(at)], [U64(at)], at_ns=at))
        assert 1 < made.history("counts")["time"].nunique() < 50
        assert made.tables()["counts"]["key"].tolist() == [49]

    def test_latest_gives_the_last_records(self):
        made = filled(EVENT, frames=[ring_batch([event(i, 0, 0, b"") for i in range(4)], 40)] * 3)
        assert made.latest("events", 5)["ts"].tolist() == [3, 0, 1, 2, 3]
        assert len(made.latest("events", 100)) == 12

    def test_max_rows_below_one_is_an_error(self):
        with pytest.raises(ParameterError, match="max_rows is 0"):
            collector(EVENT, max_rows=0)


class TestSpecs:
    SPEC = TableSpec(
        "opens",
        "events",
        (
            Column("name", "text", "comm"),
            Column("ret", "errno"),
            Column("time", "time", "ts"),
        ),
        sort=("-name",),
    )

    def test_columns_are_the_specs_with_times_first(self):
        frames = [ring_batch([event(1, 0, -2, b"a"), event(2, 0, 3, b"b")], 40)]
        made = filled(EVENT, specs=[self.SPEC], frames=frames)
        table = made.tables()["opens"]
        assert list(table) == ["time", "name", "ret"]
        assert table["name"].tolist() == ["b", "a"]
        assert table["ret"].tolist() == ["", "ENOENT"]
        assert table["time"].tolist()[1] == pd.Timestamp(OFFSET_NS + 1, tz="UTC")
        assert made.names == ["opens"]

    def test_a_missing_map_is_named(self):
        with pytest.raises(ProbeSpecError, match="no map 'events'") as caught:
            collector(SCALAR, specs=[self.SPEC])
        assert "counts" in str(caught.value)

    def test_a_missing_field_is_named(self):
        spec = TableSpec("t", "events", (Column("x", "integer", "nope"),))
        with pytest.raises(ProbeSpecError, match="no field 'nope'") as caught:
            collector(EVENT, specs=[spec]).tables()
        assert "comm" in str(caught.value)


class TestTypes:
    def test_types_override_a_columns_kind(self):
        frames = [ring_batch([event(1500, 0x0100007F, -2, b"a")], 40)]
        types = {"pid": "ipv4", "ret": "errno", "ts": "duration"}
        table = filled(EVENT, frames=frames, types=types).tables()["events"]
        assert table.iloc[0].to_dict() == {
            "ts_us": 1.5,
            "pid": "127.0.0.1",
            "ret": "ENOENT",
            "comm": "a",
        }

    @pytest.mark.parametrize(
        ("types", "message", "hint"),
        [
            ({"pid": "ipv5"}, "no column kind 'ipv5'", "ipv4"),
            ({"pdi": "ipv4"}, "no table has a column 'pdi'", "Did you mean pid"),
        ],
    )
    def test_unknown_kinds_and_columns_bring_close_matches(self, types, message, hint):
        with pytest.raises(ParameterError, match=message) as caught:
            collector(EVENT, types=types)
        assert hint in str(caught.value)


class TestStacksAndLines:
    def test_a_stack_id_becomes_its_frames_once_they_are_known(self):
        layout = Layout(
            "m",
            "hash",
            (Field("pid", "u32", 0, 4), Field("user_stack_id", "s32", 4, 4)),
            (Field("", "u64", 0, 8),),
            8,
            8,
        )
        made = filled(layout, frames=[reading("m", [U32(42) + U32(3)], [U64(1)])])
        assert made.tables()["m"]["user_stack_id"].tolist() == ["[stack 3]"]
        frames = {"frames": {"42:3": [["f", 1, "app"], ["main", 2, "app"]], "43:3": []}}
        made.add(Frame({"type": "stacks"}, json.dumps(frames).encode()))
        assert made.tables()["m"]["user_stack_id"].tolist() == ["main;f"]

    def test_rows_with_equal_stack_texts_are_added_up(self):
        layout = Layout(
            "m",
            "hash",
            (Field("kernel_stack", "s32", 0, 4),),
            (Field("total_ns", "u64", 0, 8), Field("max_ns", "u64", 8, 8)),
            4,
            16,
        )
        columns = (
            Column("max_us", "duration", "value.max_ns", "us"),
            Column("kernel_stack", "kernel_stack", "key.kernel_stack"),
            Column("total_us", "duration", "value.total_ns", "us"),
        )
        read = reading("m", [U32(3), U32(4)], [U64(5000) + U64(4000), U64(3000) + U64(2000)])
        made = filled(layout, frames=[read], specs=(TableSpec("t", "m", columns),))
        made.add(
            Frame({"type": "stacks"}, b'{"frames": {"0:3": [["f", 1, ""]], "0:4": [["f", 2, ""]]}}')
        )
        assert made.tables()["t"].to_dict("records") == [
            {"max_us": 4, "kernel_stack": "f", "total_us": 8}
        ]

    def test_printk_lines_are_a_table_in_order_of_time(self):
        def line(time, text):
            raw = bytes(8) + struct.pack("<HH", 12, len(text) + 1) + text + b"\0"
            return sample(4, 5, time, 1, raw)

        frames = [
            perf_batch(line(9, b"second\n"), "printk"),
            perf_batch(line(8, b"first"), "printk"),
        ]
        table = filled(Layout("printk", "printk"), frames=frames).tables()["printk"]
        assert table["message"].tolist() == ["first", "second"]
        assert list(table) == ["time", "cpu", "pid", "tid", "message"]
        assert table.iloc[0].tolist()[1:4] == [1, 4, 5]
        assert table["time"][0] == pd.Timestamp(OFFSET_NS + 8, tz="UTC")

    def test_printk_is_a_table_beside_others_only_with_lines(self):
        assert collector(EVENT, Layout("printk", "printk")).names == ["events"]
        assert collector(Layout("printk", "printk")).names == ["printk"]

    def test_stack_tables_and_internal_maps_are_no_tables(self):
        own = Layout("ks_lost", "percpu_array", SCALAR.key, SCALAR.value, 4, 8, cpus=2)
        made = collector(EVENT, Layout("stacks", "stack_trace", key_size=4, value_size=8), own)
        assert made.names == ["events"]


ATTACHED = {
    "type": "attached",
    "layouts": [EVENT.to_json()],
    "clock": CLOCK,
    "kernel": {"machine": "aarch64"},
    "devices": {"8:0": "sda"},
}


class TestAttached:
    def test_names_system_calls_and_disks_as_the_header_has_them(self):
        made = Collector.from_attached(ATTACHED, types={"ret": "syscall", "pid": "device"})
        made.add(ring_batch([event(0, 8 << 20, 63, b"")], 40))
        row = made.tables()["events"].iloc[0]
        assert (row["ret"], row["pid"]) == ("read", "sda")

    def test_names_enums_as_the_header_has_them(self):
        lost = Column("ret", "btf_enum", enum="reason", prefix="R_")
        header = {**ATTACHED, "enums": {"reason": {"63": "R_LOST"}}}
        made = Collector.from_attached(header, [TableSpec("lost", "events", (lost,))])
        made.add(ring_batch([event(0, 7, 63, b"")], 40))
        assert made.tables()["lost"]["ret"].tolist() == ["LOST"]

    def test_losses_are_the_latest_reported(self):
        made = Collector.from_attached(ATTACHED)
        made.add(
            Frame({"type": "status", "lost": {"ring_full": 1}, "lost_by_table": {"events": 1}})
        )
        made.add(Frame({"type": "receipt", "lost": {"ring_full": 4}}))
        assert (made.lost, made.lost_by_table) == ({"ring_full": 4}, {"events": 1})

    def test_frames_of_no_table_are_ignored(self):
        made = Collector.from_attached(ATTACHED)
        made.add(Frame({"type": "end"}))
        made.add(ring_batch([event(0, 0, 0, b"")], 40, "ks_other"))
        assert made.rows("events") == 0


def test_making_tables_does_not_change_the_data():
    made = filled(
        EVENT, frames=[ring_batch([event(5, 7, -1, b"sh")] * 3, 40)], types={"ts": "time"}
    )
    first = made.tables()["events"]
    first["pid"] = np.uint32(0)
    assert made.tables()["events"]["pid"].tolist() == [7, 7, 7]


def test_a_table_of_many_blocks_is_one_table():
    made = collector(EVENT, types={"ts": "time"})
    with mock.patch.object(decoder, "_BLOCK_ROWS", 3):
        for first in range(0, 20, 2):
            made.add(ring_batch([event(first + i, first, 0, b"p%d" % i) for i in range(2)], 40))
        table = made.tables()["events"]
    assert table["comm"].tolist() == ["p0", "p1"] * 10
    assert (table["ts"].astype("int64") - OFFSET_NS).tolist()[1:] == list(range(1, 20))
    assert table["pid"].tolist() == [n - n % 2 for n in range(20)]


@pytest.mark.parametrize("kind", ["bool", "errno", "fd", "integer", "signal", "time"])
def test_each_kind_is_the_same_in_one_block_and_in_many(kind: str):
    frames = [ring_batch([event(n, n, n % 5 - 2, b"sh") for n in range(20)], 40)]
    whole = filled(EVENT, frames=frames, types={"ret": kind}).tables()["events"]
    with mock.patch.object(decoder, "_BLOCK_ROWS", 3):
        joined = filled(EVENT, frames=frames, types={"ret": kind}).tables()["events"]
    pd.testing.assert_frame_equal(joined, whole)


def test_renaming_columns_does_not_change_other_tables():
    first = assembled((), {"pid": [1], "comm": ["a"]})
    first.columns.name = "mine"
    assert assembled((), {"pid": [2], "comm": ["b"]}).columns.name is None


def test_a_table_equals_the_dataframe_of_its_columns():
    data = {"pid": np.array([1, 2], np.uint32), "comm": pd.array(["a", "b"], dtype="str")}
    pd.testing.assert_frame_equal(assembled((), data), pd.DataFrame(data))
    pd.testing.assert_frame_equal(assembled((), {}), pd.DataFrame())
