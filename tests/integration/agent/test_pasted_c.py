"""C that people paste from elsewhere loads, and its tables have the columns that it declares."""

from __future__ import annotations

import os
import time

import pytest
from integration.support.agent_python import call

from kernelscope.tracing.session import Session

pytestmark = pytest.mark.kernel

EVENT = "struct ev { u32 pid; char c[16]; };\nBPF_PERF_OUTPUT(events);\n"


@pytest.mark.parametrize(
    "source",
    [
        EVENT + "int f(void *ctx) { struct ev e; memset(&e, 0, sizeof(e)); memcpy(e.c, &e.pid, 4);"
        " memmove(e.c, &e.pid, 4); if (memcmp(e.c, &e.pid, 4)) e.pid = strlen(\"abc\");"
        " events.perf_submit(ctx, &e, sizeof(e)); return 0; }",
        "static void *memset(void *to, int c, u64 n) { char *t = to; t[0] = c; return to; }\n"
        "int f(void *ctx) { char e[8]; memset(e, 1, 8); return e[0]; }",
        "struct v { u64 a, b; };\nBPF_HASH(m, u32, struct v);\nint f(void *ctx) { u32 k = 1;"
        " m.update(&k, &(struct v){1, 2}); m.insert(&k, &(struct v){1, 2});"
        " m.lookup_or_try_init(&k, &(struct v){1, 2}); return 0; }",
        'void f(void *ctx) { bpf_trace_printk("hi\\n"); }',
        'int f(void *ctx) { bpf_trace_printk("hi\\n"); }',
        'int f(void *ctx) { bpf_printk("hi %d", 3); return 0; }',
        "struct e { u16 sk_family; u8 sk_state; };\nint f(void *ctx) { struct e x = {};"
        " int inet_num = 3; return x.sk_family + inet_num; }",
        "static inline u64 min(u64 a, u64 b) { return a < b ? a : b; }\nBPF_HASH(m, u32);\n"
        "int f(void *ctx) { return min(1, 2); }",
        "struct sock { u64 common; u32 sk_daddr; };\nint f(struct sock *s) { return s->sk_daddr; }",
        "BPF_DEVMAP(d, 16);\nint f(void *ctx) { return 0; }",
        "#define BPF_LICENSE Proprietary\nint f(void *ctx) { return bpf_ktime_get_ns() & 1; }",
    ],
    ids=[
        "memset and friends",
        "a memset of the program's",
        "compound literals",
        "void",
        "no return",
        "bpf_printk",
        "members named like macros",
        "a function named like a macro",
        "a struct named like the kernel's",
        "a device map",
        "a license",
    ],
)  # fmt: skip
def test_loads(source: str) -> None:
    assert call("compile_cases", "refused", source) == []


def test_a_proprietary_program_may_not_call_gpl_helpers() -> None:
    source = (
        "#define BPF_LICENSE Proprietary\n"
        "int f(void *ctx) { u64 a; bpf_probe_read_kernel(&a, 8, ctx); return a; }"
    )
    (log,) = call("compile_cases", "refused", source)
    assert "GPL" in log


@pytest.mark.parametrize(
    ("source", "fields"),
    [
        (
            "BPF_HASH(m, u32, struct ethhdr);\nint f(void *ctx) { return 0; }",
            ["h_dest", "h_source", "h_proto"],
        ),
        (
            "struct k { struct timespec64 at; };\nBPF_HASH(m, u32, struct k);\n"
            "int f(void *ctx) { return 0; }",
            ["at.tv_sec", "at.tv_nsec"],
        ),
        (
            "BPF_HASH(m, u32, struct iphdr);\nint f(void *ctx) { u32 k = 1; struct iphdr i = {};\n"
            " i.ttl = 3; m.update(&k, &i); return 0; }",
            ["ihl", "version", "tos", "tot_len", "id", "frag_off", "ttl", "protocol", "check",
             "saddr", "daddr"],
        ),
    ],
)  # fmt: skip
def test_a_stored_kernel_struct_has_all_its_members(source: str, fields: list[str]) -> None:
    assert call("compile_cases", "value_fields", source) == fields


@pytest.mark.parametrize(
    "call_of_it",
    [
        "file_inode((struct file *)ctx)->i_ino",
        "blk_rq_bytes((struct request *)ctx)",
        "blk_rq_sectors((struct request *)ctx)",
        "new_encode_dev(ctx->a)",
        "ip_hdr((struct sk_buff *)ctx)->ttl",
        "tcp_hdr((struct sk_buff *)ctx)->dest",
        "TCP_SKB_CB((struct sk_buff *)ctx)->seq",
        "i_size_read((struct inode *)ctx)",
    ],
)
def test_knows_inline_functions_of_the_kernels_headers(call_of_it: str) -> None:
    source = f"struct c {{ u64 a; }};\nint f(struct c *ctx) {{ return {call_of_it}; }}"
    assert call("compile_cases", "value_fields", source) == []


@pytest.mark.parametrize(
    ("source", "fields"),
    [
        (
            "struct e { u32 pid; char argv[4][16]; u32 m[2][3]; };\nBPF_PERF_OUTPUT(events);\n"
            "int f(void *c) { struct e e = {}; events.perf_submit(c, &e, sizeof(e)); return 0; }",
            ["pid", "argv[0]", "argv[1]", "argv[2]", "argv[3]", "m[0]", "m[1]"],
        ),
        (
            "BPF_PERF_OUTPUT(events);\nint f(void *ctx) { struct { u64 a; u32 b, c[2][2]; } e = {};"
            " events.perf_submit(ctx, &e, sizeof(e)); return 0; }",
            ["a", "b", "c[0]", "c[1]"],
        ),
        (
            "BPF_PERF_OUTPUT(events);\nint f(void *ctx) { struct iphdr i = {};"
            " events.perf_submit(ctx, &i, 20); return 0; }",
            ["ihl", "version", "tos", "tot_len", "id", "frag_off", "ttl", "protocol", "check",
             "saddr", "daddr"],
        ),
        (
            "BPF_PERF_OUTPUT(events);\nint f(void *ctx) { u64 v[3] = {};"
            " events.perf_submit(ctx, v, sizeof(v)); return 0; }",
            ["value"],
        ),
    ],
    ids=["arrays of arrays", "an anonymous struct", "a kernel struct", "an array"],
)  # fmt: skip
def test_decodes_records(source: str, fields: list[str]) -> None:
    assert call("compile_cases", "value_fields", source) == fields


def test_names_the_kernel_functions_whose_addresses_a_table_holds() -> None:
    source = """BPF_HASH(calls, u64);
TRACEPOINT_PROBE(workqueue, workqueue_execute_start) {
    u64 function = (u64)args->function;
    calls.increment(function);
    return 0;
}"""
    start = {"source": source, "duration": 20, "types": {"key": "ksym"}}
    with Session() as session, session.start(**start) as run:
        os.sync()
        time.sleep(0.5)
        run.stop()
        table = run.result()
    assert len(table)
    assert table["key"].str.match(r"[A-Za-z_][\w.]*\Z").all()


def test_counts_negative_numbers_in_the_last_slot_of_a_log2_histogram() -> None:
    source = f"""BPF_HISTOGRAM(waits);
TRACEPOINT_PROBE(syscalls, sys_enter_getppid) {{
    if (bpf_get_current_pid_tgid() >> 32 != {os.getpid()}) return 0;
    s64 earlier = -5;
    waits.increment(bpf_log2l(earlier));
    waits.increment(bpf_log2l(5));
    return 0;
}}"""
    with Session() as session, session.start(source=source, duration=20) as run:
        for _ in range(11):
            os.getppid()
        run.stop()
        table = run.result()
    assert table["count"].tolist() == [11, 11]
    assert table["value_low"].tolist() == [4, 2**63 - 1]
