"""What programs print with bpf_trace_printk arrives, line by line, from every kind of hook."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import kernelscope

pytestmark = pytest.mark.kernel

CALLS = 23
HOOKS = {
    "tracepoint": "TRACEPOINT_PROBE(syscalls, sys_enter_getppid)",
    "raw tracepoint": "RAW_TRACEPOINT_PROBE(sys_enter)",
}


@pytest.mark.parametrize("hook", HOOKS)
def test_every_line_of_a_known_load_arrives(hook: str) -> None:
    getppid = 110 if os.uname().machine == "x86_64" else 173
    only = f"if (ctx->args[1] != {getppid}) return 0;" if hook == "raw tracepoint" else ""
    source = f"""{HOOKS[hook]} {{
        char name[16];
        {only}
        bpf_get_current_comm(name, sizeof(name));
        bpf_trace_printk("%s asks %d\\n", name, -7);
        return 0; }}"""
    with kernelscope.start(source=source, duration=60, pid=os.getpid()) as run:
        for _ in range(CALLS):
            os.getppid()
    lines = run.result()
    comm = Path("/proc/self/comm").read_text().strip()
    assert list(lines["message"]).count(f"{comm} asks -7") == CALLS
    assert set(lines["pid"]) == {os.getpid()}
    assert lines["time"].is_monotonic_increasing
