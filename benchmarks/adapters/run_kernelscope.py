"""One measurement with KernelScope, as JSON on standard output.

    python -m benchmarks.adapters.run_kernelscope CASE '{"seconds": N, ...}'

A separate process, like a notebook: its CPU time and memory are what the notebook would use.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from statistics import median
from threading import Thread
from typing import Any

import numpy as np
import pandas as pd

import kernelscope
from benchmarks.adapters import programs
from benchmarks.measure import processes
from kernelscope.tracing.batch import Batch
from kernelscope.tracing.session import Run, default_session
from workloads.bench.load import Load

ANY = 1 << 40  # writes: more than there is time for
_SHORT_S = 5.0  # a flood that is decoded several times


def start(nonces: list[int], repeats: int) -> dict[str, Any]:
    """Cell to attached with a live agent: each program new (cold), then again (warm).

    There is a pause before each, as before a person's next cell. Directly after another run
    (`at_once_s`) a tracepoint has to wait until the kernel has closed the last one.
    """
    first = _attach(programs.START % {"nonce": 1})
    time.sleep(1.0)  # an agent that has been idle has loaded its compiler
    cold, warm, at_once = [], [], []
    steps: dict[str, list[dict[str, float]]] = {"cold": [], "warm": []}
    for nonce in nonces:
        source = programs.START % {"nonce": nonce}
        cold.append(_attach(source, pause_s=0.3, steps=steps["cold"]))
        at_once += [_attach(source) for _ in range(repeats)]
        warm += [_attach(source, pause_s=0.3, steps=steps["warm"]) for _ in range(repeats)]
    medians = {
        name: {step: median(each[step] for each in seen) for step in _STEPS if step in seen[0]}
        for name, seen in steps.items()
    }
    told = {"first_s": first, "cold_s": cold, "warm_s": warm, "at_once_s": at_once}
    return {**told, "steps": medians}


_STEPS = ("compile", "clang", "load", "attach")  # clang is a part of compile, if it was needed


def _attach(
    source: str, pause_s: float = 0.0, steps: list[dict[str, float]] | None = None
) -> float:
    time.sleep(pause_s)
    begun = time.perf_counter()
    with kernelscope.start(source=source, duration="inf") as run:
        took = time.perf_counter() - begun
        if steps is not None:
            steps.append(run.stream.attached["timings"])
        return took


def extension() -> dict[str, Any]:
    """Load the extension into an IPython shell, and a second later run a first cell."""
    from IPython.core.interactiveshell import InteractiveShell

    shell = InteractiveShell.instance()
    begun = time.perf_counter()
    shell.run_line_magic("load_ext", "kernelscope")
    loaded = (time.perf_counter() - begun) * 1e3
    return {"ms": loaded, "first_s": _attach(programs.START % {"nonce": 1}, pause_s=1.0)}


def events(
    size: int, rate: float, seconds: float, output: str = "ring", max_rows: str | None = None
) -> dict[str, Any]:
    """Every event into a DataFrame: how many arrived, and the cost of each step."""
    load = Load(ANY, rate=rate, size=programs.TEXT_BYTES, seconds=seconds)
    agent = default_session().agent
    _settle()
    with _started(programs.events(size, output), load, max_rows=max_rows, table="events") as run:
        clock = _Clock(agent.pid)
        load.begin()
        took = load.wait()
        run.stop()
        run.wait()
        clock.lap("read")
        frame = run.result(warn=False)
        clock.lap("decoded")
        used = clock.total()
        for lap in ("again", "in memory used before") if rate == 0 and seconds < _SHORT_S else ():
            run.stream.tables()
            clock.lap(lap)
    assert isinstance(frame, pd.DataFrame)
    receipt = frame.attrs["kernelscope"]
    if rate == 0 and output == "ring" and not bool(np.all(np.diff(frame["at"].to_numpy()) >= 0)):
        raise RuntimeError("the events are not in their order")
    return {
        **took,
        "delivered": receipt["events"],
        "kept": len(frame),
        "lost": receipt.get("lost", {}),
        "cpu_s": used,
        "agent_s": clock.agent["read"],
        "receive_s": clock.own["read"],
        "decode_s": clock.own["decoded"],
        "again_s": clock.own.get("in memory used before", 0.0),
        "peak_mib": processes.peak_mib(),
    }


class _Clock:
    """CPU time by phase: of this process, and of the agent with all of its children."""

    def __init__(self, agent: int) -> None:
        self._pid = agent
        self._last = self._now()
        self.own: dict[str, float] = {}
        self.agent: dict[str, float] = {}

    def lap(self, name: str) -> None:
        """End a phase."""
        now = self._now()
        self.own[name] = now[0] - self._last[0]
        self.agent[name] = now[1] - self._last[1]
        self._last = now

    def total(self) -> float:
        """Return the total."""
        return sum(self.own.values()) + sum(self.agent.values())

    def _now(self) -> tuple[float, float]:
        """Return the agent's CPU time: the server counts ended children; others are read."""
        fields = Path(f"/proc/{self._pid}/stat").read_text().rpartition(")")[2].split()
        over = sum(map(int, fields[13:15])) / os.sysconf("SC_CLK_TCK")
        live = sum(_precise_cpu_s(pid) for pid in (self._pid, *_children(self._pid)))
        return time.process_time(), over + live


def _precise_cpu_s(pid: int) -> float:
    with suppress(FileNotFoundError, ProcessLookupError):
        return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9
    return 0.0


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def stream(size: int, seconds: float) -> dict[str, Any]:
    """A flood whose batches are decoded as they arrive, without loss, and then dropped."""
    load = Load(ANY, size=programs.TEXT_BYTES, seconds=seconds)
    agent = default_session().agent
    _settle()
    rows, beside, took = 0, 0.0, {}

    def stop_with_the_load() -> None:
        took.update(load.wait())
        run.stop()

    with _started(programs.events(size), load, max_rows=1, table="events") as run:
        clock = _Clock(agent.pid)
        stopper = Thread(target=stop_with_the_load)
        load.begin()
        stopper.start()
        latest: deque[Batch] = deque(maxlen=4)  # more would evict new data from the cache
        for batch in run:
            begun = time.thread_time()
            rows += len(batch.frame())
            beside += time.thread_time() - begun
            latest.append(batch)
        stopper.join()
        clock.lap("all")
    if rows != took["events"]:
        raise RuntimeError(f"{rows} rows of {took['events']:.0f} events")
    # The same again, on an idle machine.
    alone = time.process_time()
    again = sum(len(batch.frame()) for _ in range(50) for batch in latest)
    alone = (time.process_time() - alone) / again
    cpu = {"cpu_s": clock.total(), "agent_s": clock.agent["all"], "decode_s": alone * rows}
    return {**took, "rows": rows, "beside_s": beside, **cpu}


def unread(size: int, seconds: float, ring: str, read: bool) -> dict[str, Any]:
    """The cost for the traced program while the ring is read, and while it is not."""
    load = Load(ANY, size=programs.TEXT_BYTES, seconds=seconds)
    agent = default_session().agent
    _settle()
    with _started(programs.events(size), load, ring=ring, max_rows=1, table="events") as run:
        reader = _children(agent.pid)[0]
        if not read:
            os.kill(reader, signal.SIGSTOP)
        took = load.run()
        os.kill(reader, signal.SIGCONT)
        run.close()
    return took


def count(events: int) -> dict[str, Any]:
    """Count in a hash; only the traced program's time matters."""
    load = Load(events)
    _settle()
    with _started(programs.COUNT, load) as run:
        took = load.run()
        run.stop()
        frame = run.result()
    assert isinstance(frame, pd.DataFrame)
    return {**took, "delivered": int(frame["value"].sum())}


def maps(kind: str, counts: list[int]) -> dict[str, Any]:
    """From asking a run to stop to the DataFrame of its map, for maps of some sizes."""
    _settle()
    found = {}
    for count in counts:
        load = Load(count)
        with _started(programs.keys(kind), load, table="keys") as run:
            load.run()
            begun = time.perf_counter()
            run.peek()
            peeked = time.perf_counter()
            run.stop()
            frame = run.result()
            ended = time.perf_counter()
        assert isinstance(frame, pd.DataFrame)
        number = frame["number" if kind == "struct" else "key"]
        if len(frame) != count or not (frame["value"] == 3 * number).all():
            raise RuntimeError(f"{len(frame)} of {count} keys, or they are wrong")
        each = {"s": peeked - begun, "end_s": ended - peeked}
        found[str(count)] = {**each, "detach_s": run.stream.receipt["detach_s"]}
    return found


def probes(names: list[str] | None, rounds: int) -> dict[str, Any]:
    """The cost of each built-in probe for three loads."""
    from benchmarks.suites.overhead import all_probes

    _settle()
    return all_probes(names, rounds)


def together(counts: list[int]) -> dict[str, Any]:
    """Some concurrent runs, each with a ring: all see the events of one load."""
    agent = default_session().agent
    _settle()
    found = {}
    for count in counts:
        load = Load(ANY, rate=10_000, seconds=1.0)
        source, options = programs.events(40), {"table": "events"}
        begun = time.perf_counter()
        runs = [_started(source, load, **options) for _ in range(count)]
        attached = time.perf_counter() - begun
        clock = _Clock(agent.pid)
        time.sleep(1.0)
        clock.lap("idle")
        took = load.run()
        held = processes.resident_mib(_children(agent.pid))
        for run in runs:
            run.stop()
        results = [run.result() for run in runs]
        found[str(count)] = {
            "attached_s": attached,
            "agent_mib": held,
            "idle": clock.total(),
            "lost": sum(took["events"] - len(result) for result in results),
        }
    return found


def _started(source: str, load: Load, **options: Any) -> Run:
    defines = {"TARGET": str(load.pid)}
    run: Run = kernelscope.start(source=source, defines=defines, duration="inf", **options)
    return run


def _settle() -> None:
    """Start the agent and let it load its compiler, as it does when idle."""
    kernelscope.run(source=programs.START % {"nonce": 1}, duration="100ms")
    time.sleep(0.5)


CASES: dict[str, Callable[..., dict[str, Any]]] = {
    "start": start,
    "extension": extension,
    "events": events,
    "stream": stream,
    "unread": unread,
    "count": count,
    "maps": maps,
    "probes": probes,
    "together": together,
}


def main() -> None:
    """Measure the case named on the command line."""
    case, options = sys.argv[1:]
    sys.stdout.write(json.dumps(CASES[case](**json.loads(options))) + "\n")


if __name__ == "__main__":
    main()
