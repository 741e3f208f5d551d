"""Recordings and receipts from outside: forged ones are errors, soon and in little memory."""

from __future__ import annotations

import json
import time
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from unit.builders.raw_frames import CLOCK, EVENT, event, ring_batch

from kernelscope.errors import KernelScopeError, RecordingError
from kernelscope.io import recording
from kernelscope.protocol.frames import Frame
from kernelscope.protocol.layout import Field, Layout
from kernelscope.protocol.program import Program
from kernelscope.tables.untrusted import FrameChecker, check_receipt
from kernelscope.tables.value_checks import UntrustedError
from kernelscope.tracing.replay import Replay
from kernelscope.tracing.request import Request
from kernelscope.tracing.run import Run

REQUEST = Request(Program("cell", "BPF_RINGBUF_OUTPUT(events, 8);"))


def attached(*layouts: dict[str, Any], **more: Any) -> Frame:
    return Frame({"type": "attached", "layouts": list(layouts), "clock": CLOCK, **more})


def ring(**more: Any) -> dict[str, Any]:
    return {**EVENT.to_json(), **more}


def result_of(path: Path, *frames: Frame) -> Any:
    with recording.Recorder(path, REQUEST.to_json(), compress=True) as recorder:
        for frame in frames:
            recorder.add(frame)
    replay = Replay(path)
    return Run(replay, replay.request, recorded=True).result()


FORGED = {
    "a field of 2 GiB": attached(ring(value=[Field("x", "char", 0, 1 << 31, 1 << 31).__dict__])),
    "a field at 1 GiB": attached(ring(value=[Field("x", "u64", 1 << 30, 8).__dict__])),
    "a table that is a path": attached(ring(table="../../x")),
    "an unknown kind": attached(ring(kind="queue")),
    "a field twice": attached(ring(value=[Field("x", "u8", 0, 1).__dict__] * 2)),
    "no clock": Frame({"type": "attached", "layouts": []}),
    "a clock without numbers": attached(clock={"monotonic_ns": None, "realtime_ns": "x"}),
    "losses that are a list": Frame({"type": "status", "lost": [1]}),
    "a printk format of a gigabyte": attached(printk_formats=["%1000000000d"]),
    "stacks that are no JSON": Frame({"type": "stacks"}, b"{"),
    "stacks of another shape": Frame({"type": "stacks"}, b'{"frames": {"1:2": [[1]]}}'),
}


@pytest.mark.parametrize("frame", FORGED.values(), ids=FORGED)
def test_a_forged_frame_is_an_error_with_its_offset(frame: Frame, tmp_path: Path) -> None:
    frames = [frame] if frame.type == "attached" else [attached(ring()), frame]

    with pytest.raises(RecordingError, match="is not valid") as caught:
        result_of(tmp_path / "x.ksr", *frames)

    assert caught.value.details["offset"] > len("KernelScope recording 1\n")


def test_a_hundred_thousand_fields_are_an_error_at_once(tmp_path: Path) -> None:
    fields = [Field(f"f{n}", "u8", n, 1).__dict__ for n in range(100_000)]
    started = time.monotonic()

    with pytest.raises(RecordingError, match="not a short list"):
        result_of(tmp_path / "x.ksr", attached(ring(value=fields)))

    assert time.monotonic() - started < 5


def test_a_small_file_cannot_fill_the_memory(tmp_path: Path) -> None:
    header = {"type": "batch", "table": "events", "form": "ring", "stride": 40}
    zeros = Frame(header, bytes(40 << 22))
    tracemalloc.start()

    with pytest.warns(UserWarning, match="more than a recording of this size"):
        result_of(tmp_path / "x.ksr", attached(ring()), zeros)

    assert tracemalloc.get_traced_memory()[1] < 500 << 20
    tracemalloc.stop()


def test_records_without_data_cannot_fill_the_memory() -> None:
    wide = Layout("events", "ring", value=(Field("x", "char", 0, 1 << 20, 1 << 20),))
    checker = FrameChecker()
    checker.check(attached(wide.to_json()))
    empty = Frame({"type": "batch", "table": "events", "form": "ring", "stride": 8}, bytes(8 << 17))

    with pytest.raises(UntrustedError, match="records of no data"):
        checker.check(empty)


def test_a_column_that_does_not_fit_its_field_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "x.ksr"
    header = {**REQUEST.to_json(), "types": {"comm": "errno"}}
    with recording.Recorder(path, header) as recorder:
        recorder.add(attached(ring()))
        recorder.add(ring_batch([event(1, 2, 3, b"x")], 40))
        recorder.add(Frame({"type": "end"}))
    replay = Replay(path)

    with pytest.raises(KernelScopeError, match="'comm' cannot be read as errno"):
        Run(replay, replay.request, recorded=True).result()


@pytest.mark.parametrize(
    "receipt",
    [
        [],
        {"lost": [1]},
        {"lost": {"map_full": "many"}},
        {"started": "yesterday"},
        {"duration_s": float("nan")},
        {"readings": {"count": "product"}},
        {"plots": [{"top": 10**9}]},
        {"kernel": 6.18},
    ],
)
def test_a_forged_receipt_is_an_error(receipt: Any) -> None:
    with pytest.raises(UntrustedError):
        check_receipt(receipt)


def test_unknown_keys_of_a_receipt_are_kept() -> None:
    receipt = {"name": "x", "parameters": {"disk": 7}, "made_by": "a newer version"}

    assert check_receipt(json.loads(json.dumps(receipt))) == receipt
