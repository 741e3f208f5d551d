"""An agent that is not there: channels that give frames as the real one encodes them."""

from __future__ import annotations

import queue
import struct
from collections.abc import Iterator, Sequence
from typing import Any

from kernelscope.errors import AgentDiedError, KernelScopeError
from kernelscope.protocol.frames import Frame
from kernelscope.protocol.layout import Field, Layout
from kernelscope.protocol.program import Program

EVENTS = Layout(
    table="events",
    kind="ring",
    value=(Field("pid", "u32", 0, 4), Field("size_bytes", "u32", 4, 4)),
    value_size=8,
    record_size=8,
)
COUNTS = Layout(
    table="counts",
    kind="hash",
    key=(Field("", "u32", 0, 4),),
    value=(Field("", "u64", 0, 8),),
    key_size=4,
    value_size=8,
    max_entries=1024,
)
CLOCK = {"monotonic_ns": 5_000_000_000, "realtime_ns": 1_700_000_000_000_000_000}


def attached(*layouts: Layout) -> Frame:
    return Frame(
        {
            "type": "attached",
            "layouts": [layout.to_json() for layout in layouts],
            "hooks": [{"function": "on_event", "spec": "tracepoint:a:b"}],
            "timings": {"compile": 0.03},
            "cached": True,
            "header": "lean",
            "warnings": [],
            "clock": CLOCK,
            "cpus": 2,
            "kernel": {"release": "6.18", "machine": "x86_64"},
            "host": "testhost",
            "lost_counted": True,
        }
    )


def events(*rows: tuple[int, int]) -> Frame:
    payload = b"".join(struct.pack("<IIII", 8, 0, pid, size) for pid, size in rows)
    header = {"type": "batch", "table": "events", "form": "ring", "stride": 16, "at_ns": 1}
    return Frame({**header, "bytes": len(payload)}, payload)


def counts(values: dict[int, int], *, at_ns: int = 1, final: bool = True) -> Frame:
    keys = b"".join(struct.pack("<I", key) for key in values)
    payload = keys + b"".join(struct.pack("<Q", value) for value in values.values())
    header = {
        "type": "map", "table": "counts", "at_ns": at_ns, "part": 0, "last": True,
        "final": final, "count": len(values), "bytes": len(payload),
    }  # fmt: skip
    return Frame(header, payload)


def receipt(**lost: int) -> Frame:
    runs = {"programs": {"on_event": {"sampled_runs": 10, "ns_per_run": 120.0, "cpu_share": 0.01}}}
    return Frame(
        {
            "type": "receipt",
            "started_ns": 4_000_000_000,
            "duration_s": 2.5,
            "runs": runs,
            "lost": lost,
            "exit": "duration",
        }
    )


class FakeChannel:
    """Sends its frames and ends; with `held`, only after a stop request."""

    def __init__(
        self,
        frames: Sequence[Frame],
        *,
        held: bool = False,
        error: KernelScopeError | None = None,
        last: Sequence[Frame] = (),
    ) -> None:
        self.stopped = self.closed = self.started = False
        self.ends_ns = 0
        self.snapshots = 0
        self.on_snapshot: Frame | None = None
        self._queue: queue.Queue[Frame | None] = queue.Queue()
        self._error = error
        self._last = [*last]
        for frame in frames:
            self._queue.put(frame)
        if not held:
            self._end()

    def _end(self) -> None:
        for frame in self._last:
            self._queue.put(frame)
        self._queue.put(None)

    def give(self, frame: Frame) -> None:
        self._queue.put(frame)

    def frames(self) -> Iterator[Frame]:
        while (frame := self._queue.get()) is not None:
            yield frame
        if self._error is not None:
            raise self._error
        if self.closed and not self.stopped:
            raise AgentDiedError("it stopped before the end of the run")

    def start(self) -> None:
        self.started = True

    def until(self, at_ns: int) -> None:
        self.ends_ns = at_ns

    def stop(self) -> None:
        if not self.stopped:
            self.stopped = True
            self._end()

    def snapshot(self) -> None:
        self.snapshots += 1
        if self.on_snapshot is not None:
            self._queue.put(self.on_snapshot)

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            self._queue.put(None)


class FakeAgent:
    """Gives a prepared channel for each run and keeps the programs that it was sent."""

    def __init__(self, *channels: FakeChannel, reasons: dict[str, str] | None = None) -> None:
        self.channels = list(channels)
        self.programs: list[Program] = []
        self.reasons = reasons or {}
        self.alive = True
        self.greeted = False
        self.names: list[str] = []

    def run(self, program: Program) -> FakeChannel:
        self.programs.append(program)
        return self.channels.pop(0)

    def check(self, specs: Sequence[str]) -> dict[str, str | None]:
        return {spec: self.reasons.get(spec) for spec in specs}

    def list(self, kind: str, prefix: str, target: str) -> list[str]:
        assert (kind in ("uprobe", "uretprobe", "usdt")) == bool(target)
        return [name for name in self.names if name.startswith(prefix)]

    def greet(self) -> None:
        self.greeted = True

    def dismiss(self) -> None:
        self.alive = False

    def close(self) -> None:
        self.alive = False


def session(*channels: FakeChannel, **defaults: Any) -> Any:
    from kernelscope.tracing.session import Session

    return Session(agent=FakeAgent(*channels), **defaults)  # type: ignore[arg-type]
