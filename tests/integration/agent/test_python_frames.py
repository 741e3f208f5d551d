"""Python's functions have names in stacks: Python 3.12 and later, built with frame pointers.

KS_PYTHON names one where it is found neither on PATH nor among pyenv's.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

import pandas as pd
import pytest

from kernelscope.tracing.session import Session

pytestmark = pytest.mark.kernel

ASK = """
import json, sys, sysconfig
flags = " ".join(str(sysconfig.get_config_var(name)) for name in ("CFLAGS", "PY_CORE_CFLAGS"))
print(json.dumps([hasattr(sys, "activate_stack_trampoline"), "-fno-omit-frame-pointer" in flags]))
"""
LOAD = """
import sys, time
def innermost(number):
    return sum(value * value for value in range(number))
def burning():
    until = time.thread_time() + 1.2
    while time.thread_time() < until:
        innermost(2000)
def resting():
    for _ in range(17):
        time.sleep(0.01)
print("ready", flush=True)
sys.stdin.readline()
burning()
resting()
"""
OWN_TMP = 'mount -t tmpfs tmpfs /tmp && exec "$@"'


@cache
def pythons() -> list[str]:
    """Interpreters that can name their functions in stacks."""
    named = [shutil.which(f"python3.{minor}") for minor in range(12, 20)]
    pyenv = sorted(Path("~/.pyenv/versions").expanduser().glob("3.*/bin/python3"))
    found = [os.environ.get("KS_PYTHON"), sys.executable, *named, *map(str, pyenv)]
    able = []
    for path in dict.fromkeys(filter(None, found)):
        asked = subprocess.run([path, "-c", ASK], capture_output=True, text=True)
        if asked.returncode == 0 and all(json.loads(asked.stdout)):
            able.append(path)
    return able


@pytest.fixture
def python() -> str:
    if not pythons():
        pytest.skip("there is no Python 3.12 or later built with frame pointers (KS_PYTHON=PATH)")
    return pythons()[0]


def traced(session: Session, probe: str, command: list[str]) -> pd.DataFrame:
    """What a probe saw of the load."""
    with subprocess.Popen(
        [*command, "-X", "perf", "-c", LOAD],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as load:
        assert load.stdin is not None
        assert load.stdout is not None
        assert load.stdout.readline() == "ready\n"
        with session.start(probe, tree=load.pid, duration="1m") as run:
            load.stdin.write("\n")
            load.stdin.close()
            load.wait()
            run.stop()
            table = run.result()
    assert isinstance(table, pd.DataFrame)
    return table


def frames(table: pd.DataFrame, value: str) -> dict[str, float]:
    """How much of a value each Python function was in the stack for, as a share."""
    stacks = table["user_stack"].astype(str)
    names = {
        frame.split(":")[2] for s in stacks for frame in s.split(";") if frame.startswith("py::")
    }
    total = table[value].sum()
    return {
        name: table.loc[stacks.str.contains(f"py::{name}:"), value].sum() / total for name in names
    }


def test_samples_are_in_pythons_functions(session: Session, python: str) -> None:
    found = frames(traced(session, "profile", [python]), "count")

    assert found["burning"] > 0.8
    assert found["innermost"] > 0.5
    assert "resting" not in found or found["resting"] < 0.1


def test_waits_are_in_pythons_functions(session: Session, python: str) -> None:
    table = traced(session, "offcputime", [python])

    resting = table["user_stack"].astype(str).str.contains("py::resting:")
    slept = table["kernel_stack"].astype(str).str.contains("nanosleep")
    assert table.loc[resting & slept, "count"].sum() == 17


def test_the_map_is_read_in_the_processes_own_namespace(session: Session, python: str) -> None:
    if Path(python).resolve().is_relative_to(tempfile.gettempdir()):
        pytest.skip("that interpreter is itself in the folder that is to be hidden")
    if os.geteuid():
        pytest.skip("a mount namespace needs root")
    command = ["unshare", "--mount", "sh", "-c", OWN_TMP, "sh", python]

    assert frames(traced(session, "profile", command), "count")["burning"] > 0.8
