"""Known loads for the probes of bpf/cpu."""

from __future__ import annotations

import json
import os
import resource
import time
from pathlib import Path
from typing import Any

from common import take_name


def tasks_woken() -> dict[str, Any]:
    """503 sleeps of 0.1 ms, as "ks-waits": it is woken and waits for a CPU after each."""
    take_name("ks-waits")
    for _ in range(503):
        time.sleep(0.0001)
    return {}


def busy_process() -> dict[str, Any]:
    """Compute until 197/99 s of CPU time are spent: 197 samples at 99 Hz."""
    begun = time.process_time()
    while (spent := time.process_time() - begun) < 197 / 99:
        sum(range(1000))
    return {"cpu_s": spent}


def thread_blocked() -> dict[str, Any]:
    """101 sleeps of 1 ms, as "ks-blocked"; the time that the sleeps took, and CPU time in it."""
    take_name("ks-blocked")
    wall, cpu = time.monotonic(), time.process_time()
    for _ in range(101):
        time.sleep(0.001)
    return {"wall_s": time.monotonic() - wall, "cpu_s": time.process_time() - cpu}


def woken_by_another() -> dict[str, Any]:
    """101 bytes written into a pipe, 1 ms apart, each of which wakes the child "ks-woken"."""
    reader, writer = os.pipe()
    back, done = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(writer)
        take_name("ks-woken")
        os.write(done, json.dumps(_waits(reader)).encode())
        os._exit(0)
    for _ in range(101):
        time.sleep(0.001)
        os.write(writer, b"x")
    os.close(writer)
    facts = json.loads(os.read(back, 65536))
    os.waitpid(child, 0)
    return {"child": child, **facts}


def _waits(reader: int) -> dict[str, Any]:
    """Read byte by byte until the end; the time that this took, and how often it slept."""
    begun, slept = time.monotonic(), resource.getrusage(resource.RUSAGE_SELF).ru_nvcsw
    while os.read(reader, 1):
        pass
    ended = resource.getrusage(resource.RUSAGE_SELF).ru_nvcsw
    return {"waited_s": time.monotonic() - begun, "sleeps": ended - slept}


def three_on_one_cpu() -> dict[str, Any]:
    """Three processes "ks-three" that compute for 101 ms each, at once on one CPU."""
    cpu = min(os.sched_getaffinity(0))
    ready, go = os.pipe()
    children = [_computing(cpu, ready, go) for _ in range(3)]
    os.close(ready)
    os.close(go)
    return {
        "cpu": cpu,
        "children": {child: json.loads(_said(pipe, child)) for child, pipe in children},
    }


def _computing(cpu: int, ready: int, go: int) -> tuple[int, int]:
    back, done = os.pipe()
    child = os.fork()
    if child:
        os.close(done)
        return child, back
    os.sched_setaffinity(0, {cpu})
    take_name("ks-three")
    os.close(go)
    os.read(ready, 1)  # until nobody has the other end: all are there
    before, begun = _schedstat(), time.process_time()
    while time.process_time() - begun < 0.101:
        sum(range(1000))
    after = _schedstat()
    usage = resource.getrusage(resource.RUSAGE_SELF)
    facts = {"waited_ns": after[1] - before[1], "preempted": usage.ru_nivcsw}
    os.write(done, json.dumps(facts).encode())
    os._exit(0)


def _said(pipe: int, child: int) -> bytes:
    text = os.read(pipe, 65536)
    os.waitpid(child, 0)
    return text


def _schedstat() -> list[int]:
    return [int(word) for word in Path("/proc/self/schedstat").read_text().split()]
