"""The traced programs: the same C for bcc and KernelScope, the same question for bpftrace.

TARGET is the traced process, a macro (in bpftrace's text: a word). For Python 3.9 and later.
"""

from __future__ import annotations

# A program to attach; the measurement is how long that takes. `nonce` makes the text new.
START = """
BPF_HASH(reads, u32);
TRACEPOINT_PROBE(syscalls, sys_enter_read) {
    u32 pid = bpf_get_current_pid_tgid() >> 32;
    if (args->fd == %(nonce)d) return 0;
    reads.increment(pid);
    return 0;
}
"""
START_BPFTRACE = "tracepoint:syscalls:sys_enter_read /args->fd != %(nonce)d/ { @[pid] = count(); }"

_BEGIN = """
TRACEPOINT_PROBE(syscalls, sys_enter_write) {
    u32 pid = bpf_get_current_pid_tgid() >> 32;
    if (pid != TARGET || args->fd != 100) return 0;
"""
_AIM = "tracepoint:syscalls:sys_enter_write /pid == TARGET && args->fd == 100/ "

# Bytes of an event: its members, and the code that fills them.
_MEMBERS = {
    16: "u64 at; u32 pid; u32 fd;",
    40: "u64 at; u64 bytes; u32 pid; u32 fd; char comm[16];",
    256: "u64 at; u64 bytes; u32 pid; u32 fd; char comm[16]; char text[216];",
}
_BYTES = "event.bytes = args->count;"
_COMM = "bpf_get_current_comm(&event.comm, sizeof(event.comm));"
_TEXT = "bpf_probe_read_user_str(&event.text, sizeof(event.text), args->buf);"
_FILLED = {16: "", 40: f"{_BYTES}\n    {_COMM}", 256: f"{_BYTES}\n    {_COMM}\n    {_TEXT}"}
_OUTPUTS = {
    "ring": ("BPF_RINGBUF_OUTPUT(events, %d);", "events.ringbuf_output(&event, sizeof(event), 0);"),
    "perf": ("BPF_PERF_OUTPUT(events);", "events.perf_submit(args, &event, sizeof(event));"),
}
TEXT_BYTES = 215


def events(size: int, output: str = "ring", pages: int = 8) -> str:
    """Return the program that sends an event of `size` bytes for each write."""
    table, send = _OUTPUTS[output]
    table = table % pages if "%d" in table else table
    return f"""
struct event {{ {_MEMBERS[size]} }};
{table}{_BEGIN}    struct event event = {{}};
    event.at = bpf_ktime_get_ns();
    event.pid = pid;
    event.fd = args->fd;
    {_FILLED[size]}
    {send}
    return 0;
}}
"""


_FIELDS_BPFTRACE = {
    16: "nsecs, pid, args->fd",
    40: "nsecs, args->count, pid, args->fd, comm",
    256: "nsecs, args->count, pid, args->fd, comm, str(args->buf, 200)",
}
COLUMNS = {
    16: ["at", "pid", "fd"],
    40: ["at", "bytes", "pid", "fd", "comm"],
    256: ["at", "bytes", "pid", "fd", "comm", "text"],
}


def events_bpftrace(size: int) -> str:
    """Return the same for bpftrace, which prints a tuple for each."""
    return f"{_AIM}{{ print(({_FIELDS_BPFTRACE[size]})); }}"


# --- maps: each write makes one key ---------------------------------------------------------------

KINDS = ("scalar", "struct", "per-CPU")
_STRUCT = "struct key_t { u32 pid; u32 fd; u64 number; };"
_KEY = {
    "struct": "struct key_t key = {.pid = pid, .fd = args->fd, .number = number};",
}
_TABLE = {
    "scalar": "BPF_HASH(keys, u64, u64, 1048576);",
    "struct": f"{_STRUCT}\nBPF_HASH(keys, struct key_t, u64, 1048576);",
    "per-CPU": 'BPF_TABLE("percpu_hash", u64, u64, keys, 1048576);',
}


def keys(kind: str) -> str:
    """Return the program that fills a map."""
    return f"""
BPF_ARRAY(next_key, u64, 1);
{_TABLE[kind]}{_BEGIN}    int zero = 0;
    u64 *next = next_key.lookup(&zero);
    if (!next) return 0;
    u64 number = (*next)++;
    {_KEY.get(kind, "u64 key = number;")}
    u64 value = 3 * number;
    keys.update(&key, &value);
    return 0;
}}
"""


# In bpftrace's own maps, count() is per CPU, an assigned number is not.
_KEYS_BPFTRACE = {
    "scalar": "@next++; @keys[@next] = 3 * @next;",
    "struct": "@next++; @keys[pid, args->fd, @next] = 3 * @next;",
    "per-CPU": "@next++; @keys[@next] = sum(3 * @next);",
}


def keys_bpftrace(kind: str) -> str:
    """Return the same for bpftrace."""
    return f"{_AIM}{{ {_KEYS_BPFTRACE[kind]} }}"


# --- the cost for traced programs -----------------------------------------------------------------

COUNT = f"BPF_HASH(counts, u32);{_BEGIN}    counts.increment(pid);\n    return 0;\n}}\n"
COUNT_BPFTRACE = f"{_AIM}{{ @counts[pid] = count(); }}"

# Built-in probes whose question bcc's tools and bpftrace answer too: the load that it is about, the
# distribution's tool with its options, and bpftrace's text.
QUESTIONS = {
    "syscount": (
        "calls",
        ["syscount-bpfcc", "-L", "-i", "1000"],
        "tracepoint:raw_syscalls:sys_enter { @s[tid] = nsecs; }"
        " tracepoint:raw_syscalls:sys_exit { $s = @s[tid]; if ($s) {"
        " @calls[pid, args->id] = count(); @total[pid, args->id] = sum(nsecs - $s);"
        " @us[args->id] = hist((nsecs - $s) / 1000); delete(@s[tid]); } }",
    ),
    "runqlat": (
        "switches",
        ["runqlat-bpfcc", "1000"],
        "tracepoint:sched:sched_wakeup, tracepoint:sched:sched_wakeup_new"
        " { @q[args->pid] = nsecs; }"
        " tracepoint:sched:sched_switch {"
        " if (args->prev_state == 0) { @q[args->prev_pid] = nsecs; }"
        " $n = @q[args->next_pid]; if ($n) { @us = hist((nsecs - $n) / 1000); }"
        " delete(@q[args->next_pid]); }",
    ),
    "cpudist": (
        "switches",
        ["cpudist-bpfcc", "1000"],
        "tracepoint:sched:sched_switch { $s = @on[args->prev_pid];"
        " if ($s) { @us = hist((nsecs - $s) / 1000); delete(@on[args->prev_pid]); }"
        " @on[args->next_pid] = nsecs; }",
    ),
    "biolatency": (
        "reads",
        ["biolatency-bpfcc", "1000"],
        "tracepoint:block:block_rq_issue { @s[args->dev, args->sector] = nsecs; }"
        " tracepoint:block:block_rq_complete { $s = @s[args->dev, args->sector];"
        " if ($s) { @us = hist((nsecs - $s) / 1000); delete(@s[args->dev, args->sector]); } }",
    ),
    "hardirqs": (
        "reads",
        ["hardirqs-bpfcc", "1000"],
        "tracepoint:irq:irq_handler_entry { @s[tid] = nsecs; }"
        " tracepoint:irq:irq_handler_exit { $s = @s[tid];"
        " if ($s) { @us[args->irq] = sum(nsecs - $s); delete(@s[tid]); } }",
    ),
    "softirqs": (
        "reads",
        ["softirqs-bpfcc", "1000"],
        "tracepoint:irq:softirq_entry { @s[tid] = nsecs; }"
        " tracepoint:irq:softirq_exit { $s = @s[tid];"
        " if ($s) { @us[args->vec] = sum(nsecs - $s); delete(@s[tid]); } }",
    ),
}
