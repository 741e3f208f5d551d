"""What a restricted agent sends back, and how much of the machine one user can take."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from integration.support import agent_python
from unit.builders import requests

from kernelscope.probe import catalogue

pytestmark = pytest.mark.kernel

PROBES = (
    "biosnoop", "biostacks", "biotop", "bitesize", "cachestat", "filelife", "netlatency",
    "offcputime", "opensnoop", "profile", "tcplife", "tcpstates",
)  # fmt: skip


def test_builtin_sends_no_addresses(tmp_path: Path) -> None:
    programs = [
        requests.of_probe(catalogue.find(name), {"duration": 20}).program.to_json()
        for name in PROBES
    ]
    every = [{**program, "tables": []} for program in programs]
    (tmp_path / "programs.json").write_text(json.dumps(every))
    found = agent_python.call("run_cases", "restricted", str(tmp_path), timeout_s=120)
    assert {name: sent["addresses"] for name, sent in found.items() if sent["addresses"]} == {}
    assert {name: sent["frames"] for name, sent in found.items() if sent["frames"]} == {}
    assert all(found[name]["bytes"] for name in ("profile", "tcpstates", "filelife"))


def test_runs_of_a_user_are_counted_over_all_agents() -> None:
    answers = agent_python.call("run_cases", "limits_of_a_user")
    assert answers[:2] == ["attached", "attached"]
    assert all("2 runs are active, which is user 54321's limit" in answer for answer in answers[2:])


def test_memory_of_a_run_is_limited() -> None:
    answer = agent_python.call("run_cases", "too_much_memory")
    assert "take up to 17 MiB, and this machine's policy allows 2" in answer


def test_run_that_is_never_started_ends() -> None:
    assert "no start arrived" in agent_python.call("run_cases", "held_for_ever")
