"""bpf_trace_printk by way of a ring buffer: what is rewritten, and how lines are put together."""

from __future__ import annotations

import struct

import pytest

from kernelscope.agent.source.rewriter import rewrite
from kernelscope.protocol.frames import Frame
from kernelscope.protocol.layout import Field, Layout
from kernelscope.protocol.printk import TABLE as PRINTK_TABLE
from kernelscope.tables.collector import Collector

FIELDS = (
    Field("at_ns", "u64", 0, 8),
    Field("task", "u64", 8, 8),
    Field("args", "u64", 16, 24, count=3),
    Field("cpu", "u32", 40, 4),
    Field("site", "u32", 44, 4),
    *(Field(f"text{n}", "char", 48 + 64 * n, 64, count=64) for n in range(3)),
)
LAYOUT = Layout(PRINTK_TABLE, "ring", value=FIELDS, value_size=240, record_size=240)
CLOCK = {"monotonic_ns": 0, "realtime_ns": 0}


def _record(*args: int, texts: tuple[bytes, ...] = (), site: int = 0, at_ns: int = 1) -> bytes:
    padded = [*texts, b"", b"", b""][:3]
    numbers = [*(n % (1 << 64) for n in args), 0, 0, 0][:3]
    data = struct.pack("<QQ3QII64s64s64s", at_ns, 7 << 32 | 9, *numbers, 2, site, *padded)
    return struct.pack("<II", len(data), 0) + data


def _lines(formats: list[str], *records: bytes) -> list[str]:
    collector = Collector([LAYOUT], clock=CLOCK, printk_formats=formats)
    header = {"type": "batch", "table": PRINTK_TABLE, "form": "ring", "stride": 248}
    collector.add(Frame(header, b"".join(records)))
    return list(collector.tables()["printk"]["message"])


def test_each_call_becomes_a_record_and_keeps_its_lines() -> None:
    source = (
        'int f(void *c) {\n  bpf_trace_printk("a %d"\n    " %s\\n", 1,\n    "x");\n  return 0; }'
    )
    made = rewrite(source)
    assert made.printk_formats == ("a %d %s\n",)
    assert made.rings == (PRINTK_TABLE,)
    assert not made.printk
    body = made.text.splitlines()[made.prefix_lines :]
    assert "bpf_trace_printk" not in "\n".join(body)
    assert body[source.splitlines().index("  return 0; }")] == "  return 0; }"


@pytest.mark.parametrize(
    "call",
    [
        "bpf_trace_printk(fmt, 1)",
        'bpf_trace_printk("%pI4", &a)',
        'bpf_trace_printk("%d")',
        'bpf_trace_printk("%d %d %d %d", 1, 2, 3, 4)',
        'g(bpf_trace_printk("x"))',
    ],
    ids=["no literal", "kernel's pointer", "too few", "too many", "inside a call"],
)
def test_one_irreplaceable_call_sends_all_to_the_kernel(call: str) -> None:
    made = rewrite(f'int f(void *c) {{ bpf_trace_printk("ok"); {call}; }}')
    assert made.printk
    assert made.printk_formats == ()
    assert made.rings == ()


def test_a_program_that_does_not_print_gets_no_ring() -> None:
    assert PRINTK_TABLE not in rewrite("// bpf_trace_printk\n").text


@pytest.mark.parametrize(
    ("format_text", "record", "line"),
    [
        ("n=%d\n", _record(-5), "n=-5"),
        ("%d", _record(0xFFFFFFFF), "-1"),
        ("%u %x", _record(0xFFFFFFFF, 255), "4294967295 ff"),
        ("%ld %lu", _record(-1, -1), "-1 18446744073709551615"),
        ("%llx", _record(1 << 40), "10000000000"),
        ("%5d|%-3d|%03d", _record(1, 2, 3), "    1|2  |003"),
        ("100%% %s", _record(0, texts=(b"dd\0junk",)), "100% dd"),
        ("%d %s", _record(3, texts=(b"", b"second")), "3 second"),
        ("%c%c", _record(ord("o"), ord("k")), "ok"),
        ("%p", _record(0xFFFF888000000000), "0xffff888000000000"),
    ],
)
def test_formats_a_line_as_the_kernel_does(format_text: str, record: bytes, line: str) -> None:
    assert _lines([format_text], record) == [line]


def test_lines_of_several_calls_are_in_order_of_time() -> None:
    later, sooner = _record(1, site=0, at_ns=9), _record(2, site=1, at_ns=8)
    assert _lines(["a %d", "b %d"], later, sooner) == ["b 2", "a 1"]


def test_a_line_names_the_task_that_printed_it() -> None:
    collector = Collector([LAYOUT], clock=CLOCK, printk_formats=["x"])
    header = {"type": "batch", "table": PRINTK_TABLE, "form": "ring", "stride": 248}
    collector.add(Frame(header, _record()))
    row = collector.tables()["printk"].iloc[0]
    assert (row["cpu"], row["pid"], row["tid"]) == (2, 7, 9)
