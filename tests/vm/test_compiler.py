"""No kernel headers: this kernel's own types, and never the bytecode of another kernel."""

from __future__ import annotations

import platform
from pathlib import Path

from integration.support.agent_python import call
from vm.counting import PRELUDE, ROOT, count
from vm.hiding import agent_where
from vm.subject import CALLS, Subject

from kernelscope.tracing.agent_client import Agent

HOOK = "tracepoint:syscalls:sys_enter_getpgid"


def test_the_machine_has_no_kernel_headers() -> None:
    assert not Path("/lib/modules", platform.release(), "build").exists()


def test_bytecode_is_the_same_with_the_lean_and_the_whole_header() -> None:
    source = (ROOT / "bpf" / "block" / "biolatency.c").read_text()
    same, functions = call("compile_cases", "with_both_headers", source, PRELUDE, timeout_s=400)
    assert same
    assert functions > 0


def test_a_second_run_takes_the_bytecode_from_the_cache(agent: Agent, subject: Subject) -> None:
    count(agent, subject, HOOK)
    assert count(agent, subject, HOOK).attached["cached"]


def test_bytecode_of_another_kernels_build_is_not_taken(
    agent: Agent, subject: Subject, tmp_path: Path
) -> None:
    count(agent, subject, HOOK)
    notes = tmp_path / "notes"
    notes.write_bytes(b"another build of the same release")
    with agent_where(f"mount --bind {notes} /sys/kernel/notes", tmp_path) as other:
        counted = count(other, subject, HOOK)
    assert not counted.attached["cached"]
    assert counted.hits == CALLS
