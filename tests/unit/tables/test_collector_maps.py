"""From the readings of a run's maps to its tables."""

from __future__ import annotations

import struct

import pandas as pd
import pytest
from unit.builders.collectors import HISTOGRAM, PER_CPU, SCALAR, U32, U64, collector, filled
from unit.builders.raw_frames import EVENT, OFFSET_NS, reading

from kernelscope.errors import ParameterError
from kernelscope.probe.model import Column, TableSpec
from kernelscope.protocol.layout import Field, Layout


class TestMaps:
    def test_a_scalar_map_has_key_and_value(self):
        table = filled(SCALAR, frames=[reading("counts", [U32(7)], [U64(9)])]).tables()["counts"]
        assert table.to_dict("list") == {"key": [7], "value": [9]}

    def test_keys_that_differ_in_padding_alone_are_one_row(self):
        key = (Field("pid", "u32", 0, 4), Field("inode", "u64", 8, 8))
        layout = Layout("hits", "hash", key, (Field("", "u64", 0, 8),), 16, 8)
        keys = [struct.pack("<I4sQ", 5, pad, 7) for pad in (b"", b"junk")]
        keys.append(struct.pack("<I4sQ", 5, b"", 8))
        made = filled(layout, frames=[reading("hits", keys, [U64(2), U64(3), U64(11)])])

        assert made.tables()["hits"].to_dict("list") == {
            "pid": [5, 5],
            "inode": [7, 8],
            "value": [5, 11],
        }
        assert made.history("hits")["value"].tolist() == [5, 11]

    def test_the_parts_of_a_reading_make_one_table(self):
        made = collector(SCALAR)
        made.add(reading("counts", [U32(1)], [U64(2)], last=False))
        assert made.rows("counts") == 0
        made.add(reading("counts", [U32(3)], [U64(4)], part=1))
        assert made.tables()["counts"]["key"].tolist() == [1, 3]

    def test_an_unfinished_reading_does_not_show(self):
        frames = [
            reading("counts", [U32(1)], [U64(2)], 10),
            reading("counts", [U32(5)], [U64(6)], 20, last=False),
        ]
        assert filled(SCALAR, frames=frames).tables()["counts"]["key"].tolist() == [1]

    def test_an_empty_reading_replaces_a_full_one(self):
        frames = [reading("counts", [U32(1)], [U64(2)], 10), reading("counts", [], [], 20)]
        assert len(filled(SCALAR, frames=frames).tables()["counts"]) == 0

    def test_per_cpu_values_are_summed(self):
        values = struct.pack("<I4sI4s", 3, b"\0", 2**32 - 1, b"ab")
        table = filled(PER_CPU, frames=[reading("sums", [U32(7)], [values])]).tables()["sums"]
        assert table.to_dict("list") == {"pid": [7], "hits": [2**32 + 2], "name": ["ab"]}

    def test_per_cpu_values_are_kept_apart_on_request(self):
        values = struct.pack("<I4sI4s", 3, b"xy", 5, b"ab")
        made = filled(PER_CPU, frames=[reading("sums", [U32(7)], [values])], per_cpu=True)
        table = made.tables()["sums"]
        assert table.to_dict("list") == {
            "pid": [7, 7],
            "cpu": [0, 1],
            "hits": [3, 5],
            "name": ["xy", "ab"],
        }
        assert len(made.history("sums")) == 2

    def test_per_cpu_values_are_padded_to_eight_bytes(self):
        layout = Layout(
            "n", "percpu_array", (Field("", "s32", 0, 4),), (Field("", "u32", 0, 4),), 4, 4, cpus=3
        )
        value = struct.pack("<IIIIII", 1, 99, 2, 99, 4, 99)
        table = filled(layout, frames=[reading("n", [U32(0)], [value])]).tables()["n"]
        assert table["value"].tolist() == [7]

    def test_the_latest_of_per_cpu_times_is_kept(self):
        layout = Layout(
            "n",
            "percpu_array",
            (Field("", "s32", 0, 4),),
            (Field("last", "u64", 0, 8),),
            4,
            8,
            cpus=2,
        )
        spec = TableSpec("n", "n", (Column("last", "time", "value.last"),))
        made = filled(layout, specs=[spec], frames=[reading("n", [U32(0)], [U64(5) + U64(9)])])
        assert made.tables()["n"]["last"].tolist() == [pd.Timestamp(OFFSET_NS + 9, tz="UTC")]

    def test_a_name_in_both_key_and_value_becomes_two_columns(self):
        layout = Layout(
            "m", "hash", (Field("pid", "u32", 0, 4),), (Field("pid", "u32", 0, 4),), 4, 4
        )
        table = filled(layout, frames=[reading("m", [U32(1)], [U32(2)])]).tables()["m"]
        assert table.to_dict("list") == {"pid": [1], "value_pid": [2]}

    def test_history_has_each_reading_with_its_time_first(self):
        frames = [
            reading("counts", [U32(1)], [U64(2)], 10),
            reading("counts", [U32(1)], [U64(5)], 20),
        ]
        history = filled(SCALAR, frames=frames).history("counts")
        assert list(history) == ["time", "key", "value"]
        assert history["value"].tolist() == [2, 5]
        assert history["time"].tolist() == [pd.Timestamp(OFFSET_NS + t, tz="UTC") for t in (10, 20)]

    def test_records_have_no_history(self):
        with pytest.raises(ParameterError, match="events holds records"):
            collector(EVENT).history("events")


class TestHistograms:
    def test_occupied_buckets_are_given_in_order(self):
        keys = [U32(8) + U32(3), U32(8) + U32(2), U32(1) + U32(1), U32(8) + U32(9)]
        made = filled(HISTOGRAM, frames=[reading("dist", keys, [U64(n) for n in (5, 4, 3, 0)])])
        assert made.tables()["dist"].to_dict("list") == {
            "disk": [1, 8, 8],
            "value_low": [0, 2, 4],
            "value_high": [2, 4, 8],
            "count": [3, 4, 5],
        }

    def test_a_probes_histogram_is_in_its_unit(self):
        spec = TableSpec(
            "latency",
            "dist",
            (
                Column("disk", "integer", "key.disk"),
                Column("latency_us", "slot", "key.slot", unit="us", scale=0.5),
                Column("count", "count", "value"),
            ),
            sort=("-latency_low_us",),
        )
        keys = [U32(8) + U32(2), U32(8) + U32(3)]
        frames = [reading("dist", keys, [U64(1), U64(2)])]
        table = filled(HISTOGRAM, specs=[spec], frames=frames).tables()["latency"]
        assert table["latency_low_us"].tolist() == [2.0, 1.0]
        assert table["latency_high_us"].tolist() == [4.0, 2.0]
