"""The probes of bpf/security that follow privileges, each under a known load."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd
import pytest
from probes.checking import one, traced

from workloads.probes import started

pytestmark = pytest.mark.kernel

NOBODY = 65534


def all_capabilities() -> int:
    """Return the capabilities of this process, as the kernel reports them."""
    found = re.search(r"^CapPrm:\s*(\w+)", Path("/proc/self/status").read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1], 16)


def test_capable_shows_granted_and_refused_checks() -> None:
    with started("privileges_needed") as load:
        checks, facts = traced("capable", load, comm="ks-caps")

    allowed = checks[(checks["pid"] == load.pid) & (checks["capability"] == "SYS_CHROOT")]
    assert allowed["error"].tolist() == [""] * 47
    assert set(allowed["uid"]) == {0}
    refused = checks[(checks["pid"] == facts["nobody"]) & (checks["error"] == "EPERM")]
    assert (refused["capability"] == "SYS_ADMIN").sum() >= 13
    assert set(refused["uid"]) == {NOBODY}
    assert len(set(checks["audit"]) & {"yes", "unknown"}) == 1


def test_capable_shows_one_capability_with_stacks_on_request() -> None:
    with started("privileges_needed") as load:
        checks, _ = traced("capable", load, pid=load.pid, capability="SYS_CHROOT", stacks="both")

    assert checks["capability"].tolist() == ["SYS_CHROOT"] * 47
    assert checks["kernel_stack"].str.contains("chroot").all()
    assert checks["user_stack"].str.endswith("chroot").all()


def test_capable_shows_only_refusals_on_request() -> None:
    with started("privileges_needed") as load:
        checks, facts = traced(
            "capable", load, comm="ks-caps", failed=True, audited=True, stacks="kernel"
        )

    assert "no" not in set(checks["audit"])
    assert set(checks["error"]) == {"EPERM"}
    asked = checks[checks["kernel_stack"].str.contains("sethostname")]
    assert asked["pid"].tolist() == [facts["nobody"]] * 13
    assert "user_stack" not in checks


def test_setuids_shows_changes_and_refusals() -> None:
    with started("users_changed") as load:
        changes, facts = traced("setuids", load, comm="ks-users")

    assert set(changes["pid"]) == {facts["pid"]}
    users = changes[changes["syscall"] == "setresuid"]
    assert users["real"].tolist() == [*range(1000, 1017), NOBODY]
    assert users["effective"].tolist() == [0] * 17 + [NOBODY]
    assert users["uid"].tolist() == [0, *range(1000, 1017)]
    assert users["uid_after"].tolist() == users["real"].tolist()
    assert users["saved"].tolist() == [-1] * 17 + [NOBODY]
    groups = changes[changes["syscall"] == "setregid"]
    assert groups["gid_after"].tolist() == groups["real"].tolist() == [*range(2000, 2005)]
    assert set(groups["effective"]) == {-1}
    refused = changes[changes["error"] == "EPERM"]
    assert refused["syscall"].tolist() == ["setuid"] * 7
    assert refused["effective"].tolist() == [*range(7)]
    assert set(refused["uid_after"]) == {NOBODY}


def test_setuids_shows_only_refusals_on_request() -> None:
    with started("users_changed") as load:
        changes, _ = traced("setuids", load, failed=True, uid=NOBODY)

    assert changes["error"].tolist() == ["EPERM"] * 7


def test_privsnoop_shows_who_gains_privileges_and_how() -> None:
    with started("privileges_gained") as load:
        gains, facts = traced("privsnoop", load)

    gains = gains[gains["ppid"] == load.pid]
    everything = all_capabilities()
    programs = gains[gains["syscall"] == "execve"]
    assert programs["pid"].tolist() == facts["started"]
    assert set(programs["program"]) == {facts["program"]}
    assert_became(programs, NOBODY, 0)
    assert {int(text, 16) & ~everything for text in programs["gained"]} == {0}
    back = gains[gains["syscall"] == "setresuid"]
    assert back["pid"].tolist() == [facts["back"]] * 5
    assert_became(back, NOBODY, 0)
    assert {int(text, 16) for text in back["gained"]} == {everything}
    assert not back["own_namespace"].any()
    assert len(gains) == 13 + 5 + facts["unshared"]
    if facts["unshared"]:
        assert one(gains, syscall="unshare")["own_namespace"]


def test_privsnoop_follows_programs_of_one_name_on_request() -> None:
    with started("privileges_gained") as load:
        gains, facts = traced("privsnoop", load, comm="ks-suid", uid=NOBODY)

    assert gains["pid"].tolist() == facts["started"]


def assert_became(gains: pd.DataFrame, before: int, after: int) -> None:
    """Assert the effective user before and after."""
    assert set(gains["euid_before"]) == {before}
    assert set(gains["euid"]) == {after}
