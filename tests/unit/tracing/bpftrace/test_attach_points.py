"""A block of a script is missing where none of its probes could be attached."""

from __future__ import annotations

from kernelscope.tracing.bpftrace import attach_points

SCRIPT = """
#include <linux/sched.h>
// kprobe:commented { }
BEGIN { printf("{ %s", "x"); }
kprobe:start, kprobe:__start /pid == 1/ { @s[tid] = nsecs; }
kprobe:done,
kprobe:__done
{ if (1) { @ = count(); } }
uprobe:/bin/bash:readline { @++; }
"""


def test_blocks_have_their_probes() -> None:
    assert attach_points.blocks(SCRIPT) == [
        ["BEGIN"],
        ["kprobe:start", "kprobe:__start"],
        ["kprobe:done", "kprobe:__done"],
        ["uprobe:/bin/bash:readline"],
    ]


def test_a_block_with_another_probe_is_not_missing() -> None:
    assert attach_points.missing(SCRIPT, ["kprobe:__start", "kprobe:__done"], 6) == []
    assert attach_points.missing(SCRIPT, ["kprobe:__done", "kprobe:done"], 6) == [
        "kprobe:done",
        "kprobe:__done",
    ]


def test_all_are_missing_where_only_timers_were_attached() -> None:
    script = "BEGIN { } kprobe:vfs_* { @ = count(); } interval:s:1 { print(@); }"
    skipped = ["kprobe:vfs_read", "kprobe:vfs_write"]

    assert attach_points.missing(script, skipped, 4) == skipped
    assert attach_points.missing(script, skipped, 5) == []
