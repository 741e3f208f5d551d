"""Known loads for the probes of bpf/cpu."""

from __future__ import annotations

import json
import os
import resource
import socket
import time
from pathlib import Path
from typing import Any

from workloads.probes.common import take_name


def tasks_woken() -> dict[str, Any]:
    """503 sleeps of 0.1 ms, as "ks-waits": it is woken and waits for a CPU after each."""
    take_name("ks-waits")
    for _ in range(503):
        time.sleep(0.0001)
    return {}


def busy_process() -> dict[str, Any]:
    """Compute until 197/99 s of CPU time are spent: 197 samples at 99 Hz."""
    return {"cpu_s": _compute(197 / 99)}


def _compute(cpu_s: float) -> float:
    """Compute for this much CPU time; return the actual time."""
    begun = time.process_time()
    while (spent := time.process_time() - begun) < cpu_s:
        sum(range(1000))
    return spent


def thread_blocked() -> dict[str, Any]:
    """101 sleeps of 1 ms, as "ks-blocked"; the time that they took."""
    take_name("ks-blocked")
    begun = time.monotonic()
    for _ in range(101):
        time.sleep(0.001)
    return {"wall_s": time.monotonic() - begun}


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
    """Read byte by byte until the end; return the time and the number of sleeps."""
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
    os.read(ready, 1)  # until the other end is closed everywhere: all are ready
    before = _schedstat()
    spent = _compute(0.101)
    after = _schedstat()
    usage = resource.getrusage(resource.RUSAGE_SELF)
    facts = {
        "cpu_s": spent,
        "waited_ns": after[1] - before[1],
        "preempted": usage.ru_nivcsw,
    }
    os.write(done, json.dumps(facts).encode())
    os._exit(0)


def _said(pipe: int, child: int) -> bytes:
    text = os.read(pipe, 65536)
    os.waitpid(child, 0)
    return text


def _schedstat() -> list[int]:
    return [int(word) for word in Path("/proc/self/schedstat").read_text().split()]


def walks_two_cpus() -> dict[str, Any]:
    """Compute for 61/99 s on the first CPU and then 40/99 s on the last: 101 samples at 99 Hz."""
    allowed = os.sched_getaffinity(0)
    spent: dict[int, float] = {}
    for cpu, samples in ((min(allowed), 61), (max(allowed), 40)):
        os.sched_setaffinity(0, {cpu})
        spent[cpu] = spent.get(cpu, 0.0) + _compute(samples / 99)
    return {"cpu_s": spent}


def moved_between_cpus() -> dict[str, Any]:
    """101 moves: from the first allowed CPU to the last and back in turn."""
    allowed = os.sched_getaffinity(0)
    first, last = min(allowed), max(allowed)
    os.sched_setaffinity(0, {first})
    for number in range(101):
        os.sched_setaffinity(0, {first if number % 2 else last})
    return {"first": first, "last": last}


def datagrams_to_itself() -> dict[str, Any]:
    """211 datagrams over the loopback device, one after the other."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as own:
        own.bind(("127.0.0.1", 0))
        for _ in range(211):
            own.sendto(b"x", own.getsockname())
            own.recv(1)
    return {}
