"""The traced programs: the same C for bcc and KernelScope, the same question for bpftrace.

TARGET is the traced process, a macro. Events are 40 bytes. Any Python from 3.9.
"""

from __future__ import annotations

# Something to attach to; how long that takes is what is measured. `nonce` makes the text new.
START = """
BPF_HASH(reads, u32);
TRACEPOINT_PROBE(syscalls, sys_enter_read) {
    u32 pid = bpf_get_current_pid_tgid() >> 32;
    if (args->fd == %(nonce)d) return 0;
    reads.increment(pid);
    return 0;
}
"""
START_BPFTRACE = """
tracepoint:syscalls:sys_enter_read /args->fd != %(nonce)d/ { @reads[pid] = count(); }
interval:ms:1 { printf("attached\\n"); exit(); }
"""

_EVENT = """
struct event { u64 at; u64 bytes; u32 pid; u32 fd; char comm[16]; };
"""
_FLOOD = """
TRACEPOINT_PROBE(syscalls, sys_enter_%(name)s) {
    u32 pid = bpf_get_current_pid_tgid() >> 32;
    if (pid != TARGET || args->fd != %(fd)d) return 0;
    struct event event = {};
    event.at = bpf_ktime_get_ns();
    event.bytes = args->count;
    event.pid = pid;
    event.fd = args->fd;
    bpf_get_current_comm(&event.comm, sizeof(event.comm));
    %(output)s
    return 0;
}
"""
_RING = "events.ringbuf_output(&event, sizeof(event), 0);"
_PERF = "events.perf_submit(args, &event, sizeof(event));"
RING_PAGES = 16384


def _both(body: str, output: str) -> str:
    calls = ({"name": "read", "fd": 0}, {"name": "write", "fd": 1})
    return "".join(body % {**call, "output": output} for call in calls)


FLOOD_RING = f"{_EVENT}BPF_RINGBUF_OUTPUT(events, {RING_PAGES});{_both(_FLOOD, _RING)}"
FLOOD_PERF = f"{_EVENT}BPF_PERF_OUTPUT(events);{_both(_FLOOD, _PERF)}"
FLOOD_BPFTRACE = """
tracepoint:syscalls:sys_enter_read /pid == TARGET && args->fd == 0/
{ print((nsecs, args->count, pid, args->fd, comm)); }
tracepoint:syscalls:sys_enter_write /pid == TARGET && args->fd == 1/
{ print((nsecs, args->count, pid, args->fd, comm)); }
"""

KEYS = 1_000_000
HASH = """
BPF_ARRAY(next_key, u64, 1);
BPF_HASH(keys, u64, u64, 1048576);
TRACEPOINT_PROBE(syscalls, sys_enter_write) {
    u32 pid = bpf_get_current_pid_tgid() >> 32;
    if (pid != TARGET || args->fd != 1) return 0;
    int zero = 0;
    u64 *next = next_key.lookup(&zero);
    if (!next) return 0;
    u64 key = (*next)++;
    u64 value = 3 * key;
    keys.update(&key, &value);
    return 0;
}
"""

_COUNT = """
TRACEPOINT_PROBE(syscalls, sys_enter_%(name)s) {
    u32 pid = bpf_get_current_pid_tgid() >> 32;
    if (pid != TARGET || args->fd != %(fd)d) return 0;
    counts.increment(pid);
    return 0;
}
"""
COUNT = "BPF_HASH(counts, u32);" + _both(_COUNT, "")
COUNT_BPFTRACE = """
tracepoint:syscalls:sys_enter_read /pid == TARGET && args->fd == 0/ { @counts[pid] = count(); }
tracepoint:syscalls:sys_enter_write /pid == TARGET && args->fd == 1/ { @counts[pid] = count(); }
"""
