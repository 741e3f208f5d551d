"""Real programs through the real compiler: what comes out, what is kept, what is said."""

from __future__ import annotations

import shutil
import subprocess

import pytest
from integration.support.agent_python import call

pytestmark = pytest.mark.kernel

PROGRAMS = {
    "hash and histograms": """
BPF_HASH(counts, u32, u64);
BPF_HISTOGRAM(sizes);
TRACEPOINT_PROBE(raw_syscalls, sys_enter) {
    u32 id = args->id;
    counts.increment(id);
    sizes.increment(bpf_log2l(args->id));
    return 0;
}
""",
    "scheduler": """
#include <linux/sched.h>
BPF_HASH(start, u32);
TRACEPOINT_PROBE(sched, sched_switch) {
    u64 now = bpf_ktime_get_ns();
    u32 pid = args->next_pid;
    if (args->prev_state == TASK_RUNNING) start.update(&pid, &now);
    return 0;
}
""",
    "task members": """
RAW_TRACEPOINT_PROBE(sched_switch) {
    struct task_struct *next = (struct task_struct *)ctx->args[2];
    char comm[TASK_COMM_LEN];
    bpf_probe_read_kernel_str(comm, sizeof(comm), next->comm);
    return next->tgid + next->mm->owner->pid + comm[0];
}
""",
    "perf buffer": """
struct data_t { u64 ts; u32 pid; char comm[16]; };
BPF_PERF_OUTPUT(events);
TRACEPOINT_PROBE(syscalls, sys_enter_openat) {
    struct data_t data = {};
    data.ts = bpf_ktime_get_ns();
    events.perf_submit(args, &data, sizeof(data));
    return 0;
}
""",
    "reserved record": """
struct data_t { u64 ts; };
BPF_RINGBUF_OUTPUT(events, 8);
int on_event(void *ctx) {
    struct data_t *data = events.ringbuf_reserve(sizeof(struct data_t));
    if (!data) return 0;
    data->ts = bpf_ktime_get_ns();
    events.ringbuf_submit(data, 0);
    return 0;
}
""",
    "sockets": """
#include <net/sock.h>
BPF_HASH(ports, u16);
int on_connect(struct pt_regs *ctx, struct sock *sk) {
    u16 port = sk->sk_dport;
    if (sk->sk_family != AF_INET) return 0;
    port = ntohs(port);
    ports.increment(port);
    return 0;
}
""",
    "stacks": """
BPF_STACK_TRACE(stacks, 1024);
BPF_HASH(counts, int);
int on_sample(struct bpf_perf_event_data *ctx) {
    int id = stacks.get_stackid(&ctx->regs, BPF_F_USER_STACK);
    counts.increment(id);
    return 0;
}
""",
    "packets": """
#include <uapi/linux/if_ether.h>
#include <linux/ip.h>
BPF_PERCPU_ARRAY(packets, u64, 256);
int on_packet(struct xdp_md *ctx) {
    void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
    struct ethhdr *eth = data;
    struct iphdr *ip = data + sizeof(*eth);
    if ((void *)(ip + 1) > end || eth->h_proto != htons(ETH_P_IP)) return XDP_PASS;
    u32 key = ip->protocol;
    u64 *count = packets.lookup(&key);
    if (count) *count += 1;
    return XDP_PASS;
}
""",
    "traffic control": """
#include <bcc/proto.h>
int classify(struct __sk_buff *skb) {
    u8 *cursor = 0;
    struct ethernet_t *ethernet = cursor_advance(cursor, sizeof(*ethernet));
    return ethernet->type == ETH_P_IPV6 ? TC_ACT_SHOT : TC_ACT_OK;
}
""",
    "system call by kprobe": """
#include <linux/fs.h>
BPF_HASH(names, u32);
int kprobe__vfs_read(struct pt_regs *ctx, struct file *file) {
    u32 length = file->f_path.dentry->d_name.len;
    if (S_ISREG(file->f_inode->i_mode)) names.increment(length);
    return 0;
}
""",
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_lean_and_full_header_give_the_same_bytecode(name: str) -> None:
    assert call("compile_cases", "with_both_headers", PROGRAMS[name]) == [True, 1]


def test_the_second_compilation_comes_from_the_cache() -> None:
    found = call("compile_cases", "second_compilation", PROGRAMS["perf buffer"])
    assert found == {"cached": True, "libbcc_loaded": False, "ring_bytes": 1 << 20}


def test_a_damaged_cache_entry_is_compiled_again() -> None:
    found = call("compile_cases", "around_damage", PROGRAMS["stacks"])
    assert found == {"first": False, "after_damage": False, "then": True}


@pytest.mark.parametrize(
    "change",
    [
        {"source": "int g(void *ctx) { return 0; }"},
        {"defines": {"X": "1"}},
        {"prelude": "// other\n"},
        {"substitute_perf": False},
    ],
    ids=lambda change: next(iter(change)),
)
def test_each_change_of_the_program_changes_the_cache_key(change: dict[str, object]) -> None:
    assert (
        call("compile_cases", "cached_after_change", PROGRAMS["reserved record"], change) is False
    )


def test_parameters_do_not_change_the_cache_key() -> None:
    change = {"params": {"pid": 7}, "ring_bytes": 1 << 20}
    assert call("compile_cases", "cached_after_change", PROGRAMS["reserved record"], change)


def test_reports_a_typing_error_at_its_line() -> None:
    source = "int f(void *ctx) {\n    return bpf_ktime_get_nss();\n}\n"
    error = call("compile_cases", "refusal", source)
    assert error["class"] == "CompileError"
    assert error["details"]["line"] == 2
    assert error["details"]["text"] == "    return bpf_ktime_get_nss();"


def test_catches_an_error_on_which_clang_exits() -> None:
    source = "int f(void *ctx) { char a[600]; bpf_probe_read(a, 600, ctx); return a[5]; }"
    error = call("compile_cases", "refusal", source)
    assert error["class"] == "CompileError"
    assert "512 bytes" in error["message"]


@pytest.mark.parametrize(
    ("source", "line", "words"),
    [
        (
            "int f(void *ctx) { int us = bpf_get_smp_processor_id();\n int ms = us / 1000;\n"
            ' bpf_trace_printk("%d", ms); return 0; }',
            2,
            "no signed division",
        ),
        ("s64 f(void *ctx) { s64 d = bpf_ktime_get_ns();\n return d % 7; }", 2, "signed division"),
        ('\n"""\nBPF_HASH(m, u32);\nint f(void *ctx) { return 0; }', 2, "Python"),
        ("from bcc import BPF\nBPF_HASH(m, u32);\nint f(void *ctx) { return 0; }", 1, "Python"),
        ("```c\nBPF_HASH(m, u32);\nint f(void *ctx) { return 0; }\n```", 1, "Markdown"),
        ("/ notes\nBPF_PERF_OUTPUT(m);\nint f(void *ctx) { return 0; }", 1, "expected"),
        (
            "TRACEPOINT_PROBE(syscalls, sys_enter_getppid)\n{\n"
            ' bpf_trace_printk("%d %d %d %d", 1, 2, 3, 4);\n return 0;\n}',
            3,
            "at most three values",
        ),
        ('int f(void *ctx) {\n bpf_trace_printk("a);\n return 0;\n}', 2, "terminating"),
    ],
    ids=[
        "signed division",
        "signed remainder",
        "triple quotes before a map",
        "Python before a map",
        "a fence before a map",
        "a broken comment before a map",
        "four values printed",
        "an unclosed string",
    ],
)
def test_reports_the_line_where_clang_crashes_or_gives_up(
    source: str, line: int, words: str
) -> None:
    error = call("compile_cases", "refusal", source)
    assert (error["class"], error["details"]["line"]) == ("CompileError", line)
    assert words in f"{error['message']} {error['hint']}"
    assert "/virtual/" not in error["message"]


def test_kills_clang_if_the_run_gives_up() -> None:
    assert call("compile_cases", "given_up") == {"raised": "ConnectionResetError", "children": 0}


def test_limits_the_processor_time_of_clang() -> None:
    error = call("compile_cases", "endless_macros")
    assert error["class"] == "CompileError"
    assert "needed more than 1 s of processor time" in error["message"]


def test_limits_the_memory_of_clang() -> None:
    error = call("compile_cases", "large_macros")
    assert error["class"] == "CompileError"
    assert "GiB of memory" in error["message"]


def test_names_the_requirement_without_btf() -> None:
    error = call("compile_cases", "refusal", PROGRAMS["stacks"], "/nonexistent/btf")
    assert (error["class"], error["details"]) == ("RequirementError", {"requirement": "btf"})


def test_a_verifier_error_has_its_line_of_c() -> None:
    source = """BPF_HASH(seen, u32);
int f(void *ctx) {
    u32 key = 1;
    u64 *value = seen.lookup(&key);
    *value += 1;
    return 0;
}
"""
    error = call("compile_cases", "verifier_refusal", source)
    assert error["details"]["line"] == 5
    assert error["details"]["text"] == "    *value += 1;"
    assert "if (!p)" in error["hint"]


def test_record_layouts_match_clangs() -> None:
    source = """
struct in_t { u16 port; u32 addr; };
struct data_t { u8 a; struct in_t in[2]; union { u64 l; u8 b[3]; } u; u32 f:3; u32 g:9; u64 z; };
BPF_RINGBUF_OUTPUT(events, 1);
int f(void *ctx) {
    struct data_t d = {};
    events.ringbuf_output(&d, sizeof(d), 0);
    return 0;
}
"""
    size, places = call("compile_cases", "record_places", source)
    assert size == 48
    assert places == {
        "a": [0, 1, 0, 0],
        "in[0].port": [4, 2, 0, 0],
        "in[0].addr": [8, 4, 0, 0],
        "in[1].port": [12, 2, 0, 0],
        "in[1].addr": [16, 4, 0, 0],
        "u.l": [24, 8, 0, 0],
        "u.b": [24, 3, 0, 0],
        "f": [32, 4, 0, 3],
        "g": [32, 4, 3, 9],
        "z": [40, 8, 0, 0],
    }


@pytest.mark.skipif(shutil.which("clang") is None, reason="clang is not installed")
def test_lean_structs_have_the_kernels_offsets() -> None:
    text = call("compile_cases", "random_structs", 29, 211)
    assert text.count("_Static_assert") > 211
    command = ["clang", "-target", "bpf", "-w", "-x", "c", "-fsyntax-only", "-"]
    done = subprocess.run(command, input=text, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[:2000]


def test_kallsyms_is_complete_after_a_compilation() -> None:
    before, after = call("compile_cases", "symbols_around", PROGRAMS["stacks"])
    assert before == after > 100_000
