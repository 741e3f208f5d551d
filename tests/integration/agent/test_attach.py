"""Hooks of every kind, attached to a real kernel and counted against a known load."""

from __future__ import annotations

import platform
import subprocess
from pathlib import Path
from typing import Any

import pytest
from integration.support.agent_python import ask

from kernelscope.errors import AttachError, TargetError

pytestmark = pytest.mark.kernel

GETPPID = {"x86_64": 110, "aarch64": 173}[platform.machine()]
PYTHON = "/usr/bin/python3"


def count(spec: str, **how: Any) -> tuple[int, float]:
    hits, result = ask("attach_cases", "count", spec=spec, **how)
    return hits, result


@pytest.mark.parametrize(
    "spec",
    [
        "tracepoint:syscalls:sys_enter_getppid",
        "tracepoint:syscalls:sys_exit_getppid",
        "uprobe:c:getppid",
        "uretprobe:c:getppid",
    ],
)
def test_each_of_23_calls_is_counted_once(spec: str) -> None:
    assert count(spec)[0] == 23


@pytest.mark.parametrize("spec", ["rawtracepoint:sys_enter", "tp_btf:sys_enter"])
def test_parameter_selects_one_system_call(spec: str) -> None:
    assert count(spec, number=GETPPID)[0] == 23


@pytest.mark.parametrize("spec", ["uprobe:c:getppid", "uretprobe:c:getppid"])
def test_user_probe_traces_one_process(spec: str) -> None:
    assert count(spec, by="target")[0] == 23


def test_user_probe_finds_its_symbol_in_a_process() -> None:
    assert count("uprobe:pid:{pid}:getppid", by="pid target")[0] == 23


def test_usdt_probe_with_a_semaphore_fires() -> None:
    why_not = ask("attach_cases", "why_not", spec=f"usdt:{PYTHON}:gc__start")
    if why_not:
        pytest.skip(why_not)
    assert count(f"usdt:{PYTHON}:gc__start", work="gc")[0] == 23


def test_usdt_probe_of_one_process_fires() -> None:
    if ask("attach_cases", "why_not", spec=f"usdt:{PYTHON}:gc__start"):
        pytest.skip("the distribution's Python has no USDT probes")
    assert count("usdt:pid:{pid}:python:gc__start", work="gc", by="pid target")[0] == 23


def test_usdt_argument_is_read_in_every_process() -> None:
    if ask("attach_cases", "why_not", spec=f"usdt:{PYTHON}:gc__start"):
        pytest.skip("the distribution's Python has no USDT probes")
    assert ask("attach_cases", "usdt_arguments") == {"0": 7, "1": 5, "2": 3, "3": 0}


def test_profile_samples_match_the_cpu_time_used() -> None:
    samples, cpu_s = count("profile:us:1000", work="burn")
    assert samples == pytest.approx(cpu_s * 1000, rel=0.2)


def test_profile_accepts_a_frequency() -> None:
    samples, cpu_s = count("profile:hz:1009", work="burn")
    assert samples == pytest.approx(cpu_s * 1009, rel=0.2)


def test_page_faults_match_getrusage() -> None:
    hits, faults = count("software:page-faults:1", work="pages")
    assert faults >= 499
    assert faults <= hits <= faults + 50


def test_interval_fires_once_per_period_for_any_process() -> None:
    assert 12 <= ask("attach_cases", "ticks") <= 27


def test_function_on_hooks_of_two_kinds_counts_each_event_once() -> None:
    seen = ask("attach_cases", "two_kinds")
    assert seen["hits"] == 46
    assert seen["programs"] == ["count", "count (uprobe:c:getppid)"]
    assert seen["attached"] == ["tracepoint:syscalls:sys_enter_getppid", "uprobe:c:getppid"]


# --- filters -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["ks-subject", "fifteen-letters", "ö-utf8"])
def test_name_filter_keeps_one_of_two(name: str) -> None:
    filters = {"comm": name}
    assert ask("attach_cases", "count_filtered", filters=filters, comm=name) == 23


@pytest.mark.parametrize("uid", [54321, 4_000_000_000])
def test_user_filter_keeps_one_of_two(uid: int) -> None:
    assert ask("attach_cases", "count_filtered", filters={"uid": uid}, uid=uid) == 23


def test_contradicting_filters_keep_nothing() -> None:
    filters = {"uid": 54321, "comm": "ks-subject"}
    assert ask("attach_cases", "count_filtered", filters=filters, uid=54321) == 0


def test_process_ids_are_of_the_agents_namespace() -> None:
    inside = ("unshare", "--pid", "--fork", "--mount-proc", "--propagation", "unchanged")
    spec = "tracepoint:syscalls:sys_enter_getppid"
    assert ask("attach_cases", "count", spec=spec, under=inside)[0] == 23
    excluded = ask("attach_cases", "count_excluded", spec=spec, under=inside)
    assert excluded == {"left out": 0, "both": 23}


@pytest.mark.parametrize("spec", ["tracepoint:syscalls:sys_enter_getppid", "uprobe:c:getppid"])
def test_excluded_process_is_skipped_if_the_hook_is_about_it(spec: str) -> None:
    assert ask("attach_cases", "count_excluded", spec=spec) == {"left out": 0, "both": 23}


def test_excluded_process_is_counted_if_it_was_only_interrupted() -> None:
    counts = ask("attach_cases", "count_excluded", spec="tracepoint:sched:sched_switch")
    assert counts["left out"] > 0


# --- other mounts, and what is not there ---------------------------------------------------------


def test_library_in_another_mount_namespace_is_traced(tmp_path: Path) -> None:
    assert ask("attach_cases", "count_in_other_mounts", folder=str(tmp_path)) == 23


def test_hook_kind_added_from_outside_is_attached() -> None:
    assert ask("attach_cases", "attach_own_kind") == 23


def test_user_probe_is_placed_in_the_file_that_was_looked_up(tmp_path: Path) -> None:
    text = "__attribute__((noinline)) int work(int x) { return x + 1; }\n"
    main = "int main(int n, char **v) { return work(n) - 2; }\n"
    programs = []
    for name, functions in (
        ("looked-up", text),
        ("other", "int other(int x) { return x; }\n" + text),
    ):
        source = tmp_path / f"{name}.c"
        source.write_text(functions + main)
        programs.append(str(tmp_path / name))
        subprocess.run(["gcc", "-O1", "-o", programs[-1], source], check=True)
    looked_up, other = programs
    link = str(tmp_path / "link")
    counts = ask("attach_cases", "swapped_file", looked_up=looked_up, other=other, link=link)
    assert counts == [1, 0]


def test_nothing_stays_attached_if_one_hook_fails() -> None:
    left = ask("attach_cases", "failing_attach")
    assert left["error"]["class"] == "TargetError"
    assert left["error"]["details"]["function"] == "count"
    assert left["leaked"] == 0


@pytest.mark.parametrize(
    ("spec", "match"),
    [
        ("tracepoint:sched:sched_swich", "sched:sched_switch"),
        ("tracepoint:shced:sched_switch", "sched:sched_switch"),
        ("rawtracepoint:sched_swich", "sched_switch"),
        ("tp_btf:sched_swich", "sched_switch"),
        ("uprobe:c:getppidd", "getppid"),
    ],
)
def test_misspelt_hook_suggests_the_right_one(spec: str, match: str) -> None:
    with pytest.raises(AttachError) as caught:
        ask("attach_cases", "resolve", any_of=[spec])
    assert match in caught.value.details["matches"]
    assert match in str(caught.value)


def test_missing_library_and_dead_process_are_target_errors() -> None:
    for spec in ("uprobe:/nowhere/lib.so:f", "uprobe:nosuchlib:f", "uprobe:pid:2147483646:f"):
        with pytest.raises(TargetError):
            ask("attach_cases", "resolve", any_of=[spec])


@pytest.mark.parametrize(
    "spec",
    [
        "kprobe:vfs_read",
        "kretprobe:vfs_read",
        "fentry:vfs_read",
        "fexit:vfs_read",
        "tp_btf:sched_switch",
        "tracepoint:sched:sched_switch",
        "hardware:cpu-cycles:1000000",
        "profile:hz:49",
        "profile:hz:99999999",
        "iter:task",
        "iter:no_such",
        "xdp:lo",
        "tcx_ingress:lo",
        "tcx_egress:no_such",
    ],
)
def test_why_not_agrees_with_attaching(spec: str) -> None:
    answer = ask("attach_cases", "agrees", spec=spec)
    assert (answer["why_not"] is None) == (answer["attach"] is None), answer


def test_first_available_hook_is_used() -> None:
    any_of = ["tracepoint:no:such", "rawtracepoint:no_such", "tracepoint:sched:sched_switch"]
    assert ask("attach_cases", "resolve", any_of=any_of) == ["tracepoint:sched:sched_switch"]


def test_optional_hook_may_be_missing() -> None:
    assert ask("attach_cases", "resolve", any_of=["tracepoint:no:such"], optional=True) == []


def test_every_reason_is_reported_if_no_hook_is_available() -> None:
    with pytest.raises(AttachError, match=r"(?s)no:such.*no_such"):
        ask("attach_cases", "resolve", any_of=["tracepoint:no:such", "tp_btf:no_such"])


def test_listings_match_the_kernel_and_the_files() -> None:
    assert "sched:sched_switch" in ask(
        "attach_cases", "listing", kind="tracepoint", prefix="sched:sched_s"
    )
    assert "sched_switch" in ask("attach_cases", "listing", kind="tp_btf", prefix="sched_s")
    assert ask("attach_cases", "listing", kind="uprobe", prefix="getppi", target="c") == ["getppid"]
    assert "openat" in ask("attach_cases", "listing", kind="syscall", prefix="open")
    assert "vfs_read" in ask("attach_cases", "listing", kind="kprobe", prefix="vfs_r")
