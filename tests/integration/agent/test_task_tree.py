"""--tree on a real kernel: a process's threads and all that they start, before and during a run."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator

import pytest

import kernelscope
from kernelscope.errors import AttachError, KernelScopeError

pytestmark = pytest.mark.kernel

# A process with a thread and a child that are there when the run begins, and each starts more.
_SUBJECT = """
import os, subprocess, sys, threading

CALLS = "import os\\nfor _ in range({}): os.getppid()"

def thread():
    go.wait()
    for _ in range(101): os.getppid()
    subprocess.run([sys.executable, "-c", CALLS.format(211)])

go = threading.Event()
old = threading.Thread(target=thread)
old.start()
child = subprocess.Popen(
    [sys.executable, "-c", "import sys\\nsys.stdin.readline()\\n" + CALLS.format(307)],
    stdin=subprocess.PIPE,
)
print("ready", flush=True)
sys.stdin.readline()
for _ in range(401): os.getppid()
go.set()
new = threading.Thread(target=lambda: [os.getppid() for _ in range(503)])
new.start()
new.join()
old.join()
child.communicate(b"\\n")
print("done", flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def subject() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(_SUBJECT)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        yield process
        process.kill()


def work(process: subprocess.Popen[bytes]) -> None:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(b"\n")
    process.stdin.flush()
    for _ in range(1009):  # not the subject's
        os.getppid()
    assert process.stdout.readline() == b"done\n"


def test_run_traces_a_process_and_everything_it_starts(
    subject: subprocess.Popen[bytes],
) -> None:
    with kernelscope.start(["syscount", "offcputime"], duration=60, tree=subject.pid) as runs:
        work(subject)
    results = runs.result()

    calls = results["syscount.calls"]
    found = calls[calls["syscall"] == "getppid"].groupby("pid")["count"].sum()
    assert found.pop(subject.pid) == 101 + 401 + 503
    assert sorted(found) == [211, 307]
    slept = set(results["offcputime"]["pid"])  # what it starts may never have had to wait
    assert subject.pid in slept
    assert slept <= {subject.pid, *found.index}
    assert results["offcputime"].attrs["kernelscope"]["filters"]["tree"] == subject.pid


def test_custom_c_is_restricted_to_a_tree_and_shows_no_internal_table(
    subject: subprocess.Popen[bytes],
) -> None:
    source = """
        BPF_HASH(calls, u32);
        RAW_TRACEPOINT_PROBE(sys_enter) {
            u32 pid = bpf_get_current_pid_tgid() >> 32;
            if (ctx->args[1] == 110)
                calls.increment(pid);
            return 0;
        }
    """
    with kernelscope.start(source=source, duration=60, tree=subject.pid) as run:
        work(subject)

    assert sorted(run.result()["value"]) == [211, 307, 101 + 401 + 503]


def test_tree_is_refused_for_a_hook_without_process_context() -> None:
    source = "int see(void *ctx) { return 0; }"
    with pytest.raises(AttachError, match="no process context"):
        kernelscope.start(source=source, attach=["xdp:lo=see"], tree=os.getpid())


def test_missing_process_is_refused() -> None:
    with subprocess.Popen(["true"]) as process:
        process.wait()
    with pytest.raises(KernelScopeError, match=f"there is no process {process.pid}"):
        kernelscope.start("syscount", tree=process.pid)
