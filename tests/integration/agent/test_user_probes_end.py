"""However a run of user probes ends, the kernel takes back every breakpoint that it set."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from kernelscope.tracing.session import Run, Session

pytestmark = pytest.mark.kernel

SOURCE = "BPF_HASH(c, u32); int f(void *ctx) { u32 k = 1; c.increment(k); return 0; }"
PROGRAM = "/usr/bin/bash"  # mapped by the process below: a breakpoint has to be written into it
HOOKS = [f"uretprobe:{PROGRAM}:readline=f"]


def leaked() -> int:
    """Count what the kernel says it could not take back (kernel/events/uprobes.c)."""
    done = subprocess.run(["dmesg"], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"the kernel's log cannot be read: {done.stderr.strip()}")
    return done.stdout.count("leaking uprobe")


@pytest.fixture
def traced() -> Iterator[None]:
    command = [PROGRAM, "-c", "read line"]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as process:
        yield
        process.kill()


def _end_session(session: Session, run: Run) -> None:
    run.result(warn=False)
    session.close()


def _close_session(session: Session, run: Run) -> None:
    session.close()
    run.close()


def _kill_agent(session: Session, run: Run) -> None:
    os.kill(session.agent.info["pid"], signal.SIGKILL)
    run.close()
    session.close()


def _drop_run(session: Session, run: Run) -> None:
    run.close()
    session.close()


@pytest.mark.usefixtures("traced")
@pytest.mark.parametrize("end", [_end_session, _close_session, _kill_agent, _drop_run])
def test_no_breakpoint_stays(end) -> None:  # type: ignore[no-untyped-def]
    if not Path(PROGRAM).exists():
        pytest.skip(f"there is no {PROGRAM}")
    before = leaked()
    for _ in range(7):
        session = Session()
        run = session.start(source=SOURCE, duration=0.1, attach=HOOKS)
        end(session, run)
    time.sleep(1.0)
    assert leaked() == before
