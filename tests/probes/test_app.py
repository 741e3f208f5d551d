"""The probes of bpf/app that count and time functions, each under a known load."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from probes.checking import one, traced

import kernelscope
from kernelscope.errors import AttachError, ParameterError
from kernelscope.tracing import session
from workloads.probes import started

pytestmark = pytest.mark.kernel

LIBC = next(
    line.split()[-1]
    for line in Path("/proc/self/maps").read_text().splitlines()
    if "libc.so" in line
)


def test_funccount_counts_calls_of_a_library_by_pattern() -> None:
    with started("library_calls") as load:
        calls, _ = traced("funccount", load, function="c:*abs", pid=load.pid)

    counted = dict(zip(calls["function"], calls["count"], strict=True))
    assert {name: counted[name] for name in ("abs", "labs", "llabs")} == {
        "abs": 1009,
        "labs": 211,
        "llabs": 101,
    }
    assert all(name.endswith("abs") for name in counted)


@pytest.mark.parametrize("place", [LIBC, "pid:{pid}", "uprobe:c"])
def test_funccount_finds_a_function_by_path_process_or_whole_name(place: str) -> None:
    with started("library_calls") as load:
        function = f"{place}:labs".format(pid=load.pid)
        calls, _ = traced("funccount", load, function=function, by="pid")

    assert one(calls, pid=load.pid)["count"] == 211
    assert calls["function"].unique().tolist() == ["labs"]


def test_funccount_counts_several_hooks_of_different_kinds_by_process() -> None:
    with started("library_calls") as load:
        function = "c:abs,c:labs,tracepoint:syscalls:sys_enter_getppid"
        calls, _ = traced("funccount", load, function=function, by="comm", pid=load.pid)

    assert dict(zip(calls["function"], calls["count"], strict=True)) == {
        "abs": 1009,
        "labs": 211,
        "syscalls:sys_enter_getppid": 53,
    }
    assert calls["comm"].unique().tolist() == ["python"]


def test_funccount_leaves_out_matches_that_the_kernel_refuses() -> None:
    with started("library_calls") as load:  # pthread_spin_lock starts with a locked instruction
        calls, _ = traced("funccount", load, function="c:pthread_*", pid=load.pid)

    traced_hooks = calls.attrs["kernelscope"]["hooks"]
    assert any("pthread_create=" in hook for hook in traced_hooks)


def test_funccount_counts_tracepoints_by_pattern() -> None:
    with started("library_calls") as load:
        function = "tracepoint:syscalls:sys_*_getppid"
        calls, _ = traced("funccount", load, function=function, pid=load.pid)

    assert dict(zip(calls["function"], calls["count"], strict=True)) == {
        "syscalls:sys_enter_getppid": 53,
        "syscalls:sys_exit_getppid": 53,
    }


@pytest.mark.parametrize("function", ["__x64_sys_getppid", "kprobe:__x64_sys_getppid"])
def test_funccount_counts_calls_of_the_kernels_functions(function: str) -> None:
    require(function)  # BTF may lack it: then the kprobe is used
    with started("library_calls") as load:
        calls, _ = traced("funccount", load, function=function, pid=load.pid)

    assert calls[["function", "count"]].to_numpy().tolist() == [["__x64_sys_getppid", 53]]


def test_funccount_counts_as_many_calls_by_fentry_as_the_tracepoint_sees() -> None:
    require("fentry:do_sys_openat2")
    with started("files_by_libc") as load:
        function = "fentry:do_sys_openat2,tracepoint:syscalls:sys_enter_openat"
        calls, _ = traced("funccount", load, function=function, pid=load.pid)

    opened = one(calls, function="do_sys_openat2")["count"]
    assert opened == one(calls, function="syscalls:sys_enter_openat")["count"] >= 17


def test_funccount_counts_the_kernels_functions_by_pattern() -> None:
    require("kprobe:__x64_sys_getppid")
    with started("library_calls") as load:
        calls, _ = traced("funccount", load, function="__x64_sys_getp*id", pid=load.pid)

    assert one(calls, function="__x64_sys_getppid")["count"] == 53
    assert one(calls, function="__x64_sys_getpgid")["count"] == 7


def require(function: str) -> None:
    """Skip if this kernel has neither of the hooks for kernel functions."""
    specs = (
        [function] if ":" in function else [f"{kind}:{function}" for kind in ("fentry", "kprobe")]
    )
    reasons = session.default_session().check(specs)
    if all(reasons.values()):
        pytest.skip(str(reasons[specs[-1]]))


@pytest.mark.parametrize(
    ("function", "error", "said"),
    [
        (
            None,
            ParameterError,
            "funccount needs --function.*for example --function c:malloc",
        ),
        ("c:", AttachError, "needs a library or program, and a symbol"),
        ("c:malloq", AttachError, "has no function 'malloq'.*Did you mean .*malloc"),
        ("c:nothing_like_it*", AttachError, "matches no hooks"),
        ("c:*", AttachError, "and 400 at once are the most"),
        ("tracepoint:sched:sched_swich", AttachError, "Did you mean sched:sched_switch"),
        ("iter:task", ParameterError, "iter hooks cannot be used here"),
    ],
)
def test_funccount_reports_what_is_wrong_with_a_function(
    function: str | None, error: type[Exception], said: str
) -> None:
    with pytest.raises(error) as caught:
        kernelscope.run("funccount", duration=0.1, function=function)

    assert re.search(said, str(caught.value), re.DOTALL), caught.value


def test_stackcount_counts_every_call_with_its_call_path() -> None:
    with started("library_calls") as load:
        ways, _ = traced("stackcount", load, function="c:abs", pid=load.pid)

    assert ways["count"].sum() == 1009
    assert ways["function"].unique().tolist() == ["abs"]
    assert ways["user_stack"].str.endswith("abs").all()


def test_stackcount_shows_the_kernel_stack_of_a_tracepoint() -> None:
    with started("library_calls") as load:
        function = "tracepoint:sched:sched_switch"
        ways, _ = traced("stackcount", load, function=function, stacks="kernel", pid=load.pid)

    assert "user_stack" not in ways
    sleeps = ways[ways["kernel_stack"].str.contains("nanosleep")]
    assert sleeps["count"].sum() >= 5
    assert sleeps["kernel_stack"].str.contains("schedule").all()


def test_funclatency_measures_as_the_process_itself_does() -> None:
    with started("timed_calls") as load:
        function = "c:usleep,c:labs"
        tables, facts = traced("funclatency", load, function=function, pid=load.pid)

    slept = one(tables["functions"], function="usleep")
    assert slept["count"] == 13
    assert 130_000 <= slept["total_us"] <= facts["total_us"]
    assert 10_000 <= slept["max_us"] <= facts["longest_us"]
    assert one(tables["functions"], function="labs")["count"] == 211
    slots = tables["latency"][tables["latency"]["function"] == "usleep"]
    assert slots["count"].sum() == 13
    assert slots["latency_high_us"].min() > 10_000


def test_funclatency_measures_each_recursive_call() -> None:
    with started("nested_calls") as load:
        tables, facts = traced("funclatency", load, function="c:qsort", pid=load.pid, by="pid")

    sorted_ = one(tables["functions"], pid=load.pid)
    assert sorted_["count"] == facts["calls"] == 7
    assert sorted_["max_us"] >= 7 * 5000
    assert sorted_["total_us"] >= (7 + 6 + 5 + 4 + 3 + 2 + 1) * 5000


def test_funclatency_measures_functions_of_the_kernel() -> None:
    require("__x64_sys_clock_nanosleep")
    with started("timed_calls") as load:
        function = "__x64_sys_clock_nanosleep"
        tables, facts = traced("funclatency", load, function=function, pid=load.pid)

    slept = one(tables["functions"], function=function)
    assert slept["count"] == 13
    assert 130_000 <= slept["total_us"] <= facts["total_us"]


@pytest.mark.parametrize("by", ["all", "pid"])
def test_mallocdist_counts_requests_by_their_size(by: str) -> None:
    with started("memory_by_libc") as load:
        tables, facts = traced("mallocdist", load, pid=load.pid, by=by)

    sizes = tables["sizes"]
    for size, count in ((1 << 20, 307), (facts["calloc"], 101), (facts["realloc"], 53)):
        slots = sizes[(sizes["size_low_bytes"] <= size) & (size < sizes["size_high_bytes"])]
        assert slots["count"].tolist() == [count]
    assert ("pid" in sizes) == (by == "pid")
    functions = tables["functions"].set_index("function")
    assert functions.loc["calloc", "count"] >= 101
    assert functions.loc["malloc", "total_bytes"] >= sum(facts["malloc"])
    assert functions["count"].sum() == sizes["count"].sum()
