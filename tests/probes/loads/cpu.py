"""Known loads for the probes of bpf/cpu."""

from __future__ import annotations

import time
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
