"""One measurement with bpftrace, as JSON on standard output.

python -m benchmarks.adapters.run_bpftrace CASE '{"seconds": N, ...}'
"""

from __future__ import annotations

import json
import os
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from threading import Thread
from typing import Any

import pandas as pd

from benchmarks.adapters import programs
from benchmarks.measure import processes
from workloads.bench.load import Load

_ONCE_ATTACHED = 'interval:ms:1 /!@said/ { @said = 1; printf("attached\\n"); }'
_PATIENCE_S = 20.0
_MOST_KEYS = "1048576"  # set only for the maps: it allocates them completely, which takes time
_SETTINGS = {
    "BPFTRACE_PERF_RB_PAGES": "1024",
    "BPFTRACE_NO_CPP_DEMANGLE": "1",
}


def start(nonce: int) -> dict[str, Any]:
    """From the start of bpftrace to its first tick, 1 ms after it attached; and to its end."""
    begun = time.perf_counter()
    text = programs.START_BPFTRACE % {"nonce": nonce}
    process = started(text + 'interval:ms:1 { printf("attached\\n"); exit(); }')
    wait_attached(process)
    took = time.perf_counter() - begun
    process.communicate(timeout=_PATIENCE_S)
    begun = time.perf_counter()
    process = started(text + "interval:s:1 { exit(); }")
    process.communicate(timeout=_PATIENCE_S)
    return {"attached_s": took, "over_s": time.perf_counter() - begun - 1}


def events(size: int, rate: float, seconds: float) -> dict[str, Any]:
    """Each event as a line of JSON, parsed, and all into a DataFrame."""
    load = Load(1 << 40, rate=rate, size=programs.TEXT_BYTES, seconds=seconds)
    settings = {"BPFTRACE_STRLEN": "200"} if size > 200 else {}
    process = started(aimed(programs.events_bpftrace(size), load), "-f", "json", **settings)
    wait_attached(process)
    before = processes.cpu_s([process.pid])
    own = time.process_time()
    load.begin()
    took: dict[str, float] = {}

    def stop_with_the_load() -> None:
        took.update(load.wait())
        process.send_signal(signal.SIGINT)

    stopper = Thread(target=stop_with_the_load)
    stopper.start()
    chunks = []
    while chunk := _read(process):
        chunks.append(chunk)
    stopper.join()
    rows = [
        json.loads(line)["data"]
        for line in b"".join(chunks).splitlines()
        if line.startswith(b'{"type": "value"')
    ]
    frame = pd.DataFrame(rows, columns=programs.COLUMNS[size] if rows else None)
    own = time.process_time() - own
    _, _, usage = os.wait4(process.pid, 0)
    process.returncode = 0
    used = usage.ru_utime + usage.ru_stime - before + own
    return {**took, "delivered": len(frame), "cpu_s": used}


def count(events: int) -> dict[str, Any]:
    """Count in a map; only the traced program's time matters."""
    load = Load(events)
    process = started(aimed(programs.COUNT_BPFTRACE, load))
    wait_attached(process)
    took = load.run()
    found = re.search(rb"@counts\[\d+\]: (\d+)", end(process))
    return {**took, "delivered": int(found[1]) if found else 0}


def maps(kind: str, counts: list[int]) -> dict[str, Any]:
    """From the request to end to the DataFrame of a map, for maps of some sizes."""
    found = {}
    for count in counts:
        load = Load(count)
        text = aimed(programs.keys_bpftrace(kind), load)
        process = started(text, "-f", "json", BPFTRACE_MAP_KEYS_MAX=_MOST_KEYS)
        wait_attached(process)
        load.run()
        time.sleep(0.3)  # bpftrace ignores a signal directly after it attached
        begun = time.perf_counter()
        table: dict[str, int] = {}
        for line in end(process).splitlines():
            if b'"@keys"' in line:
                table.update(json.loads(line)["data"]["@keys"])
        frame = pd.DataFrame({"key": list(table), "value": list(table.values())})
        if kind == "struct":
            frame[["pid", "fd", "number"]] = frame["key"].str.split(",", expand=True)
        took = time.perf_counter() - begun
        if len(frame) != count:
            raise RuntimeError(f"{len(frame)} of {count} keys")
        found[str(count)] = {"s": took}
    return found


def saying(text: str) -> str:
    """Make a script report when it is attached."""
    return text + _ONCE_ATTACHED


def aimed(text: str, load: Load) -> str:
    """Name the load's process."""
    return saying(text.replace("TARGET", str(load.pid)))


def started(text: str, *options: str, **settings: str) -> subprocess.Popen[bytes]:
    """Start bpftrace."""
    return subprocess.Popen(
        ["bpftrace", "-B", "none", *options, "-e", text],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, **_SETTINGS, **settings},
    )


def _read(process: subprocess.Popen[bytes]) -> bytes:
    assert process.stdout is not None
    return os.read(process.stdout.fileno(), 1 << 20)


def wait_attached(process: subprocess.Popen[bytes]) -> None:
    """Wait for the message of `_ONCE_ATTACHED`. Raises RuntimeError."""
    assert process.stdout is not None
    said = b""
    while b"attached\\n" not in said and b"attached\n" not in said:
        ready, _, _ = select.select([process.stdout], [], [], _PATIENCE_S)
        chunk = _read(process) if ready else b""
        if not chunk:
            process.kill()
            raise RuntimeError(f"bpftrace did not attach; it exited with {process.wait()}")
        said += chunk


def end(process: subprocess.Popen[bytes]) -> bytes:
    """End it and return its last output."""
    for _ in range(5):  # one in some dozens misses the signal
        process.send_signal(signal.SIGINT)
        try:
            return process.communicate(timeout=_PATIENCE_S / 2)[0]
        except subprocess.TimeoutExpired:
            continue
    process.kill()
    raise RuntimeError("bpftrace does not end")


CASES: dict[str, Callable[..., dict[str, Any]]] = {
    "start": start,
    "events": events,
    "count": count,
    "maps": maps,
}


def main() -> None:
    """Measure the case named on the command line."""
    case, options = sys.argv[1:]
    sys.stdout.write(json.dumps(CASES[case](**json.loads(options))) + "\n")


if __name__ == "__main__":
    main()
