"""What a hook's name says, what a wrong one is answered with, and what function names imply."""

from __future__ import annotations

import dataclasses
import platform

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernelscope.errors import AttachError
from kernelscope.protocol import hook_kinds, hook_spec
from kernelscope.protocol.hook_grammar import ParsedHook
from kernelscope.protocol.hook_spec import parse

SYSCALL = {"x86_64": "__x64_sys_", "aarch64": "__arm64_sys_"}[platform.machine()]


@pytest.mark.parametrize(
    ("spec", "fields"),
    [
        ("tracepoint:sched:sched_switch", {"category": "sched", "name": "sched_switch"}),
        ("rawtracepoint:sched_switch", {"name": "sched_switch"}),
        ("tp_btf:sched_switch", {"name": "sched_switch"}),
        ("kprobe:vfs_read", {"name": "vfs_read"}),
        ("kprobe:vfs_read+0x1f", {"name": "vfs_read", "offset": 31}),
        ("kprobe:tcp_v4_rcv.part.0", {"name": "tcp_v4_rcv.part.0"}),
        ("fentry:vfs_read", {"name": "vfs_read"}),
        ("fexit:vfs_read", {"name": "vfs_read"}),
        ("uprobe:c:malloc", {"target": "c", "name": "malloc"}),
        ("uprobe:stdc++:_ZNSsC1Ev", {"target": "stdc++", "name": "_ZNSsC1Ev"}),
        ("uprobe:/opt/a:b/lib.so:f+8", {"target": "/opt/a:b/lib.so", "name": "f", "offset": 8}),
        ("uprobe:/bin/sh:0x1f", {"target": "/bin/sh", "address": 31}),
        ("uretprobe:pid:42:f", {"target": "pid:42", "name": "f"}),
        ("usdt:/bin/x:probe", {"target": "/bin/x", "name": "probe"}),
        ("usdt:c:libc:setjmp", {"target": "c", "category": "libc", "name": "setjmp"}),
        ("usdt:pid:42:probe", {"target": "pid:42", "name": "probe"}),
        ("usdt:pid:42:python:line", {"target": "pid:42", "category": "python", "name": "line"}),
        ("profile:hz:49", {"name": "hz", "frequency": 49}),
        ("profile:us:250", {"name": "us", "period_ns": 250_000}),
        ("interval:ms:20", {"name": "ms", "period_ns": 20_000_000}),
        ("software:page-faults:100", {"name": "page-faults", "count": 100}),
        ("hardware:cpu-cycles:1000000", {"name": "cpu-cycles", "count": 1_000_000}),
        ("iter:task_file", {"name": "task_file"}),
        ("xdp:eth0.100", {"name": "eth0.100"}),
        ("tcx_ingress:wlp2s0@x", {"name": "wlp2s0@x"}),
        ("tcx_egress:fifteen-letters", {"name": "fifteen-letters"}),
    ],
)
def test_hook_is_parsed(spec: str, fields: dict[str, object]) -> None:
    assert parse(spec) == ParsedHook(spec.partition(":")[0], spec, **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("alias", "kind"),
    [
        ("raw_tracepoint:sys_enter", "rawtracepoint"),
        ("kfunc:vfs_read", "fentry"),
        ("kretfunc:vfs_read", "fexit"),
        ("t:sched:sched_switch", "tracepoint"),
        ("u:c:malloc", "uprobe"),
        ("it:task", "iter"),
    ],
)
def test_aliases_of_bpftrace_and_bcc_are_known(alias: str, kind: str) -> None:
    assert parse(alias).kind == kind


def test_system_call_is_the_kprobe_of_its_function() -> None:
    parsed = parse("syscall:openat")
    assert (parsed.kind, parsed.name) == ("kprobe", f"{SYSCALL}openat")


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("kprob:vfs_read", "Did you mean kprobe"),
        ("nonsense", "there is no kind 'nonsense'"),
        ("kprobe", "names nothing"),
        ("kprobe:", "names nothing"),
        ("tracepoint:sched_switch", "needs a category and a name"),
        ("tracepoint:../../etc:passwd", "needs a category and a name"),
        ("tracepoint:a:b:c", "needs a category and a name"),
        ("rawtracepoint:sched:sched_switch", "without its category"),
        ("kprobe:vfs read", "where a kernel function's name belongs"),
        ("kprobe:vfs_read+x", "where a number belongs"),
        ("kretprobe:vfs_read+8", "only kprobe and uprobe can"),
        ("uprobe:malloc", "needs a library or program"),
        ("uprobe:pid:42", "needs a library or program"),
        ("uprobe:pid:x:f", "where a number belongs"),
        ("uprobe:../lib.so:f", "does not begin with /"),
        ("uretprobe:c:f+8", "a return has none"),
        ("usdt:c", "needs a library or program"),
        ("usdt:c:a:b:c", "needs a library or program"),
        ("usdt:pid:42", "needs a library or program"),
        ("profile:49", "where hz, s, ms or us belongs"),
        ("profile:hz:0", "out of range"),
        ("profile:hz:-4", "out of range"),
        ("interval:s:99999999999", "99999999999 s, which is out of range"),
        ("profile:s:9223372037", "out of range"),
        ("profile:hz:many", "where a number belongs"),
        ("software:page-fault:1", "Did you mean software:page-faults"),
        ("hardware:cycles", "where a number belongs"),
        ("iter:", "names nothing"),
        ("iter:bpf_iter_Task", "where an iterator's name belongs"),
        ("xdp:", "names nothing"),
        ("xdp:sixteen-letters-", "where a network interface's name belongs"),
        ("xdp:..", "where a network interface's name belongs"),
        ("xdp:../eth0", "where a network interface's name belongs"),
        ("tcx:eth0", "Did you mean tcx_"),
    ],
)
def test_malformed_hook_is_refused_with_an_example(spec: str, says: str) -> None:
    with pytest.raises(AttachError) as caught:
        parse(spec)
    assert says in str(caught.value)
    assert caught.value.details["hook"] == spec


@given(st.text(max_size=80) | st.from_regex(r"[a-z_]{1,12}:[ -~]{0,40}", fullmatch=True))
def test_any_text_is_parsed_or_refused(spec: str) -> None:
    try:
        parsed = parse(spec)
    except AttachError:
        return
    assert parsed.kind in hook_kinds.names()
    assert parsed.spec == spec


def test_function_names_imply_their_hooks() -> None:
    names = [
        "kprobe__vfs_read",
        "kprobe__sys_clone",
        "kretprobe____x64_sys_clone",
        "tracepoint__sched__sched_switch",
        "tracepoint__syscalls__sys_enter_a__b",
        "raw_tracepoint__sys_enter",
        "kfunc__vfs_read",
        "kretfunc__vfs_read",
        "syscall__openat",
        "on_event",
        "helper__thing",
        "kprobe__",
    ]
    assert [(hook.function, *hook.any_of) for hook in hook_spec.implied(names)] == [
        ("kprobe__vfs_read", "kprobe:vfs_read"),
        ("kprobe__sys_clone", f"kprobe:{SYSCALL}clone"),
        ("kretprobe____x64_sys_clone", f"kretprobe:{SYSCALL}clone"),
        ("tracepoint__sched__sched_switch", "tracepoint:sched:sched_switch"),
        ("tracepoint__syscalls__sys_enter_a__b", "tracepoint:syscalls:sys_enter_a__b"),
        ("raw_tracepoint__sys_enter", "rawtracepoint:sys_enter"),
        ("kfunc__vfs_read", "fentry:vfs_read"),
        ("kretfunc__vfs_read", "fexit:vfs_read"),
        ("syscall__openat", "syscall:openat"),
    ]


@pytest.mark.parametrize(
    ("spec", "subject"),
    [
        ("tracepoint:syscalls:sys_enter_openat", True),
        ("tracepoint:raw_syscalls:sys_enter", True),
        ("rawtracepoint:sys_exit", True),
        ("tp_btf:sys_enter", True),
        ("uprobe:c:malloc", True),
        ("usdt:c:setjmp", True),
        ("profile:hz:49", True),
        ("software:page-faults:1", True),
        ("syscall:openat", True),
        ("tp_btf:cap_capable", True),
        ("fexit:cap_capable", True),
        ("tracepoint:sched:sched_switch", False),
        ("tracepoint:net:netif_receive_skb", False),
        ("rawtracepoint:block_rq_complete", False),
        ("tp_btf:sched_wakeup", False),
        ("kprobe:tcp_v4_rcv", False),
        ("interval:s:1", False),
        ("iter:task", False),
        ("xdp:sys_net", False),
        ("tcx_egress:sys_net", False),
    ],
)
def test_only_some_hooks_are_about_the_current_task(spec: str, subject: bool) -> None:
    assert hook_spec.current_is_subject(parse(spec)) is subject


def test_two_spellings_of_a_hook_are_equal() -> None:
    one, other = parse("kfunc:vfs_read"), parse("fentry:vfs_read")
    assert dataclasses.replace(one, spec="") == dataclasses.replace(other, spec="")


@pytest.mark.parametrize(
    ("spec", "target", "name"),
    [
        ("uprobe:/bin/p:app::Worker::step(int)", "/bin/p", "app::Worker::step(int)"),
        ("uprobe:pid:42:app::Worker::step", "pid:42", "app::Worker::step"),
        ("uprobe:/bin/p:<a::B as c::D>::run", "/bin/p", "<a::B as c::D>::run"),
        ("uprobe:c:malloc@@GLIBC_2.2.5", "c", "malloc@@GLIBC_2.2.5"),
    ],
)
def test_a_function_may_be_named_as_its_source_writes_it(spec: str, target: str, name: str) -> None:
    parsed = hook_spec.parse(spec)
    assert (parsed.target, parsed.name) == (target, name)


def test_a_star_among_the_parameters_is_not_a_pattern() -> None:
    assert not hook_spec.is_pattern("uprobe:/bin/p:app::f(char*)")
    assert hook_spec.is_pattern("uprobe:/bin/p:app*")
