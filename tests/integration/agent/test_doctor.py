"""The doctor's attempts on this kernel, against what the kernel itself shows."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from kernelscope.tracing.agent_client import Agent
from kernelscope.ui import doctor

pytestmark = pytest.mark.kernel


def test_btf_size_is_the_files(agent: Agent) -> None:
    assert agent.doctor()["btf_bytes"] == Path("/sys/kernel/btf/vmlinux").stat().st_size


def test_bcc_version_is_the_distributions(agent: Agent) -> None:
    command = ["/usr/bin/python3", "-I", "-c", "import bcc; print(bcc.__version__)"]
    version = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    assert agent.doctor()["bcc"] == version


def test_kernel_with_bpf_supports_everything_that_a_run_needs(agent: Agent) -> None:
    assert set(agent.doctor()["tried"].values()) == {None}


def test_tracepoints_attach_if_tracefs_is_mounted(agent: Agent) -> None:
    found = agent.doctor()
    assert found["tracefs"] is not None
    assert found["hooks"]["tracepoint"] is None


def test_kprobes_are_refused_exactly_if_the_kernel_has_none(agent: Agent) -> None:
    built_in = Path("/sys/bus/event_source/devices/kprobe").exists()
    assert (agent.doctor()["hooks"]["kprobe"] is None) == built_in


def test_doctor_leaves_nothing_attached(agent: Agent) -> None:
    def held() -> list[str]:
        links = Path(f"/proc/{agent.pid}/fd").iterdir()
        return [str(link.readlink()) for link in links if "bpf" in str(link.readlink())]

    before = held()
    agent.doctor()
    assert held() == before


def test_findings_of_this_machine_are_json(agent: Agent) -> None:
    checks = {item["check"] for item in json.loads(doctor.Checkup(doctor.examine()).to_json())}
    assert {"privilege", "bcc", "BTF", "hook tracepoint"} <= checks
