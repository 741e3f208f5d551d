"""One measurement with bpftrace. Each function returns plain numbers."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from pathlib import Path
from threading import Thread
from typing import Any

from benchmarks import programs
from benchmarks.load import Load

_ONCE_ATTACHED = 'interval:ms:1 /!@said/ { @said = 1; printf("attached\\n"); }'


def start(nonce: int) -> dict[str, Any]:
    """From starting bpftrace to its first tick, a millisecond after it attached."""
    begun = time.perf_counter()
    process = _bpftrace(programs.START_BPFTRACE % {"nonce": nonce})
    _wait_attached(process)
    took = time.perf_counter() - begun
    _end(process)
    return {"attached_s": took}


def flood_json(count: int) -> dict[str, Any]:
    """Each event as a line of JSON; the lines are counted, and not decoded."""
    load = Load(count)
    process = _bpftrace(_aimed(programs.FLOOD_BPFTRACE, load), "-f", "json")
    _wait_attached(process)
    before = _cpu_s(process.pid)
    load.begin()
    took: dict[str, float] = {}

    def stop_with_the_load() -> None:
        took.update(load.wait())
        process.send_signal(signal.SIGINT)

    stopper = Thread(target=stop_with_the_load)
    stopper.start()
    lines = 0
    while chunk := _read(process):
        lines += chunk.count(b'"value"')
    stopper.join()
    _, _, usage = os.wait4(process.pid, 0)
    process.returncode = 0
    used = usage.ru_utime + usage.ru_stime - before
    return {**took, "delivered": lines, "cpu_s": used}


def count(count: int) -> dict[str, Any]:
    """Count in a map; only the traced program's time matters."""
    load = Load(count)
    process = _bpftrace(_aimed(programs.COUNT_BPFTRACE, load))
    _wait_attached(process)
    load.begin()
    took = load.wait()
    output = _end(process)
    found = re.search(rb"@counts\[\d+\]: (\d+)", output)
    return {**took, "delivered": int(found[1]) if found else 0}


def _aimed(text: str, load: Load) -> str:
    return text.replace("TARGET", str(load.pid)) + _ONCE_ATTACHED


def _bpftrace(text: str, *options: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        ["bpftrace", *options, "-e", text],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "BPFTRACE_PERF_RB_PAGES": "1024"},
    )


def _read(process: subprocess.Popen[bytes]) -> bytes:
    assert process.stdout is not None
    return os.read(process.stdout.fileno(), 1 << 20)


def _wait_attached(process: subprocess.Popen[bytes]) -> None:
    said = b""
    while b"attached\\n" not in said and b"attached\n" not in said:
        chunk = _read(process)
        if not chunk:
            raise RuntimeError(f"bpftrace did not attach; it exited with {process.wait()}")
        said += chunk


def _end(process: subprocess.Popen[bytes]) -> bytes:
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate()
    return output


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
