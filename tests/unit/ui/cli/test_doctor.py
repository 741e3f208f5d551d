"""What the doctor says of what was found; no agent is started."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from kernelscope.errors import AgentError, AgentUnavailableError, ParameterError, RequirementError
from kernelscope.ui.cli import doctor

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
    """Return what the doctor finds, by check, for facts that differ from a healthy machine's."""

    def examine(refused: AgentError | None = None, **facts: Any) -> dict[str, doctor.Finding]:
        monkeypatch.setattr(doctor, "_agent_facts", lambda: ({**HEALTHY, **facts}, refused))
        return {finding.check: finding for finding in doctor.examine()}

    return examine


def test_a_healthy_machine_lacks_nothing(found: Found) -> None:
    findings = found()
    assert {finding.state for finding in findings.values()} == {"ok"}
    assert not any(finding.mend for finding in findings.values())


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
def test_each_gap_is_told_with_what_mends_it(
    found: Found, facts: dict[str, Any], check: str, state: str, says: str
) -> None:
    finding = found(**facts)[check]
    assert finding.state == state
    assert any(says in command for command in finding.mend.values())


def test_a_user_without_privilege_is_told_of_sudo_and_root(found: Found) -> None:
    refused = AgentUnavailableError("this user is not root", hint="an administrator may allow it")
    finding = found(refused)["privilege"]
    assert finding.state == "missing"
    assert next(iter(finding.mend.values())) == "an administrator may allow it"


def test_refusal_carries_the_first_thing_missing_and_its_remedy(found: Found) -> None:
    found(bcc=None, bcc_error="No module named 'bcc'")
    refused = doctor.refusal()
    assert isinstance(refused, RequirementError)
    assert refused.message == "bcc: No module named 'bcc'"
    assert refused.details["requirement"] == "bcc"


def test_refusal_counts_what_is_limited_only_where_it_is_asked_for(found: Found) -> None:
    found(tracefs=None)
    assert doctor.refusal() is None
    refused = doctor.refusal("tracefs")
    assert refused is not None
    assert refused.details["requirement"] == "tracefs"


def test_text_shows_each_remedy_once(found: Found) -> None:
    text = doctor.to_text(found(hooks={"kprobe": "no", "kretprobe": "no"}).values())
    assert text.count("CONFIG_KPROBES=y") == 1
    assert text.splitlines()[-1].startswith("This machine can trace. 2 things above are limited")


def test_text_of_a_machine_that_cannot_trace_says_so_last(found: Found) -> None:
    text = doctor.to_text(found(btf_bytes=None).values())
    assert text.splitlines()[-1].startswith("This machine cannot trace yet")


def test_json_holds_every_finding(found: Found) -> None:
    findings = found(btf_bytes=None)
    told = {item["check"]: item for item in json.loads(doctor.to_json(findings.values()))}
    assert set(told) == set(findings)
    assert set(told["BTF"]["mend"]) == {"debian", "fedora", "arch", "alpine", "conda"}


def test_dataframe_has_a_row_a_check_and_text_alone(found: Found) -> None:
    findings = found(btf_bytes=None)
    table = doctor.doctor()
    assert list(table.columns) == ["check", "state", "detail", "mend"]
    assert list(table["check"]) == list(findings)
    assert set(table.dtypes.astype(str)) == {"str"}


def test_another_system_is_told_that_bpf_is_linuxs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "darwin")
    last = doctor.examine()[-1]
    assert (last.check, last.state) == ("kernel", "missing")
    assert "Linux" in last.detail


@pytest.mark.parametrize(("bcc", "code"), [("0.26.0", 0), (None, 1)])
def test_the_command_ends_with_1_where_something_is_missing(
    found: Found, bcc: str | None, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    found(bcc=bcc, bcc_error="No module named 'bcc'")
    assert doctor.main([]) == code
    assert "KernelScope on" in capsys.readouterr().out


def test_the_command_refuses_what_it_does_not_know(found: Found) -> None:
    with pytest.raises(ParameterError, match="--jsno"):
        doctor.main(["--jsno"])
