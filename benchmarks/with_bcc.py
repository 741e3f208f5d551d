"""One measurement with plain bcc, as JSON on standard output.

    python3 with_bcc.py CASE '{"count": N, ...}'

Runs under the distribution's Python. BCC_KERNEL_SOURCE and KS_HEADER tell bcc where headers are.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from typing import Any

import programs
from load import Load

RING_POLL_MS = 100
PERF_PAGES = 1024


def _bpf(text: str, load: Load | None = None) -> Any:
    from bcc import BPF

    flags = [f"-DTARGET={load.pid}"] if load else []
    if os.environ.get("KS_HEADER"):
        flags += ['-DKS_HEADER="{}"'.format(os.environ["KS_HEADER"]), "-w"]
    return BPF(text=text, cflags=flags)


def start(nonce: int) -> dict[str, Any]:
    """Attach and say so: the caller's clock runs from before this process began."""
    _bpf(programs.START % {"nonce": nonce})
    return {"attached": True}


def flood_ring(count: int) -> dict[str, Any]:
    """A ring buffer and a Python callback that keeps each event."""
    load = Load(count)
    bpf = _bpf(programs.FLOOD_RING, load)
    kept: list[Any] = []
    event = bpf["events"].event

    def keep(_context: Any, data: Any, _size: int) -> None:
        kept.append(event(data))

    bpf["events"].open_ring_buffer(keep)
    return _flood(load, kept, lambda: bpf.ring_buffer_poll(RING_POLL_MS))


def flood_perf(count: int) -> dict[str, Any]:
    """A perf buffer and a Python callback that keeps each event."""
    load = Load(count)
    bpf = _bpf(programs.FLOOD_PERF, load)
    kept: list[Any] = []
    event = bpf["events"].event

    def keep(_cpu: int, data: Any, _size: int) -> None:
        kept.append(event(data))

    bpf["events"].open_perf_buffer(keep, page_cnt=PERF_PAGES, lost_cb=lambda _: None)
    return _flood(load, kept, lambda: bpf.perf_buffer_poll(RING_POLL_MS))


def _flood(load: Load, kept: list[Any], poll: Any) -> dict[str, Any]:
    before = _cpu_s()
    load.begin()
    while not load.over:
        poll()
    polled = -1
    while polled != len(kept):
        polled = len(kept)
        poll()
    used = _cpu_s() - before
    return {**load.wait(), "delivered": len(kept), "cpu_s": used}


def count(count: int) -> dict[str, Any]:
    """Count in a hash; only the traced program's time matters."""
    load = Load(count)
    bpf = _bpf(programs.COUNT, load)
    load.begin()
    took = load.wait()
    return {**took, "delivered": sum(value.value for value in bpf["counts"].values())}


def table(count: int) -> dict[str, Any]:
    """Read a large hash with items() and with items_lookup_batch()."""
    load = Load(count)
    bpf = _bpf(programs.HASH, load)
    load.begin()
    load.wait()
    begun = time.perf_counter()
    batch = list(bpf["keys"].items_lookup_batch())
    middle = time.perf_counter()
    items = [(key.value, value.value) for key, value in bpf["keys"].items()]
    end = time.perf_counter()
    return {
        "keys": len(items),
        "keys_batch": len(batch),
        "items_s": end - middle,
        "batch_s": middle - begun,
    }


def _cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


CASES: dict[str, Any] = {
    "start": start,
    "flood_ring": flood_ring,
    "flood_perf": flood_perf,
    "count": count,
    "table": table,
}


def main() -> None:
    """Measure the case that the command line names."""
    case, options = sys.argv[1:]
    print(json.dumps(CASES[case](**json.loads(options))), flush=True)
    os._exit(0)  # what bcc does at exit is not measured


if __name__ == "__main__":
    main()
