"""What the agent and the doctor say on machines that lack something. The last tests change the
guest for good, so this file is run last.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from vm.counting import count
from vm.hiding import agent_where, doctor_where
from vm.subject import CALLS, Subject

from kernelscope.errors import KernelScopeError, RequirementError
from kernelscope.tracing.agent_client import Agent

HOOK = "tracepoint:syscalls:sys_enter_getpgid"
NO_BTF = "mount -t tmpfs none /sys/kernel/btf"
NO_SYS_KERNEL = "mount -t tmpfs none /sys/kernel"
FRESH = {"NOT_IN_THE_CACHE": "1"}  # bytecode that is there already needs no types
NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
LOCKDOWN = Path("/sys/kernel/security/lockdown")


# --- no BTF, as before 5.5 and on kernels built without it ----------------------------------------


def test_without_btf_a_run_reports_what_is_missing_and_where_it_exists(
    subject: Subject, tmp_path: Path
) -> None:
    with agent_where(NO_BTF, tmp_path) as agent, pytest.raises(RequirementError) as caught:
        count(agent, subject, HOOK, defines=FRESH)
    assert caught.value.details["requirement"] == "btf"
    assert "CONFIG_DEBUG_INFO_BTF" in str(caught.value)


def test_without_btf_the_doctor_reports_it_and_the_fix() -> None:
    found = doctor_where(NO_BTF)
    assert found["BTF"]["state"] == "missing"
    assert any("stock kernel" in command for command in found["BTF"]["fix"].values())
    assert found["hook tracepoint"]["state"] == "ok"
    assert found["hook fentry"]["state"] == "limited"


# --- a container that hides /sys/kernel -----------------------------------------------------------


def test_without_sys_kernel_a_run_reports_what_is_missing(subject: Subject, tmp_path: Path) -> None:
    with agent_where(NO_SYS_KERNEL, tmp_path) as agent, pytest.raises(RequirementError):
        count(agent, subject, HOOK, defines=FRESH)


def test_without_sys_kernel_the_doctor_names_btf_and_tracefs() -> None:
    found = doctor_where(NO_SYS_KERNEL)
    assert found["BTF"]["state"] == "missing"
    assert found["tracefs"]["state"] == "limited"
    assert found["hook uprobe"]["state"] == "ok"


# --- without privilege ----------------------------------------------------------------------------


@pytest.mark.parametrize("setting", [0, 2])
def test_an_unprivileged_user_gets_a_hint_about_the_setting(setting: int) -> None:
    change = f"echo {setting} > /proc/sys/kernel/unprivileged_bpf_disabled"
    found = doctor_where(change, NOBODY)
    assert found["privilege"]["state"] == "missing"
    assert found["BPF program"]["state"] == "missing"
    said = found["unprivileged BPF"]["detail"]
    assert f"kernel.unprivileged_bpf_disabled = {setting}" in said


def test_root_traces_whatever_the_setting_for_others(agent: Agent, subject: Subject) -> None:
    Path("/proc/sys/kernel/unprivileged_bpf_disabled").write_text("1")  # for good
    assert count(agent, subject, HOOK).hits == CALLS


# --- lockdown, which Secure Boot switches on ------------------------------------------------------


def test_lockdown_for_integrity_lets_probes_run(agent: Agent, subject: Subject) -> None:
    LOCKDOWN.write_text("integrity")  # for good
    assert count(agent, subject, "kprobe:__x64_sys_getpgid").hits == CALLS
    assert doctor_where("true")["lockdown"]["state"] == "ok"


def test_lockdown_for_confidentiality_is_reported_by_the_error_and_the_doctor(
    agent: Agent, subject: Subject
) -> None:
    LOCKDOWN.write_text("confidentiality")  # for good
    found = doctor_where("true")
    assert found["lockdown"]["state"] == "missing"
    assert "lockdown" in str(found["lockdown"]["fix"])
    with pytest.raises(KernelScopeError) as caught:
        count(agent, subject, "kprobe:__x64_sys_getpgid")
    assert "lockdown" in str(caught.value)
