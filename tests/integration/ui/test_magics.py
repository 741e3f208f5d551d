"""The magics, the Python API and the command line on the real kernel, with known loads."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import kernelscope
from kernelscope.errors import AttachError, CompileError, VerifierError
from kernelscope.tracing.session import Session

pytestmark = pytest.mark.kernel

READS = 23
COUNT_READS = """BPF_HASH(reads, u32);
TRACEPOINT_PROBE(syscalls, sys_enter_read) {
    u32 pid = bpf_get_current_pid_tgid() >> 32;
    reads.increment(pid);
    return 0;
}
"""
RECORD_READS = """struct data_t { u64 time; u32 pid; char comm[16]; };
BPF_RINGBUF_OUTPUT(events, 64);
TRACEPOINT_PROBE(syscalls, sys_enter_read) {
    struct data_t data = {};
    data.time = bpf_ktime_get_ns();
    data.pid = bpf_get_current_pid_tgid() >> 32;
    bpf_get_current_comm(&data.comm, sizeof(data.comm));
    events.ringbuf_output(&data, sizeof(data), 0);
    return 0;
}
"""


class Reader:
    """A process that reads a file READS times when told to, and is of no other use."""

    def __init__(self) -> None:
        code = (
            "import os\n"
            "fd = os.open('/dev/zero', os.O_RDONLY)\n"
            "print(flush=True)\n"
            "os.read(0, 1)\n"
            f"for _ in range({READS}): os.read(fd, 1)\n"
            "print(flush=True)\n"
            "os.read(0, 1)\n"
        )
        self.process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self._said()

    @property
    def pid(self) -> int:
        return self.process.pid

    def _said(self) -> None:
        assert self.process.stdout is not None
        self.process.stdout.readline()

    def read(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(b"x")
        self.process.stdin.flush()
        self._said()


@pytest.fixture
def reader() -> Iterator[Reader]:
    made = Reader()
    yield made
    made.process.communicate(b"x")


@contextmanager
def once_attached(session: Session, action: Any) -> Iterator[None]:
    """Do something a moment after the next run of the session is attached."""
    begin = session.begin

    def begin_then_act(plan: Any, *how: Any) -> Any:
        run = begin(plan, *how)
        threading.Thread(target=action).start()
        return run

    session.begin = begin_then_act  # type: ignore[method-assign]
    try:
        yield
    finally:
        session.begin = begin  # type: ignore[method-assign]


# The two additional reads are the reader's waits for a command: the first entered the kernel before
# the program was attached, the last one after.
def test_a_cell_counts_what_a_known_load_does(shell, session, reader):
    with once_attached(session, reader.read):
        df = shell.run_cell(f"%%ebpf -d 1 --pid {reader.pid}\n{COUNT_READS}").result

    assert df.to_dict("list") == {"key": [reader.pid], "value": [READS + 1]}


def test_records_arrive_typed_and_whole(shell, session, reader):
    with once_attached(session, reader.read):
        df = shell.run_cell(
            f"%%ebpf -d 1 --pid {reader.pid} --type time=time\n{RECORD_READS}"
        ).result

    assert len(df) == READS + 1
    assert df["comm"].dtype == "str"
    assert isinstance(df["time"].dtype, pd.DatetimeTZDtype)
    now = pd.Timestamp.now(tz="UTC")
    assert (now - df["time"]).abs().max() < pd.Timedelta(minutes=1)


def test_a_probe_runs_by_its_name(shell, session, reader):
    with once_attached(session, reader.read):
        df = shell.run_cell(f"%ebpf syscount -d 1 --pid {reader.pid} --table calls").result

    assert df.set_index("syscall").loc["read", "count"] >= READS


def test_the_receipt_tells_what_was_measured_and_at_what_cost(session, reader):
    with once_attached(session, reader.read):
        df = session.run(source=COUNT_READS, duration=1, pid=reader.pid)

    found = df.attrs["kernelscope"]
    assert found["kernel"]["release"] == os.uname().release
    assert 0.99 < found["duration_s"] < 2
    assert found["lost"] == {}
    assert found["hooks"] == ["tracepoint:syscalls:sys_enter_read=syscalls__sys_enter_read"] or (
        found["hooks"][0].startswith("tracepoint:syscalls:sys_enter_read=")
    )


def test_a_recording_replays_to_the_same_table(session, reader, tmp_path: Path):
    with once_attached(session, reader.read):
        live = session.run(
            source=RECORD_READS, duration=1, pid=reader.pid, record=tmp_path / "reads.ks"
        )

    pd.testing.assert_frame_equal(kernelscope.open(tmp_path / "reads.ks"), live)


def test_the_list_asks_this_kernel(shell):
    listing = shell.run_cell("%ebpf").result

    assert listing.unchecked is None
    assert {entry.name for entry in listing if entry.why_not is None} >= {"syscount", "opensnoop"}


def test_clangs_error_is_shown_at_the_cells_own_line(shell, capsys):
    broken = COUNT_READS.replace("increment(pid)", "increment(pdi)")

    outcome = shell.run_cell(f"%%ebpf -d 1\n{broken}")

    shown = capsys.readouterr().out
    assert isinstance(outcome.error_in_exec, CompileError)
    assert "     5 |     reads.increment(pdi);" in shown
    assert "pdi" in shown.splitlines()[0]
    assert "Traceback" not in shown


def test_the_verifiers_refusal_is_explained_at_the_line_of_c(shell, capsys):
    source = COUNT_READS.replace("reads.increment(pid);", "u64 *n = reads.lookup(&pid); *n += 1;")

    outcome = shell.run_cell(f"%%ebpf -d 1\n{source}")

    shown = capsys.readouterr().out
    assert isinstance(outcome.error_in_exec, VerifierError)
    assert "     5 | " in shown
    assert len(shown.splitlines()) <= 8


def test_a_hook_that_is_not_there_brings_close_matches(session):
    with pytest.raises(AttachError, match="block:block_rq_issue"):
        session.run(
            source="int on_issue(void *ctx) { return 0; }",
            attach=["tracepoint:block:block_rq_isue=on_issue"],
        )


def test_an_interrupt_ends_the_run_early_and_gives_what_there_is(shell, session, reader):
    def read_and_interrupt() -> None:
        reader.read()
        time.sleep(0.3)  # until the shell waits for the result
        os.kill(os.getpid(), signal.SIGINT)

    began = time.monotonic()
    with once_attached(session, read_and_interrupt):
        df = shell.run_cell(f"%%ebpf -d 60 --pid {reader.pid}\n{COUNT_READS}").result

    assert time.monotonic() - began < 20
    assert df["value"].tolist() == [READS + 1]
    assert df.attrs["kernelscope"]["interrupted"]


def test_a_run_in_the_background_is_polled_stopped_and_read(shell, reader):
    run = shell.run_cell(f"%%ebpf -d inf --bg --pid {reader.pid}\n{COUNT_READS}").result
    assert run.running

    reader.read()
    assert run.peek()["value"].tolist() == [READS + 1]
    run.stop()

    assert run.result()["value"].tolist() == [READS + 1]
    assert not run.running


def test_two_runs_at_a_time_do_not_mix(session, reader):
    with (
        session.start(source=COUNT_READS, duration="inf", pid=reader.pid) as first,
        session.start(source=COUNT_READS, duration="inf", pid=os.getpid()) as second,
    ):
        reader.read()

    assert first.result()["key"].tolist() == [reader.pid]
    assert reader.pid not in second.result()["key"].tolist()


def test_tracepoints_and_symbols_are_completed_from_this_machine(session):
    from kernelscope.ui.notebook.completion import hooks

    assert "tracepoint:block:block_rq_issue" in hooks("tracepoint:block:block_rq_i", session)
    assert "uprobe:c:malloc" in hooks("uprobe:c:mallo", session)


def test_what_a_probe_is_to_trace_is_completed_as_it_is_written(session):
    from kernelscope.ui.notebook.completion import complete

    assert session.agent.alive
    before = ["funccount", "--function"]
    assert "c:malloc" in complete(before, "c:mallo", session, cell=False)
    assert "c:free,c:malloc" in complete(before, "c:free,c:mallo", session, cell=False)
    assert "tracepoint:sched:sched_switch" in complete(
        before, "tracepoint:sched:sched_sw", session, cell=False
    )


def command(*arguments: str, **how: Any) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "kernelscope", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **how,
    )


def test_the_command_line_gives_csv_to_a_pipe():
    with command("run", "syscount", "-d", "1", "--table", "calls") as process:
        out, err = process.communicate()

    assert process.returncode == 0, err
    assert "syscall" in out.splitlines()[0].split(",")
    assert len(out.splitlines()) > 2


def test_the_interrupted_command_line_prints_what_there_is(reader):
    with command(
        "run", "-", "-d", "60", "--pid", str(reader.pid), stdin=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        process.stdin.write(COUNT_READS)
        process.stdin.close()
        process.stdin = None
        wait_for_program(process)
        time.sleep(1)  # the client learns of it a moment later; Ctrl-C before that drops the run
        reader.read()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate()

    assert process.returncode == 130, err
    assert out == f"key,value\n{reader.pid},{READS + 1}\n"


def wait_for_program(process: subprocess.Popen[str]) -> None:
    """Wait until a child of the command's agent holds a perf event, that is, has attached."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and process.poll() is None:
        for fd in _fds_below(process.pid):
            if "perf_event" in fd:
                time.sleep(0.3)
                return
        time.sleep(0.05)


def _fds_below(pid: int) -> Iterator[str]:
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        yield from _fds_below(int(child))
        for fd in Path(f"/proc/{child}/fd").glob("*"):
            try:
                yield str(fd.readlink())
            except OSError:
                continue
