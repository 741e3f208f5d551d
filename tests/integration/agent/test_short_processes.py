"""Stacks of processes that ended long before the run have names."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from kernelscope.tracing.session import Session

pytestmark = [
    pytest.mark.kernel,
    pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc is not installed"),
]

SOURCE = """
volatile unsigned long sink;
__attribute__((noinline)) void burn_here(void) { for (long i = 0; i < 2000000; i++) sink += i; }
int main(void) { for (;;) { burn_here(); sink++; } }
"""


def test_stacks_of_short_processes_have_names(tmp_path: Path) -> None:
    source = tmp_path / "short.c"
    source.write_text(SOURCE)
    program = tmp_path / "shortlived"
    subprocess.run(["gcc", "-O1", "-fno-omit-frame-pointer", "-o", program, source], check=True)
    options = {"comm": "shortlived", "hz": 999, "stacks": "user", "duration": 60}
    with Session() as session, session.start("profile", **options) as run:
        for _ in range(11):
            subprocess.run(["timeout", "0.1", program])
        run.stop()
        table = run.result()
    total = table["count"].sum()
    named = table[table["user_stack"].str.contains("burn_here|main")]["count"].sum()
    assert total > 0
    assert named >= 0.9 * total
