"""A run of an hour at a moderate rate: is its memory flat, and does every event arrive?

    python -m benchmarks.suites.soak --seconds 3600

Each event has a number, and the client checks every batch as it arrives: a number that is missing
or out of order is counted. The memory of the notebook's process and of the agent is read every ten
seconds; results/soak.json is written each time.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from datetime import UTC, datetime
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pandas as pd

import kernelscope
from benchmarks.measure import processes
from benchmarks.measure.measurement import RESULTS
from kernelscope.tracing.session import Run, default_session
from workloads.bench.load import Load

KEPT = RESULTS / "soak.json"
EVERY_S = 10.0
MAX_ROWS = 1_000_000

# Only the load increments the number, in one thread: it needs no lock.
SOURCE = """
struct event { u64 at; u64 number; u32 pid; u32 fd; char comm[16]; };
BPF_RINGBUF_OUTPUT(events, 8);
BPF_ARRAY(next_number, u64, 1);
TRACEPOINT_PROBE(syscalls, sys_enter_write) {
    u32 pid = bpf_get_current_pid_tgid() >> 32;
    if (pid != TARGET || args->fd != 100) return 0;
    int zero = 0;
    u64 *next = next_number.lookup(&zero);
    if (!next) return 0;
    struct event event = {};
    event.at = bpf_ktime_get_ns();
    event.number = (*next)++;
    event.pid = pid;
    event.fd = args->fd;
    bpf_get_current_comm(&event.comm, sizeof(event.comm));
    events.ringbuf_output(&event, sizeof(event), 0);
    return 0;
}
"""


class Watch:
    """Checks every batch of a run: the number of events, and of gaps."""

    def __init__(self, run: Run) -> None:
        self.events = self.gaps = 0
        self._run = run
        self._next = 0
        self._thread = Thread(target=self._look, daemon=True)
        self._thread.start()

    def _look(self) -> None:
        for batch in self._run:
            if batch.table != "events":
                continue
            numbers = batch.frame(["number"])["number"].to_numpy()
            expected = np.arange(self._next, self._next + len(numbers), dtype=numbers.dtype)
            self.gaps += int((numbers != expected).sum())
            self._next = int(numbers[-1]) + 1
            self.events += len(numbers)

    def join(self) -> None:
        """Wait until the run's last batch has been checked."""
        self._thread.join()


def soak(seconds: float, rate: int, out: Path = KEPT) -> dict[str, Any]:
    """Run and return the samples; they are written to `out` along the way."""
    load = Load(round(seconds * rate), rate=rate)
    found: dict[str, Any] = {
        "at": f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S}",
        "seconds": seconds,
        "rate": rate,
        "max_rows": MAX_ROWS,
        "samples": [],
    }
    defines = {"TARGET": str(load.pid)}
    with kernelscope.start(
        source=SOURCE, defines=defines, duration="inf", max_rows=MAX_ROWS, table="events"
    ) as run:
        watch = Watch(run)
        load.begin()
        begun = time.monotonic()
        while not load.over:
            time.sleep(EVERY_S)
            found["samples"].append(_sample(time.monotonic() - begun, run, watch))
            _keep(found, out)
        took = load.wait()
        run.stop()
        frame = run.result(warn=False)
    assert isinstance(frame, pd.DataFrame)  # one table was requested
    watch.join()
    kept = frame["number"].to_numpy()
    found["end"] = {
        "made": int(took["events"]),
        "load_s": took["load_s"],
        "seen": frame.attrs["kernelscope"]["events"],
        "looked_at": watch.events,
        "gaps": watch.gaps,
        "lost": dict(frame.attrs["kernelscope"].get("lost", {})),
        "kept": len(kept),
        "kept_are_the_last": bool((kept == np.arange(load.count - len(kept), load.count)).all()),
    }
    _keep(found, out)
    return found


def _sample(at_s: float, run: Run, watch: Watch) -> dict[str, Any]:
    agent = default_session().agent.pid
    agents = [agent, *processes.below(agent)]
    return {
        "s": round(at_s, 1),
        "notebook_mib": round(processes.resident_mib([os.getpid()]), 2),
        "agent_mib": round(processes.resident_mib(agents), 2),
        "notebook_cpu_s": round(time.process_time(), 2),
        "agent_cpu_s": round(processes.cpu_s(agents), 2),
        "events": watch.events,
        "gaps": watch.gaps,
        "lost": sum(run.lost.get(cause, 0) for cause in run.lost if cause != "dropped_rows"),
    }


def _keep(found: dict[str, Any], out: Path) -> None:
    made = out.with_suffix(".part")
    made.write_text(json.dumps(found) + "\n", encoding="utf-8")
    made.replace(out)


def main() -> None:
    """Run the measurement and store its samples."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.suites.soak")
    parser.add_argument("--seconds", type=float, default=3600)
    parser.add_argument("--rate", type=int, default=10_000)
    parser.add_argument("--out", type=Path, default=KEPT)
    options = parser.parse_args()
    print(json.dumps(soak(options.seconds, options.rate, options.out)["end"]))


if __name__ == "__main__":
    main()
