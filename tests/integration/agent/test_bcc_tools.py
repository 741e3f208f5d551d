"""A few of bcc's own tools run as cells; script/test-tools runs them all."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
TOOLS = ("argdist", "exitsnoop", "profile", "tcplife")  # hash and string, perf, stacks, sockets

pytestmark = pytest.mark.kernel


def test_the_text_of_bccs_tools_runs_as_a_cell() -> None:
    if not Path("/usr/sbin/argdist-bpfcc").exists():
        pytest.skip("bpfcc-tools is not installed")
    if os.geteuid() != 0:
        pytest.skip("bcc's tools need root to look at tracefs")

    done = subprocess.run(
        [
            sys.executable,
            str(ROOT / "tests" / "bcc_tools" / "run_tools.py"),
            *TOOLS,
            f"--at-least={len(TOOLS)}",
        ],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )

    assert done.returncode == 0, done.stdout + done.stderr
