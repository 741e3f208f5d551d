"""Where a probe names several hooks, the first that this kernel has is the one that is attached."""

from __future__ import annotations

from pathlib import Path

from vm.counting import count
from vm.subject import CALLS, Subject

from kernelscope.tracing.agent_client import Agent

TRACEPOINT = "tracepoint:syscalls:sys_enter_getpgid"
EVENTS = Path("/sys/kernel/tracing/events/syscalls")


def test_the_preferred_hook_is_taken_if_it_exists(agent: Agent, subject: Subject) -> None:
    preferred = "fentry:__x64_sys_getpgid"
    counted = count(agent, subject, preferred, "kprobe:__x64_sys_getpgid", TRACEPOINT)
    assert counted.hooks == [preferred]
    assert counted.hits == CALLS


def test_the_fallback_is_taken_if_the_preferred_function_is_missing(
    agent: Agent, subject: Subject
) -> None:
    fallback = "kprobe:__x64_sys_getpgid"
    counted = count(agent, subject, "fentry:no_such_function", fallback, TRACEPOINT)
    assert counted.hooks == [fallback]
    assert counted.hits == CALLS


def test_the_last_choice_is_taken_if_neither_function_exists(
    agent: Agent, subject: Subject
) -> None:
    counted = count(agent, subject, "fentry:no_such_function", "kprobe:nor_this", TRACEPOINT)
    assert counted.hooks == [TRACEPOINT]
    assert counted.hits == CALLS


def test_a_newer_kernels_system_call_decides(agent: Agent, subject: Subject) -> None:
    newer = "tracepoint:syscalls:sys_enter_statmount"  # since 6.8
    expected = newer if (EVENTS / "sys_enter_statmount").exists() else TRACEPOINT
    assert count(agent, subject, newer, TRACEPOINT).hooks == [expected]


def test_the_software_clock_stands_in_for_missing_counters(agent: Agent, subject: Subject) -> None:
    counted = count(agent, subject, "hardware:cpu-cycles:1000000", "profile:hz:101", work="burn")
    assert counted.hooks == ["profile:hz:101"]
    assert counted.hits > 0
