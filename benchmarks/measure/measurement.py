"""One measured number, and how to run a tool to get it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "benchmarks"
RESULTS = FOLDER / "results"
SYSTEM_PYTHON = "/usr/bin/python3"
BCC_PACKAGE = Path("/usr/lib/python3/dist-packages/bcc")
KERNELSCOPE, BCC, BPFTRACE = "KernelScope", "bcc", "bpftrace"


_LONGEST_S = 300.0


@dataclass(frozen=True)
class Figure:
    """One tool's figure in one round: `measure` of `row`; the report explains the measures."""

    row: str
    measure: str
    tool: str
    value: float


@dataclass(frozen=True)
class Form:
    """How much to measure: the short form's rows are part of the full one."""

    full: bool
    rounds: int


def kernelscope(case: str, **options: Any) -> dict[str, Any]:
    """Run a case of adapters/run_kernelscope.py in a separate process."""
    command = [
        sys.executable,
        "-m",
        "benchmarks.adapters.run_kernelscope",
        case,
        json.dumps(options),
    ]
    return _json(command, dict(os.environ))


def bcc(case: str, **options: Any) -> dict[str, Any]:
    """Run a case of adapters/run_bcc.py in a separate process."""
    command = [sys.executable, "-m", "benchmarks.adapters.run_bcc", case, json.dumps(options)]
    return _json(command, {**os.environ, "PYTHONPATH": os.environ["KS_BCC_PATH"]})


def bpftrace(case: str, **options: Any) -> dict[str, Any]:
    """Run a case of adapters/run_bpftrace.py in a separate process."""
    command = [sys.executable, "-m", "benchmarks.adapters.run_bpftrace", case, json.dumps(options)]
    return _json(command, dict(os.environ))


def _json(command: list[str], environment: dict[str, str], tries: int = 3) -> dict[str, Any]:
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        env=environment,
        cwd=ROOT,
        timeout=_LONGEST_S,
    )
    if done.returncode < 0 and tries > 1:  # a signal
        return _json(command, environment, tries - 1)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command[:4])}:\n{done.stderr[-3000:]}")
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


@contextmanager
def prepared_bcc() -> Iterator[str]:
    """Let bcc run together with pandas; return which headers it uses."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        alone = Path(folder) / "python"
        alone.mkdir()
        (alone / "bcc").symlink_to(BCC_PACKAGE)
        os.environ["KS_BCC_PATH"] = str(alone)
        if Path(f"/lib/modules/{os.uname().release}/build/include").is_dir():
            yield "the kernel's own headers"
            return
        command = [SYSTEM_PYTHON, str(FOLDER / "adapters" / "kernel_headers.py"), f"{folder}/tree"]
        made = subprocess.run(command, capture_output=True, text=True, check=True)
        first = Path(f"{folder}/tree/include/linux/kconfig.h")  # which bcc puts before each program
        name = f'#ifndef KS_HEADER\n#define KS_HEADER "{made.stdout.strip()}"\n#endif\n'
        first.write_text(name + first.read_text())
        os.environ["BCC_KERNEL_SOURCE"] = f"{folder}/tree"
        os.environ["KS_HEADER"] = made.stdout.strip()
        yield "a stand-in for headers, made from the kernel's BTF (none are installed)"
