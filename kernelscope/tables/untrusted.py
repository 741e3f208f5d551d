"""Checks data that did not come from the own agent: recordings, receipts of files.

The client trusts its agent; anybody can write a recording or a sidecar. `FrameChecker` checks the
frames of one run, `check_receipt` a receipt. What passes decodes without an exception, and in time
and memory in proportion to its size. Both raise UntrustedError with the place and the reason.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from kernelscope.errors import AgentRefusedError
from kernelscope.protocol import printk as printk_format
from kernelscope.protocol.frames import Frame
from kernelscope.protocol.layout import Field, Layout
from kernelscope.protocol.validation import known
from kernelscope.tables.plan import MAPS, RECORDS
from kernelscope.tables.value_checks import (
    UntrustedError,
    flag,
    identifier,
    integer,
    listing,
    mapping,
    number,
    numeral,
    one_of,
    optional,
    record,
    require,
    text,
)

_KINDS = (*MAPS, *RECORDS, "stack_trace")
_HISTOGRAMS = ("", "log2", "linear", "log_linear")
_SIZES = {
    "u8": 1, "u16": 2, "u32": 4, "u64": 8, "s8": 1, "s16": 2, "s32": 4, "s64": 8, "u128": 16,
    "f32": 4, "f64": 8, "char": 1, "bool": 1, "ptr": 8,
}  # fmt: skip
_MOST_FIELDS = 4096
_MOST_LAYOUTS = 1024
_LARGEST_RECORD = 1 << 20
_MOST_CPUS = 8192
_LATEST_NS = 4 * 10**18  # the year 2096; a pandas time ends in 2262
# Decoded records may take that many times the bytes that were sent, and a fixed amount.
_GROWTH, _ALLOWANCE = 64, 8 << 20
_PRINTK_FIELDS = {
    ("at_ns", 8), ("cpu", 4), ("task", 8), ("site", 4), ("args", 24),
    ("text0", 64), ("text1", 64), ("text2", 64),
}  # fmt: skip
_LONGEST_STACK = 1024  # frames; the kernel's limit is 127
_LONGEST_SYMBOL = 4096
_WIDEST = re.compile(r"\d{5,}")  # of a format's width or precision


# --- receipts ------------------------------------------------------------------------------------

_names = mapping(text(256), text())
_counts = mapping(text(256), integer())
_program_keys = record(
    {
        "sampled_runs": integer(),
        "ns_per_run": optional(number()),
        "cpu_share": optional(number(high=1e6)),
    }
)


def _program(value: Any, where: str) -> None:
    _program_keys(value, where)
    measured = not value.get("sampled_runs") or value.get("ns_per_run") is not None
    require(measured, where, "has runs, but no time of them")


_runs = record({"programs": mapping(text(256), _program)})


def _timestamp(value: Any, where: str) -> None:
    shape = r"(\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d{1,9})?(\+00:00|Z)?)?"
    text(64)(value, where)
    require(bool(re.fullmatch(shape, value, re.ASCII)), where, "is not a time")
    try:
        datetime.fromisoformat(value[:19] or "2000-01-01T00:00:00")
    except ValueError:
        raise UntrustedError(f"{where} is not a time") from None


_receipt = record(
    {
        "name": text(256),
        "probe": optional(text(256)),
        "table": optional(text(256)),
        "host": text(256),
        "kernel": record({"release": text(256), "version": text(256), "machine": text(64)}),
        "started": _timestamp,
        "duration_s": number(high=1e12),
        "asked_s": optional(number(high=1e12)),
        "events": optional(integer()),
        "rows": _counts,
        "lost": _counts,
        "recorded": flag,
        "interrupted": flag,
        "readings": mapping(text(256), one_of("sum", "min", "max")),
        "plots": listing(
            record(
                {
                    **dict.fromkeys(("kind", "table", "x", "y", "by", "value", "title"), text(256)),
                    "top": integer(1, 1000),
                }
            ),
            64,
        ),
        "warnings": listing(text(65_536)),
        "hooks": listing(text()),
        "runs": _runs,
        "cpu_share": optional(number(high=1e6)),
        "ns_per_run": optional(number()),
    }
)


def check_receipt(value: Any) -> dict[str, Any]:
    """Return a receipt that was read from a file. Raises UntrustedError."""
    _receipt(value, "")
    receipt: dict[str, Any] = value
    return receipt


# --- layouts -------------------------------------------------------------------------------------


def checked_layout(data: Any) -> Layout:
    """Return the layout that `data` describes. Raises UntrustedError."""
    try:
        values = known(data, Layout, "layout")
        for part in ("key", "value"):
            listing(record({}), _MOST_FIELDS)(list(values.get(part, ())), f"layout.{part}")
            for item in values.get(part, ()):
                known(item, Field, f"layout.{part}")
        layout = Layout.from_json(data)
    except (AgentRefusedError, TypeError) as error:
        raise UntrustedError(str(error)) from None
    identifier(layout.table, "layout.table")
    where = f"layout {layout.table}"
    one_of(*_KINDS)(layout.kind, f"{where}.kind")
    one_of(*_HISTOGRAMS)(layout.histogram, f"{where}.histogram")
    for name in ("key_size", "value_size", "record_size"):
        integer(0, _LARGEST_RECORD)(getattr(layout, name), f"{where}.{name}")
    integer(0, _MOST_CPUS)(layout.cpus, f"{where}.cpus")
    integer()(layout.max_entries, f"{where}.max_entries")
    is_map = layout.kind in MAPS
    require(not is_map or bool(layout.key and layout.value), where, "has no key or no value")
    require(not layout.histogram or is_map, where, "is a histogram, but not a map")
    require(layout.cpus == 0 or is_map, where, "has CPUs, but is not a map")
    _fields(layout.key, layout.key_size, f"{where}.key")
    size = layout.value_size if is_map else _LARGEST_RECORD
    _fields(layout.value, size, f"{where}.value", flexible=not is_map)
    require(not is_map or layout.key_size + layout.value_size > 0, where, "has no bytes")
    return layout


def _fields(fields: Sequence[Field], size: int, where: str, *, flexible: bool = False) -> None:
    names = [each.name for each in fields]
    for index, each in enumerate(fields):
        at = f"{where}[{index}]"
        text(256)(each.name, f"{at}.name")
        text(64)(each.type, f"{at}.type")
        for part in ("offset", "size", "count", "bit_offset", "bits"):
            integer(0, _LARGEST_RECORD)(getattr(each, part), f"{at}.{part}")
        require(each.offset + each.size <= size, at, "is outside its record")
        require(each.size > 0 or (flexible and index == len(fields) - 1), at, "has no size")
        width = _SIZES.get(each.type)
        if width is not None and each.size:
            require(each.size == width * max(each.count, 1), at, "has a wrong size")
        require(each.count > 0 or not each.size, at, "has no elements")
        if each.bits:
            whole = each.size in (1, 2, 4, 8) and each.type[:1] in ("u", "s") and each.count == 1
            require(whole and each.bit_offset + each.bits <= each.size * 8, at, "is no bit field")
    require(len(set(names)) == len(names), where, "names a field twice")


# --- frames --------------------------------------------------------------------------------------

_clock = integer(0, _LATEST_NS)
_clocks = record({"monotonic_ns": _clock, "realtime_ns": _clock}, ("monotonic_ns", "realtime_ns"))
_numbered = mapping(numeral, text(256))
_attached = record(
    {
        "clock": _clocks,
        "kernel": record({"release": text(256), "version": text(), "machine": text(64)}),
        "host": text(256),
        "cpus": optional(integer(0, 1 << 20)),
        "devices": _names,
        "enums": mapping(text(256), _numbered),
        "hook_names": _numbered,
        "hooks": listing(record({"spec": text(), "function": text(256)}, ("spec", "function"))),
        "printk_formats": listing(text(), 256),
        "warnings": listing(text(65_536)),
        "timings": mapping(text(256), number()),
        "cached": flag,
        "header": text(256),
        "lost_counted": flag,
        "began_ns": _clock,
    },
    ("layouts", "clock"),
)
_progress = record(
    {
        "at_ns": _clock,
        "clock": _clocks,
        "started_ns": _clock,
        "duration_s": number(high=1e9),
        "lost": _counts,
        "lost_by_table": _counts,
        "devices": _names,
        "runs": _runs,
    }
)
_data = record(
    {
        "table": identifier,
        "at_ns": _clock,
        "stride": integer(0, _LARGEST_RECORD),
        "records": integer(),
        "count": integer(),
        "form": one_of("ring", "perf"),
        "more": flag,
        "last": flag,
    },
    ("table",),
)
_stacks = record(
    {
        "frames": mapping(
            text(64), listing(listing(optional(lambda _value, _where: None), 3), _LONGEST_STACK)
        )
    }
)


class FrameChecker:
    """Checks the frames of one run, in order."""

    def __init__(self) -> None:
        self._layouts: dict[str, Layout] | None = None

    def check(self, frame: Frame) -> None:
        """Raise UntrustedError where a frame is not one that an agent sends."""
        checks: dict[str, Callable[[Frame], None]] = {
            "attached": self._check_attached,
            "batch": self._check_batch,
            "map": self._check_map,
            "stacks": _check_stacks,
            "status": lambda frame: _progress(frame.header, ""),
            "receipt": lambda frame: _progress(frame.header, ""),
        }
        if frame.type in checks:
            checks[frame.type](frame)

    def _check_attached(self, frame: Frame) -> None:
        header = frame.header
        require(self._layouts is None, "the run", "is attached twice")
        _attached(header, "")
        listing(record({}), _MOST_LAYOUTS)(header["layouts"], "layouts")
        layouts = [checked_layout(item) for item in header["layouts"]]
        self._layouts = {layout.table: layout for layout in layouts}
        require(len(self._layouts) == len(layouts), "layouts", "name a table twice")
        for each in header.get("printk_formats", ()):
            _check_format(each)
        if printk_format.TABLE in self._layouts:
            fields = {(f.name, f.size) for f in self._layouts[printk_format.TABLE].value}
            require(fields >= _PRINTK_FIELDS, printk_format.TABLE, "has other fields")

    def _layout(self, frame: Frame, kinds: Sequence[str]) -> Layout:
        require(self._layouts is not None, "data", "comes before the run is attached")
        _data(frame.header, "")
        layout = (self._layouts or {}).get(frame.header["table"])
        if layout is None or layout.kind not in kinds:
            raise UntrustedError(f"table {frame.header['table']} is not one of the run's")
        return layout

    def _check_batch(self, frame: Frame) -> None:
        from kernelscope.tables import records  # brings numpy, which a session can do without

        layout = self._layout(frame, RECORDS)
        size, stride = len(frame.payload), frame.header.get("stride", 0)
        if frame.header.get("form") == "perf":
            found = records.samples(frame.payload).records
            count, longest = len(found.starts), int(found.lengths.max(initial=0))
        elif stride:
            require(stride % 8 == 0 and size % stride == 0, "stride", "does not fit the data")
            count, longest = size // stride, stride
        else:
            walked = records.walk(frame.payload)
            count, longest = len(walked.starts), int(walked.lengths.max(initial=0))
        width = records.span(records.fitted(layout.value, longest))
        require(
            count * width <= _GROWTH * size + _ALLOWANCE, layout.table, "has records of no data"
        )

    def _check_map(self, frame: Frame) -> None:
        layout = self._layout(frame, MAPS)
        value = -(-layout.value_size // 8) * 8 * layout.cpus if layout.cpus else layout.value_size
        count = frame.header.get("count", 0)
        whole = count * (layout.key_size + value)
        require(whole == len(frame.payload), layout.table, "has entries of another size")


def _check_stacks(frame: Frame) -> None:
    try:
        data = json.loads(bytes(frame.payload) or b"{}")
    except (ValueError, RecursionError):
        raise UntrustedError("stacks are not JSON") from None
    _stacks(data, "stacks")
    for key, stack in data.get("frames", {}).items():
        require(
            bool(re.fullmatch(r"-?\d{1,20}:-?\d{1,20}", key, re.ASCII)), "stacks", "have a bad key"
        )
        for each in stack:
            require(len(each) == 3, f"stack {key}", "has a bad frame")
            symbol, offset, module = each
            optional(text(_LONGEST_SYMBOL))(symbol, f"stack {key}")
            integer(-(1 << 63), 1 << 64)(offset, f"stack {key}")
            optional(text(_LONGEST_SYMBOL))(module, f"stack {key}")


def _check_format(text_of_format: str) -> None:
    """Check a format of bpf_trace_printk: Python's % must take it and write no endless padding."""
    rest = printk_format.CONVERSION.sub("", text_of_format)
    require("%" not in rest, "a printk format", "has an unknown conversion")
    found = [m for m in printk_format.CONVERSION.finditer(text_of_format) if m[1] != "%"]
    require(len(found) <= 3, "a printk format", "has too many conversions")
    require(
        not any(_WIDEST.search(m[0]) for m in found), "a printk format", "has a width of millions"
    )
