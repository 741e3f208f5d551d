"""The agent of a command line: launched for what runs something, and for nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from kernelscope.errors import AgentUnavailableError
from kernelscope.ui.cli import early_agent


@pytest.fixture
def launches(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    made: list[str] = []
    monkeypatch.setattr("kernelscope.ui.cli.early_agent.Agent.launch", lambda: made.append("agent"))
    monkeypatch.delenv("KERNELSCOPE_REPLAY", raising=False)
    return made


@pytest.mark.parametrize(
    "line", ["run syscount", "run -d 5 syscount --quiet", "run runqlat syscount", "run -"]
)
def test_what_runs_something_launches_one_agent(launches: list[str], line: str) -> None:
    early_agent.launched(line.split())
    assert launches == ["agent"]


@pytest.mark.parametrize(
    "line",
    [
        *("", "list", "show syscount", "search disk", "doctor", "--version"),
        *("run", "run --help", "run syscount --help", "run nosuchprobe", "run nosuchfile.c"),
        "run sys*",
    ],
)
def test_what_runs_nothing_launches_none(launches: list[str], line: str) -> None:
    assert early_agent.launched(line.split()) is None
    assert launches == []


def test_a_file_launches_the_agent_where_there_is_one(launches: list[str], tmp_path: Path) -> None:
    file = tmp_path / "mine.c"
    early_agent.launched(["run", str(file)])
    assert launches == []
    file.touch()
    early_agent.launched(["run", str(file)])
    assert launches == ["agent"]


def test_recordings_need_no_agent(launches: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERNELSCOPE_REPLAY", "recordings")
    assert early_agent.launched(["run", "syscount"]) is None
    assert launches == []


def test_an_agent_that_is_not_to_be_had_is_told_of_later(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise AgentUnavailableError("tracing needs privilege")

    monkeypatch.setattr("kernelscope.ui.cli.early_agent.Agent.launch", refuse)
    assert early_agent.launched(["run", "syscount"]) is None
