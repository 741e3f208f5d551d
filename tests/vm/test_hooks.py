"""Hooks of every kind through the real agent: each of a known number of events is seen once."""

from __future__ import annotations

import os
import platform
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from vm.counting import attached, count
from vm.subject import CALLS, DATAGRAM, PAGES, Subject

from kernelscope.errors import AttachError
from kernelscope.protocol import hook_kinds
from kernelscope.protocol.program import Filters
from kernelscope.tracing.agent_client import Agent

PYTHON = "/usr/bin/python3"
EXACT = {
    "kprobe": "kprobe:__x64_sys_getpgid",
    "kretprobe": "kretprobe:__x64_sys_getpgid",
    "fentry": "fentry:__x64_sys_getpgid",
    "fexit": "fexit:__x64_sys_getpgid",
    "tracepoint": "tracepoint:syscalls:sys_enter_getpgid",
    "uprobe": "uprobe:c:getpgid",
    "uretprobe": "uretprobe:c:getpgid",
}
Note = Callable[[str, object], None]


@pytest.mark.parametrize("kind", EXACT)
def test_each_of_23_calls_is_counted_once(
    kind: str, agent: Agent, subject: Subject, record_property: Note
) -> None:
    record_property("hook", kind)
    counted = count(agent, subject, EXACT[kind])
    assert counted.hits == CALLS
    assert counted.hooks == [EXACT[kind]]
    assert counted.attached["header"] == "lean"


@pytest.mark.parametrize("kind", ["rawtracepoint", "tp_btf"])
def test_each_of_23_calls_is_picked_out_of_all(
    kind: str, agent: Agent, subject: Subject, record_property: Note
) -> None:
    record_property("hook", kind)
    assert count(agent, subject, f"{kind}:sys_enter", function="count_getpgid").hits == CALLS


@pytest.mark.parametrize(
    ("kind", "function"),
    [("kretprobe", "add_returned"), ("uretprobe", "add_returned"), ("fexit", "add_result")],
)
def test_a_returns_value_is_the_one_returned(
    kind: str, function: str, agent: Agent, subject: Subject, record_property: Note
) -> None:
    record_property("hook", kind)
    counted = count(agent, subject, EXACT[kind], function=function)
    assert (counted.hits, counted.sum) == (CALLS, counted.done)


def test_usdt_fires_for_each_collection(
    agent: Agent, subject: Subject, record_property: Note
) -> None:
    record_property("hook", "usdt")
    assert count(agent, subject, f"usdt:{PYTHON}:gc__start", work="collect").hits == CALLS


def test_software_events_are_those_of_getrusage(
    agent: Agent, subject: Subject, record_property: Note
) -> None:
    record_property("hook", "software")
    counted = count(agent, subject, "software:page-faults:1", work="touch")
    assert counted.done >= PAGES
    assert counted.done <= counted.hits <= counted.done + 50


def test_profile_samples_are_in_proportion_to_cpu_time(
    agent: Agent, subject: Subject, record_property: Note
) -> None:
    record_property("hook", "profile")
    counted = count(agent, subject, "profile:hz:101", work="burn")
    # An emulated CPU stands still now and then, and its timer with it.
    assert 0.5 * 101 * counted.done <= counted.hits <= 1.1 * 101 * counted.done


def test_an_interval_ticks_whatever_task_runs(
    agent: Agent, subject: Subject, record_property: Note
) -> None:
    record_property("hook", "interval")
    counted = count(agent, subject, "interval:ms:50", work="burn")
    assert 5 <= counted.hits <= 100


def test_a_missing_hardware_event_is_reported(
    agent: Agent, subject: Subject, record_property: Note
) -> None:
    record_property("hook", "hardware")
    record_property("absent", "no counters in a guest")
    with pytest.raises(AttachError, match="samples by the software clock"):
        count(agent, subject, "hardware:cpu-cycles:1000000")


def test_an_iterator_visits_each_thread_once_and_the_run_ends_by_itself(
    agent: Agent, subject: Subject, record_property: Note
) -> None:
    record_property("hook", "iter")
    over = threading.Event()
    threads = [threading.Thread(target=over.wait) for _ in range(CALLS - threading.active_count())]
    for thread in threads:
        thread.start()
    every = {"filters": Filters(), "params": {"number": os.getpid()}}
    counted = count(agent, subject, "iter:task", function="count_thread", **every)
    present = len(list(Path("/proc/self/task").iterdir()))
    over.set()
    assert counted.hits == present >= CALLS
    assert counted.exit == "done"


@pytest.mark.parametrize(
    ("kind", "function"),
    [("xdp", "count_frame"), ("tcx_ingress", "count_skb"), ("tcx_egress", "count_skb")],
)
def test_each_packet_is_counted_once_and_still_delivered(
    kind: str, function: str, agent: Agent, subject: Subject, record_property: Note
) -> None:
    record_property("hook", kind)
    every = {"filters": Filters(), "params": {"number": DATAGRAM + 8 + 20 + 14}}
    if kind.startswith("tcx") and series() < (6, 6):
        record_property("absent", "since Linux 6.6")
        with pytest.raises(AttachError, match=r"since 6\.6"):
            count(agent, subject, f"{kind}:lo", function=function, **every)
        return
    counted = count(agent, subject, f"{kind}:lo", work="send", function=function, **every)
    assert (counted.hits, counted.done) == (CALLS, CALLS)


def series() -> tuple[int, int]:
    major, minor = platform.release().split(".")[:2]
    return int(major), int(minor)


def test_a_second_xdp_program_is_refused_with_the_reason(agent: Agent, subject: Subject) -> None:
    with attached(agent, "xdp:lo"), pytest.raises(AttachError, match="which takes one alone"):
        count(agent, subject, "xdp:lo", filters=Filters())


def test_every_kind_of_hook_is_tested_here() -> None:
    tested = {*EXACT, "rawtracepoint", "tp_btf", "usdt", "software", "profile", "interval"}
    tested |= {"iter", "xdp", "tcx_ingress", "tcx_egress"}
    assert tested | {"hardware"} == set(hook_kinds.names())


@pytest.mark.parametrize("kind", ["kprobe", "kretprobe", "fentry", "fexit"])
def test_a_misspelled_function_gets_a_suggestion(kind: str, agent: Agent, subject: Subject) -> None:
    with pytest.raises(AttachError) as caught:
        count(agent, subject, f"{kind}:vfs_raed")
    assert "vfs_read" in caught.value.details["matches"]
    assert "vfs_read" in str(caught.value)


def test_a_function_without_type_information_gets_its_kprobe_suggested(agent: Agent) -> None:
    spec = "fentry:__x64_sys_getppid"
    reason = agent.check([spec])[spec]
    assert reason is not None
    assert "kprobe:__x64_sys_getppid needs no type information" in reason


def test_a_function_that_cannot_be_probed_is_reported(agent: Agent) -> None:
    reasons = agent.check(["kprobe:asm_exc_int3", "fentry:vfs_read", "kprobe:vfs_read"])
    refused = reasons.pop("kprobe:asm_exc_int3")
    assert refused is not None
    assert "asm_exc_int3" in refused
    assert reasons == {"fentry:vfs_read": None, "kprobe:vfs_read": None}


def test_doctor_agrees_with_the_counted_hooks(agent: Agent, record_property: Note) -> None:
    found: dict[str, Any] = agent.doctor()
    refused = {kind: reason for kind, reason in found["hooks"].items() if reason}
    without = ["tcx_ingress", "tcx_egress"] if series() < (6, 6) else []
    assert list(refused) == ["hardware", *without]
    absent = ["task storage"] if series() < (5, 13) else []
    assert [name for name, reason in found["tried"].items() if reason] == absent
    assert found["btf_bytes"] > 1_000_000
