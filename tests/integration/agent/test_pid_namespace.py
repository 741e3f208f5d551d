"""Inside a pid namespace, --pid means the number that the process has there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]
UNSHARE = ["unshare", "--pid", "--fork", "--mount-proc"]
CONNECTIONS = 7
LOAD = f"""
import json, os, socket, subprocess, sys, time, kernelscope

def connections():
    with socket.create_server(("127.0.0.1", 0)) as server:
        for _ in range({CONNECTIONS}):
            with socket.create_connection(server.getsockname()) as mine:
                server.accept()[0].close()

def sleeps():
    for _ in range({CONNECTIONS}):
        time.sleep(0.01)

def traced(probe, work, pid):
    with kernelscope.start(probe, duration=60, pid=pid) as run:
        work()
        time.sleep(0.1)
        run.stop()
        return run.result()

other = subprocess.Popen(["sleep", "60"])
found = dict(
    pid=os.getpid(),
    mine=len(traced("tcplife", connections, os.getpid())),
    other=len(traced("tcplife", connections, other.pid)),
    offcpu=int(traced("offcputime", sleeps, os.getpid())["count"].sum()),
    calls=int(traced("syscount", sleeps, os.getpid())["calls"]["count"].sum()),
)
other.kill()
print(json.dumps(found))
"""


def unshare_works() -> bool:
    try:
        return subprocess.run([*UNSHARE, "true"], capture_output=True).returncode == 0
    except OSError:
        return False


pytestmark = [
    pytest.mark.kernel,
    pytest.mark.skipif(not unshare_works(), reason="no new pid namespace can be made here"),
]


def test_the_filter_by_process_works_in_a_container_for_every_kind_of_probe():
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    ran = subprocess.run(
        [*UNSHARE, sys.executable, "-c", LOAD],
        env=environment, capture_output=True, text=True, timeout=200,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    found: dict[str, Any] = json.loads(ran.stdout)

    assert found["pid"] < 100
    assert found["mine"] == 2 * CONNECTIONS
    assert found["other"] == 0
    assert found["offcpu"] >= CONNECTIONS
    assert found["calls"] >= CONNECTIONS
