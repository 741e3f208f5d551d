"""The administrator's policy binds, and an unsafe policy file stops the agent."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from kernelscope.agent import policy
from kernelscope.agent.policy import Policy
from kernelscope.agent.protocol import Program
from kernelscope.errors import AgentRefusedError

BPF = Path(__file__).parents[2] / "bpf"
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="a policy file must belong to root")


def _write(path: Path, text: str, mode: int = 0o644) -> Path:
    path.write_text(text)
    path.chmod(mode)
    return path


def test_without_a_file_any_program_may_run(tmp_path: Path) -> None:
    assert policy.load(tmp_path / "absent.json") == Policy()


@needs_root
def test_a_file_sets_the_limits(tmp_path: Path) -> None:
    path = _write(tmp_path / "agent.json", '{"source": "builtin", "max_runs": 2}')
    assert policy.load(path) == Policy(source="builtin", max_runs=2)


@needs_root
@pytest.mark.parametrize(
    "text",
    ["", "[]", '{"source": "all"}', '{"max_runs": 0}', '{"max_runs": "9"}', '{"sauce": "any"}'],
)
def test_a_file_that_says_something_else_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(AgentRefusedError, match="policy"):
        policy.load(_write(tmp_path / "agent.json", text))


@needs_root
def test_a_file_that_others_can_write_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AgentRefusedError, match="only root can write"):
        policy.load(_write(tmp_path / "agent.json", "{}", mode=0o666))


def test_a_symbolic_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "link.json").symlink_to(_write(tmp_path / "agent.json", "{}"))
    with pytest.raises(AgentRefusedError):
        policy.load(tmp_path / "link.json")


def test_builtin_only_refuses_a_users_c() -> None:
    with pytest.raises(AgentRefusedError, match="installed probes only"):
        Policy(source="builtin").check(Program("cell", "int x;"))


def test_builtin_only_lets_an_installed_probe_run() -> None:
    source = next(BPF.glob("*/*.c")).read_text()
    Policy(source="builtin").check(Program("probe", source))


def test_a_run_longer_than_allowed_is_refused() -> None:
    with pytest.raises(AgentRefusedError, match="duration"):
        Policy(max_duration_s=1).check(Program("cell", "", duration_ns=2 * 10**9))


def test_the_policys_own_words_are_json(tmp_path: Path) -> None:
    example = (policy.__doc__ or "").split("    ", 1)[1].splitlines()[0]
    assert set(json.loads(example)) == set(Policy.__dataclass_fields__)
