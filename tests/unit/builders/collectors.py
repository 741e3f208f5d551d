"""Collectors of layouts and frames made by hand, and layouts of maps for them."""

from __future__ import annotations

import struct

from unit.builders.raw_frames import CLOCK

from kernelscope.protocol.layout import Field, Layout
from kernelscope.tables.collector import Collector

U32, U64 = struct.Struct("<I").pack, struct.Struct("<Q").pack
SCALAR = Layout(
    "counts",
    "hash",
    key=(Field("key", "u32", 0, 4),),
    value=(Field("value", "u64", 0, 8),),
    key_size=4,
    value_size=8,
)
PER_CPU = Layout(
    "sums",
    "percpu_hash",
    key=(Field("pid", "u32", 0, 4),),
    value=(Field("hits", "u32", 0, 4), Field("name", "char", 4, 4, 4)),
    key_size=4,
    value_size=8,
    cpus=2,
)
HISTOGRAM = Layout(
    "dist",
    "hash",
    key=(Field("disk", "u32", 0, 4), Field("slot", "u32", 4, 4)),
    value=(Field("value", "u64", 0, 8),),
    key_size=8,
    value_size=8,
    histogram="log2",
)


def collector(*layouts, specs=(), **options):
    return Collector(layouts, specs, clock=CLOCK, **options)


def filled(*layouts, frames, **options):
    made = collector(*layouts, **options)
    for each in frames:
        made.add(each)
    return made
