"""The bad inputs of bad_inputs.toml, and how to run one through the magics."""

from __future__ import annotations

import contextlib
import io
import re
import tomllib
from pathlib import Path
from typing import Any

from IPython.core.interactiveshell import InteractiveShell

from kernelscope.tracing.session import Session
from kernelscope.ui.notebook import magics

CASES: list[dict[str, Any]] = tomllib.loads(
    (Path(__file__).parents[2] / "tests" / "bad_inputs" / "bad_inputs.toml").read_text(
        encoding="utf-8"
    )
)["case"]
READS = """BPF_HASH(reads, u32);
TRACEPOINT_PROBE(syscalls, sys_enter_read) {
    u32 pid = bpf_get_current_pid_tgid() >> 32;
    reads.increment(pid);
    return 0;
}
"""
_CELLS = {
    "reads": READS,
    "function": "BPF_HASH(hits, u32);\nint on_switch(void *ctx) { hits.increment(1); return 0; }\n",
}
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


def new_shell(session: Session) -> InteractiveShell:
    """Return a shell in which %ebpf runs in that session."""
    InteractiveShell.clear_instance()
    shell = InteractiveShell.instance()
    shell.register_magics(magics.KernelScope(shell, session))
    return shell


def title(case: dict[str, Any]) -> str:
    """Return the case's name as a heading."""
    return str(case["name"][0].upper() + case["name"][1:])


def typed(case: dict[str, Any]) -> str:
    """Return the text of the notebook cell, with {gone} and {folder} not yet filled in."""
    if "cell" not in case:
        return f"%ebpf {case['line']}"
    cell: str = _CELLS.get(case["cell"], case["cell"])
    return f"%%ebpf {case['line']}".rstrip() + "\n" + cell


def answer(shell: Any, text: str) -> tuple[str, str]:
    """Run a cell; return its error's class ("" for none) and its output."""
    shown = io.StringIO()
    with contextlib.redirect_stdout(shown), contextlib.redirect_stderr(shown):
        outcome = shell.run_cell(text)
    error = outcome.error_in_exec
    return type(error).__name__ if error else "", _COLOURS.sub("", shown.getvalue())
