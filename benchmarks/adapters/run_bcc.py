"""One measurement with plain bcc, as JSON on standard output.

    python -m benchmarks.adapters.run_bcc CASE '{"seconds": N, ...}'

Runs together with pandas, with a PYTHONPATH that contains only the bcc package. BCC_KERNEL_SOURCE
and KS_HEADER are the location of the headers.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from typing import Any

from benchmarks.adapters import programs
from workloads.bench.load import Load

RING_POLL_MS = 100
PERF_PAGES = 1024
RING_PAGES = 4096  # 16 MiB, as large as KernelScope's


def _bpf(text: str, load: Load | None = None) -> Any:
    from bcc import BPF

    flags = [f"-DTARGET={load.pid}"] if load else []
    if os.environ.get("KS_HEADER"):
        flags += ['-DKS_HEADER="{}"'.format(os.environ["KS_HEADER"]), "-w"]
    return BPF(text=text, cflags=flags)


def start(nonce: int) -> dict[str, Any]:
    """Attach and report it: the caller's clock started before this process."""
    _bpf(programs.START % {"nonce": nonce})
    return {"attached": True}


def load_module() -> dict[str, Any]:
    """Import bcc."""
    begun = time.perf_counter()
    import bcc  # noqa: F401 - the import is what is measured

    return {"ms": (time.perf_counter() - begun) * 1e3}


def events(
    size: int,
    rate: float,
    seconds: float,
    output: str = "ring",
    keep_s: float = 4,
    pages: int = RING_PAGES,
) -> dict[str, Any]:
    """Every event through a Python callback, then into a DataFrame.

    keep_s: how long to keep reading after the end of the load; a flood fills the kernel's buffer,
    and reading stops when it is empty. pages: size of the ring, in pages of 4 KiB.
    """
    import pandas as pd

    load = Load(1 << 40, rate=rate, size=programs.TEXT_BYTES, seconds=seconds)
    bpf = _bpf(programs.events(size, output, pages), load)
    table, kept, names = bpf["events"], [], programs.COLUMNS[size]
    event = table.event

    def keep(_context: Any, data: Any, _size: int) -> None:
        one = event(data)
        kept.append([getattr(one, name) for name in names])

    if output == "ring":
        table.open_ring_buffer(keep)
        poll = bpf.ring_buffer_poll
    else:
        table.open_perf_buffer(keep, page_cnt=PERF_PAGES, lost_cb=lambda _: None)
        poll = bpf.perf_buffer_poll
    before = _cpu_s()
    load.begin()
    while not load.over:
        poll(RING_POLL_MS)
    polled, deadline = -1, time.monotonic() + keep_s
    while polled != len(kept) and time.monotonic() < deadline:
        polled = len(kept)
        poll(RING_POLL_MS)
    frame = pd.DataFrame(kept, columns=names)
    used = _cpu_s() - before
    return {**load.wait(), "delivered": len(frame), "cpu_s": used}


def count(events: int) -> dict[str, Any]:
    """Count in a hash; only the traced program's time matters."""
    load = Load(events)
    bpf = _bpf(programs.COUNT, load)
    took = load.run()
    return {**took, "delivered": sum(value.value for value in bpf["counts"].values())}


def maps(kind: str, counts: list[int]) -> dict[str, Any]:
    """Read maps of some sizes with items_lookup_batch() and with items(), each to a DataFrame."""
    found = {}
    for count in counts:
        load = Load(count)
        bpf = _bpf(programs.keys(kind), load)
        load.run()
        table = bpf["keys"]
        each = {"items_s": _timed(table.items, _ROWS[kind], count)}
        if kind != "per-CPU":  # bcc 0.26 has no batch operations for these
            each["batch_s"] = _timed(table.items_lookup_batch, _BATCH_ROWS[kind], count)
        found[str(count)] = each
        bpf.cleanup()
    return found


# A batch's numbers are plain ones, which items() wraps.
_ROWS: dict[str, Any] = {
    "scalar": lambda items: [(key.value, value.value) for key, value in items],
    "struct": lambda items: [(key.pid, key.fd, key.number, value.value) for key, value in items],
    "per-CPU": lambda items: [(key.value, sum(value)) for key, value in items],
}
_BATCH_ROWS: dict[str, Any] = {
    "scalar": list,
    "struct": lambda items: [(key.pid, key.fd, key.number, value) for key, value in items],
}


def _timed(items: Any, rows: Any, count: int) -> float:
    import pandas as pd

    begun = time.perf_counter()
    frame = pd.DataFrame(rows(items()))
    took = time.perf_counter() - begun
    if len(frame) != count:
        raise RuntimeError(f"{len(frame)} of {count} keys")
    return took


def _cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


CASES: dict[str, Any] = {
    "start": start,
    "load_module": load_module,
    "events": events,
    "count": count,
    "maps": maps,
}


def main() -> None:
    """Measure the case named on the command line."""
    case, options = sys.argv[1:]
    print(json.dumps(CASES[case](**json.loads(options))), flush=True)
    os._exit(0)  # bcc's work at exit is not measured


if __name__ == "__main__":
    main()
