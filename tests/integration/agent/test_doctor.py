"""The doctor's attempts on this kernel, against what the kernel itself shows."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from kernelscope.tracing.agent_client import Agent
from kernelscope.ui import doctor

pytestmark = pytest.mark.kernel


def test_the_size_of_btf_is_the_files(agent: Agent) -> None:
    assert agent.doctor()["btf_bytes"] == Path("/sys/kernel/btf/vmlinux").stat().st_size


def test_bccs_version_is_the_distributions(agent: Agent) -> None:
    command = ["/usr/bin/python3", "-I", "-c", "import bcc; print(bcc.__version__)"]
    version = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    assert agent.doctor()["bcc"] == version


def test_a_kernel_that_takes_programs_takes_all_that_a_run_needs(agent: Agent) -> None:
    assert set(agent.doctor()["tried"].values()) == {None}


def test_tracepoints_attach_wherever_tracefs_is_there(agent: Agent) -> None:
    found = agent.doctor()
    assert found["tracefs"] is not None
    assert found["hooks"]["tracepoint"] is None


def test_kprobes_are_refused_exactly_where_the_kernel_has_none(agent: Agent) -> None:
    built_in = Path("/sys/bus/event_source/devices/kprobe").exists()
    assert (agent.doctor()["hooks"]["kprobe"] is None) == built_in


def test_nothing_stays_attached_after_an_examination(agent: Agent) -> None:
    def held() -> list[str]:
        links = Path(f"/proc/{agent.pid}/fd").iterdir()
        return [str(link.readlink()) for link in links if "bpf" in str(link.readlink())]

    before = held()
    agent.doctor()
    assert held() == before


def test_json_of_this_machine_is_json(agent: Agent) -> None:
    checks = {item["check"] for item in json.loads(doctor.Checkup(doctor.examine()).to_json())}
    assert {"privilege", "bcc", "BTF", "hook tracepoint"} <= checks
