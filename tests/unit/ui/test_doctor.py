"""The findings of the doctor, from given facts; no agent is started."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from kernelscope.errors import AgentError, AgentUnavailableError, ParameterError, RequirementError
from kernelscope.ui import commands, doctor
from kernelscope.ui.cli import main

HEALTHY: dict[str, Any] = {
    "container": None,
    "settings": {"lockdown": "[none] integrity confidentiality"},
    "btf_bytes": 5_500_000,
    "tracefs": "/sys/kernel/tracing",
    "bcc": "0.26.0",
    "bcc_error": None,
    "tried": dict.fromkeys(("map", "program", "ring buffer", "batch reading", "run statistics")),
    "hooks": dict.fromkeys(("tracepoint", "kprobe", "fentry", "uprobe", "hardware")),
}

Found = Callable[..., dict[str, doctor.Finding]]


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch) -> Found:
    """Return the findings by check, for facts that differ from those of a healthy machine."""

    def examine(refused: AgentError | None = None, **facts: Any) -> dict[str, doctor.Finding]:
        monkeypatch.setattr(doctor, "_agent_facts", lambda: ({**HEALTHY, **facts}, refused))
        return {finding.check: finding for finding in doctor.examine()}

    return examine


def test_a_healthy_machine_lacks_nothing(found: Found) -> None:
    findings = found()
    assert {finding.state for finding in findings.values()} == {"ok"}
    assert not any(finding.fix for finding in findings.values())


def test_a_healthy_machine_can_trace(found: Found) -> None:
    found()
    assert doctor.refusal() is None


@pytest.mark.parametrize(
    ("facts", "check", "state", "says"),
    [
        ({"bcc": None, "bcc_error": "No module named 'bcc'"}, "bcc", "missing", "python3-bpfcc"),
        ({"btf_bytes": None}, "BTF", "missing", "stock kernel"),
        ({"tracefs": None}, "tracefs", "limited", "mount -t tracefs"),
        (
            {"settings": {"lockdown": "none [confidentiality]"}},
            "lockdown",
            "missing",
            "without lockdown=confidentiality",
        ),
        ({"hooks": {"kprobe": "no such file"}}, "hook kprobe", "limited", "CONFIG_KPROBES"),
        ({"hooks": {"fentry": "denied"}}, "hook fentry", "limited", "DIRECT_CALLS"),
        ({"tried": {"map": "operation not permitted"}}, "BPF map", "missing", "CAP_BPF"),
        ({"tried": {"ring buffer": "invalid argument"}}, "BPF ring buffer", "missing", "newer"),
        ({"tried": {"batch reading": "invalid argument"}}, "BPF batch reading", "limited", "newer"),
    ],
)
def test_each_gap_has_a_fix(
    found: Found, facts: dict[str, Any], check: str, state: str, says: str
) -> None:
    finding = found(**facts)[check]
    assert finding.state == state
    assert any(says in command for command in finding.fix.values())


def test_without_privilege_the_first_fix_is_the_agents_hint(found: Found) -> None:
    refused = AgentUnavailableError("this user is not root", hint="an administrator may allow it")
    finding = found(refused)["privilege"]
    assert finding.state == "missing"
    assert next(iter(finding.fix.values())) == "an administrator may allow it"


def test_refusal_names_the_first_missing_check(found: Found) -> None:
    found(bcc=None, bcc_error="No module named 'bcc'")
    refused = doctor.refusal()
    assert isinstance(refused, RequirementError)
    assert refused.message == "bcc: No module named 'bcc'"
    assert refused.details["requirement"] == "bcc"


def test_refusal_counts_a_limit_only_on_request(found: Found) -> None:
    found(tracefs=None)
    assert doctor.refusal() is None
    refused = doctor.refusal("tracefs")
    assert refused is not None
    assert refused.details["requirement"] == "tracefs"


def test_text_shows_each_remedy_once(found: Found) -> None:
    text = repr(doctor.Checkup(found(hooks={"kprobe": "no", "kretprobe": "no"}).values()))
    assert text.count("CONFIG_KPROBES=y") == 1
    assert text.splitlines()[-1].startswith(
        "This machine can trace, but 2 checks above found a limit"
    )


def test_text_ends_with_the_verdict(found: Found) -> None:
    text = repr(doctor.Checkup(found(btf_bytes=None).values()))
    assert text.splitlines()[-1].startswith("This machine cannot trace yet")


def test_json_holds_every_finding(found: Found) -> None:
    findings = found(btf_bytes=None)
    found_by_check = {
        item["check"]: item for item in json.loads(doctor.Checkup(findings.values()).to_json())
    }
    assert set(found_by_check) == set(findings)
    assert set(found_by_check["BTF"]["fix"]) == {"debian", "fedora", "arch", "alpine", "conda"}


def test_dataframe_has_a_row_per_check(found: Found) -> None:
    findings = found(btf_bytes=None)
    table = doctor.doctor()
    assert list(table.columns) == ["check", "state", "detail", "fix"]
    assert list(table["check"]) == list(findings)
    assert set(table.dtypes.astype(str)) == {"str"}


def test_reports_that_bpf_needs_linux(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "darwin")
    last = doctor.examine()[-1]
    assert (last.check, last.state) == ("kernel", "missing")
    assert "Linux" in last.detail


@pytest.mark.parametrize(("bcc", "code"), [("0.26.0", 0), (None, 1)])
def test_the_command_exits_1_if_something_is_missing(
    found: Found, bcc: str | None, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    found(bcc=bcc, bcc_error="No module named 'bcc'")
    assert main.main(["doctor"]) == code
    assert "KernelScope on" in capsys.readouterr().out


def test_an_unknown_option_is_an_error(found: Found) -> None:
    with pytest.raises(ParameterError, match="--jsno"):
        commands.answer("doctor", ["--jsno"], commands.CLI, dict.fromkeys)


def test_without_privilege_hooks_are_one_line(found: Found) -> None:
    refused = AgentUnavailableError("this user is not root", hint="use sudo")
    findings = found(refused, hooks=dict.fromkeys(HEALTHY["hooks"], "operation not permitted"))
    assert [check for check in findings if check.startswith("hook")] == ["hooks"]
    assert "privilege" in findings["hooks"].detail


def test_text_shows_the_fix_of_this_machines_family_alone(found: Found) -> None:
    text = repr(doctor.Checkup(found(bcc=None, bcc_error="No module named 'bcc'").values()))
    assert text.count("python3-bpfcc") + text.count("python3-bcc") + text.count("py3-bcc") <= 1
    assert "conda" not in text
