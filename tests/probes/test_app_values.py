"""The probes of bpf/app that read arguments and results, each under a known load."""

from __future__ import annotations

import os
from typing import Any

import pytest
from probes.checking import one, traced

import kernelscope
from kernelscope.errors import AttachError, KernelScopeError, ParameterError
from workloads.probes import Load, started

pytestmark = pytest.mark.kernel

ENTER = "tracepoint:syscalls:sys_enter_openat"


def opens(load: Load, **options: Any) -> tuple[Any, dict[str, Any]]:
    """Trace the load's opens; return those of its folder and the load's facts."""
    found, facts = traced("trace", load, pid=load.pid, **options)
    return found[found["path"].isin([path[:127] for path, _, _ in facts["asked"]])], facts


def test_trace_shows_the_arguments_and_the_result_of_each_call() -> None:
    with started("files_by_libc") as load:
        calls, facts = opens(load, function="c:open64", format="path=%s flags=%x ret=%d")

    asked = [(path[:127], hex(flags), result) for path, flags, result in facts["asked"]]
    assert len(asked) == 17
    assert list(calls[["path", "flags", "ret"]].itertuples(index=False, name=None)) == asked
    assert calls["truncated"].tolist() == [len(path) > 126 for path, _, _ in facts["asked"]]
    assert (calls["duration_us"] > 0).all()
    assert calls["time"].is_monotonic_increasing
    assert calls["function"].unique().tolist() == ["open64"]


def test_trace_needs_no_return_for_arguments_alone() -> None:
    with started("files_by_libc") as load:
        calls, _ = opens(load, function="c:open64", format="path=%s,mode=%3$u,arg2=%lx")

    assert len(calls) == 17
    assert (calls["mode"] == 0o600).all()
    assert calls["arg2"].str.endswith(("41", "42")).all()
    assert "duration_us" not in calls


@pytest.mark.parametrize(
    ("when", "kept"),
    [("ret<0", 5), ("ret>=0", 12), ("flags&2", 8), ("flags!=0x41", 8), ("flags==65", 9)],
)
def test_trace_shows_only_calls_that_meet_a_condition(when: str, kept: int) -> None:
    with started("files_by_libc") as load:
        form = "path=%s flags=%d ret=%d"
        calls, _ = opens(load, function="c:open64", format=form, when=when)

    assert len(calls) == kept


def test_trace_shows_the_fields_of_a_tracepoint() -> None:
    with started("files_by_libc") as load:
        form = "filename=%s flags=%x mode=%u dfd=%d"
        calls, facts = traced("trace", load, function=ENTER, format=form, pid=load.pid)

    calls = calls[calls["filename"].isin([path[:127] for path, _, _ in facts["asked"]])]
    assert calls["flags"].tolist() == [hex(flags) for _, flags, _ in facts["asked"]]
    assert (calls["mode"] == 0o600).all()
    assert (calls["dfd"] == -100).all()


def test_trace_reads_text_within_and_after_a_tracepoints_record() -> None:
    with started("threads_named") as load:
        renamed, facts = traced(
            "trace",
            load,
            function="tracepoint:task:task_rename",
            format="oldcomm=%s newcomm=%s pid=%d",
            pid=load.pid,
        )
        assert (renamed["pid_arg"] == load.pid).all()
    with started("threads_named") as load:
        run, more = traced(
            "trace", load, function="tracepoint:sched:sched_process_exec", format="filename=%s"
        )

    assert renamed["newcomm"].tolist() == facts["names"]
    assert renamed["oldcomm"].tolist() == [facts["first"], *facts["names"][:-1]]
    assert (run["filename"] == more["program"]).sum() >= 3


@pytest.mark.parametrize("kind", ["rawtracepoint", "tp_btf"])
def test_trace_reads_the_arguments_of_a_raw_tracepoint(kind: str) -> None:
    with started("library_calls") as load:
        calls, _ = traced(
            "trace", load, function=f"{kind}:sys_exit", format="result=%2$ld", pid=load.pid
        )

    assert (calls["result"] == os.getpid()).sum() == 53  # the result of getppid


def test_trace_without_a_format_shows_callers_and_times() -> None:
    with started("library_calls") as load:
        calls, _ = traced("trace", load, function="c:labs", pid=load.pid)

    assert calls.columns.tolist() == ["time", "pid", "tid", "comm", "function"]
    assert len(calls) == 211


@pytest.mark.parametrize("kind", ["fentry", "kprobe"])
def test_trace_shows_arguments_and_results_of_the_kernels_functions(kind: str) -> None:
    with started("files_by_libc") as load:
        options = {"format": "path=%2$s dfd=%1$d ret=%ld"}
        try:
            calls, facts = opens(load, function=f"{kind}:do_sys_openat2", **options)
        except AttachError as error:
            pytest.skip(f"{error.message}")

    assert [result >= 0 for _, _, result in facts["asked"]] == (calls["ret"] >= 0).tolist()
    assert (calls.loc[calls["ret"] < 0, "ret"] == -2).all()
    assert (calls["dfd"] == -100).all()


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"format": "path=%q"}, ParameterError, "'path=%q' is not of the form NAME=%d"),
        ({"format": "a=%s b=%s c=%s d=%s"}, ParameterError, "more than 3 texts"),
        ({"format": "a b c d e f g"}, ParameterError, "6 arguments"),
        ({"format": "arg7=%d"}, ParameterError, "only the first 6 arguments"),
        ({"format": "a=%d a=%d"}, ParameterError, "names a twice"),
        ({"format": "a=%s", "when": "a<1"}, ParameterError, "the numbers in the format: none"),
        ({"format": "a=%d", "when": "a=1"}, ParameterError, 'is not a comparison such as "ret<0"'),
        ({"when": "ret<0"}, ParameterError, "not one of the numbers in the format"),
        ({"function": ENTER, "format": "ret=%d"}, ParameterError, "has no return"),
        ({"function": ENTER, "format": "flagz=%d"}, AttachError, "no field 'flagz'"),
        ({"function": "usdt:/usr/bin/python3:gc__start"}, ParameterError, "usdt hooks cannot be"),
    ],
)
def test_trace_reports_what_is_wrong(
    options: dict[str, str], error: type[KernelScopeError], said: str
) -> None:
    with pytest.raises(error) as caught:
        kernelscope.run("trace", duration=0.1, **{"function": "c:open64", **options})

    assert said in str(caught.value)


def test_argdist_counts_the_sizes_that_a_function_is_called_with() -> None:
    with started("memory_by_libc") as load:
        sizes, _ = traced("argdist", load, function="c:malloc", value="arg1=%lu", pid=load.pid)

    large = sizes[sizes["value_low"] >= 1 << 20]
    assert large["count"].tolist() == [307]
    assert large["value_high"].tolist() == [(1 << 20) * 9 / 8]
    assert not sizes["negative"].any()


def test_argdist_counts_each_result_separately() -> None:
    with started("files_by_libc") as load:
        options = {"function": "c:open64", "value": "ret=%d", "show": "values"}
        results, facts = traced("argdist", load, pid=load.pid, by="pid", **options)

    assert one(results, value=-1)["count"] == 5
    assert set(results["value"]) >= {result for _, _, result in facts["asked"]}
    assert results["pid"].unique().tolist() == [load.pid]


def test_argdist_shows_negative_values_by_their_magnitude() -> None:
    with started("library_calls") as load:
        values, _ = traced("argdist", load, function="c:abs", value="arg1=%d", pid=load.pid)

    only = one(values)
    assert (only["negative"], only["value_low"], only["value_high"]) == (True, 7, 8)
    assert only["count"] == 1009


def test_argdist_counts_texts() -> None:
    with started("files_by_libc") as load:
        options = {"function": "c:open64", "value": "path=%1$s"}
        texts, facts = traced("argdist", load, pid=load.pid, by="comm", **options)

    counted = dict(zip(texts["text"], texts["count"], strict=True))
    assert all(counted[path[:63]] == 1 for path, _, _ in facts["asked"])
    assert texts["comm"].unique().tolist() == ["python"]


def test_argdist_counts_a_field_of_a_tracepoint() -> None:
    with started("files_by_libc") as load:
        options = {"function": ENTER, "value": "mode", "show": "values"}
        modes, _ = traced("argdist", load, pid=load.pid, **options)

    assert one(modes, value=0o600)["count"] >= 17
