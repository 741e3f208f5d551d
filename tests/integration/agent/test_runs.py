"""Runs as a client may start, control, drop and break them."""

from __future__ import annotations

import dataclasses
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from threading import Thread

import pytest
from integration.support import agent_python, runs
from integration.support.notebook_kernel import alive, becomes, children, maps

from kernelscope.agent.btf import types
from kernelscope.errors import AgentRefusedError, AttachError, KernelScopeError, RunError
from kernelscope.protocol.program import Hook
from kernelscope.tracing.agent_client import Agent

pytestmark = pytest.mark.kernel

ROOT = Path(__file__).parents[3]
WITHIN_S = 1.0


@pytest.fixture
def own_agent() -> Iterator[Agent]:
    with Agent.start() as started:
        yield started


def test_eight_simultaneous_runs_each_count_every_call(agent: Agent) -> None:
    tables = [runs.unique() for _ in range(8)]
    begun = [runs.begin(agent, runs.counting(table)) for table in tables]
    runs.calls(997)
    sent = [runs.finish(*run) for run in begun]
    counted = [one.counts(table) for one, table in zip(sent, tables, strict=True)]
    assert counted == [[997]] * 8
    assert [one.lost for one in sent] == [{}] * 8


def test_each_thread_has_its_own_value_also_in_a_cached_program(agent: Agent) -> None:
    source = """
BPF_TASK_STORAGE(own, u64);
BPF_HASH(reached, u32);
int on_call(void *context) {
    u64 *calls = own.task_storage_get(
        (void *)bpf_get_current_task_btf(), 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
    u32 only = 0;
    if (calls && ++*calls == 97) reached.increment(only);
    return 0;
}"""
    hook = Hook("on_call", ("tracepoint:syscalls:sys_enter_getpgid",))
    asked = dataclasses.replace(runs.program(source), hooks=(hook,))
    for again in (False, True):
        channel = agent.run(asked)
        frames = channel.frames()
        attached = next(frames)
        threads = [Thread(target=runs.calls, args=(97 - short,)) for short in (0, 1, 0, 1, 0)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        sent = runs.finish(channel, frames)
        assert sent.counts("reached") == [3]
        assert sent.lost == {}
        assert attached.header["cached"] or not again


def test_attached_message_has_the_kernels_enum_names(agent: Agent) -> None:
    asked = runs.counting(runs.unique(), duration_ns=1, enums=("skb_drop_reason", "no_such_enum"))
    channel = agent.run(asked)
    attached = next(frame for frame in channel.frames() if frame.type == "attached")
    channel.close()
    blob = types.Btf(types.read())
    (number,) = blob.find("skb_drop_reason", types.ENUM)
    words = {str(value): word for word, value in blob.enumerators(number)}
    assert attached.header["enums"] == {"skb_drop_reason": words, "no_such_enum": {}}


def test_run_without_a_duration_continues_until_stopped(agent: Agent) -> None:
    table = runs.unique()
    channel, frames = runs.begin(agent, runs.counting(table, duration_ns=0))
    runs.calls(53)
    runs.pause(0.3)
    assert table in maps()
    runs.calls(59)
    sent = runs.finish(channel, frames)
    assert sent.counts(table) == [112]
    assert sent.receipt["exit"] == "stopped"
    assert sent.receipt["duration_s"] >= 0.3


def test_run_ends_after_its_duration(agent: Agent) -> None:
    table = runs.unique()
    begun = runs.begin(agent, runs.counting(table, duration_ns=200_000_000))
    runs.calls(61)
    sent = runs.rest(*begun)
    assert sent.counts(table) == [61]
    assert sent.receipt["exit"] == "duration"
    assert sent.receipt["duration_s"] >= 0.2


def test_program_without_tables_runs(agent: Agent) -> None:
    source = "TRACEPOINT_PROBE(syscalls, sys_enter_getpgid) { return 0; }"
    sent = runs.rest(*runs.begin(agent, runs.program(source, duration_ns=50_000_000)))
    assert sent.of("map") == sent.of("batch") == []
    assert sent.receipt["exit"] == "duration"


def test_snapshot_reads_the_current_maps(agent: Agent) -> None:
    table = runs.unique()
    channel, frames = runs.begin(agent, runs.counting(table))
    runs.calls(67)
    channel.snapshot()
    taken = runs.Sent([next(frame for frame in frames if frame.type == "map")])
    assert taken.counts(table, final=False) == [67]
    runs.calls(71)
    assert runs.finish(channel, frames).counts(table) == [138]


def test_maps_are_read_at_intervals(agent: Agent) -> None:
    table = runs.unique()
    asked = runs.counting(table, interval_ns=20_000_000, duration_ns=300_000_000)
    begun = runs.begin(agent, asked)
    runs.calls(73)
    sent = runs.rest(*begun)
    readings = sent.counts(table, final=False)
    assert len(readings) >= 5
    assert readings == sorted(readings)
    assert readings[-1] == 73
    assert sent.counts(table) == [73]


def test_only_requested_tables_are_read(agent: Agent) -> None:
    shown, hidden = runs.unique(), runs.unique()
    source = f"""
BPF_HASH({shown}, u32);
BPF_HASH({hidden}, u32);
TRACEPOINT_PROBE(syscalls, sys_enter_getpgid) {{
    u32 key = 0;
    {shown}.increment(key);
    {hidden}.increment(key);
    return 0;
}}"""
    begun = runs.begin(agent, runs.program(source, tables=(shown,), interval_ns=10_000_000))
    runs.calls(79)
    runs.pause(0.1)
    sent = runs.finish(*begun)
    assert sent.counts(shown) == [79]
    assert {frame.header["table"] for frame in sent.of("map")} == {shown}


def test_unknown_table_is_refused_with_the_known_ones(agent: Agent) -> None:
    table = runs.unique()
    with pytest.raises(AgentRefusedError, match="no table 'other'") as refused:
        runs.begin(agent, runs.counting(table, tables=("other",)))
    assert table in str(refused.value.hint)


def test_policy_limit_ends_a_run_until_stopped() -> None:
    receipt = agent_python.call("run_cases", "under_policy", {"max_duration_s": 1}, 0)
    assert receipt["exit"] == "duration"
    assert 1.0 <= receipt["duration_s"] < 2.0


# --- the client disappears -----------------------------------------------------------------------

FLOOD = """
struct wide_t {{ u64 words[32]; }};
BPF_RINGBUF_OUTPUT({table}, 64);
TRACEPOINT_PROBE(syscalls, sys_enter_getpgid) {{
    struct wide_t *wide = {table}.ringbuf_reserve(sizeof(struct wide_t));
    if (!wide) return 0;
    __builtin_memset(wide, 0, sizeof(*wide));
    {table}.ringbuf_submit(wide, 0);
    return 0;
}}"""


@pytest.mark.parametrize(
    "stage", ["at once", "while it compiles", "attached", "behind", "at the end"]
)
def test_dropped_run_leaves_nothing(own_agent: Agent, stage: str) -> None:
    table = runs.unique()
    cold = f"// {time.time_ns()}\n"
    channel = own_agent.run(runs.program(cold + FLOOD.format(table=table)))
    if stage == "while it compiles":
        time.sleep(0.1)
    if stage in ("attached", "behind", "at the end"):
        assert next(channel.frames()).type == "attached"
    if stage in ("behind", "at the end"):
        runs.calls(20_000)  # 5 MB, which nobody takes
    if stage == "at the end":
        channel.stop()
        time.sleep(0.3)
        assert children(own_agent.pid)  # it waits for someone to take what it has
    channel.close()
    patience = 5 * WITHIN_S if stage in ("at once", "while it compiles") else WITHIN_S
    assert becomes(lambda: children(own_agent.pid) == [], patience)
    assert becomes(lambda: table not in maps(), WITHIN_S)
    assert runs.finish(*runs.begin(own_agent, runs.counting(runs.unique()))).lost == {}


_NOTEBOOK = """
import json, os, sys, time
sys.path.insert(0, sys.argv[1])
from kernelscope.tracing.agent_client import Agent
from kernelscope.protocol.program import Program
agent = Agent.start()
channel = agent.run(Program("test", sys.argv[2]))
next(channel.frames())
child = os.fork()
if child == 0:
    time.sleep(30)
    os._exit(0)
print(json.dumps([agent.info["pid"], child]), flush=True)
time.sleep(30)
"""


def test_killed_notebook_leaves_nothing_although_its_forked_child_lives() -> None:
    table = runs.unique()
    command = [sys.executable, "-c", _NOTEBOOK, str(ROOT), runs.counting(table).source]
    notebook = subprocess.Popen(command, stdout=subprocess.PIPE)
    with notebook:
        assert notebook.stdout is not None
        agent, child = json.loads(notebook.stdout.readline())
        try:
            assert table in maps()
            notebook.kill()
            assert becomes(lambda: table not in maps() and not alive(agent), WITHIN_S)
            assert alive(child)
        finally:
            os.kill(child, signal.SIGKILL)


def marked(mark: str) -> list[str]:
    """The processes that were started with `mark` in their environment."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if mark.encode() in (process / "environ").read_bytes():
                found.append(process.name)
    return found


def test_command_line_leaves_nothing(tmp_path: Path) -> None:
    table = runs.unique()
    file = tmp_path / "mine.c"
    file.write_text(runs.counting(table).source)
    command = [sys.executable, "-m", "kernelscope", "run", str(file), "-d", "0.2", "--quiet"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env={**os.environ, "MARK": table}) as at:
        assert becomes(lambda: table in maps(), 30)
        assert len(marked(table)) >= 2
        assert at.wait(30) == 0
    assert table not in maps()
    assert marked(table) == []


def test_end_of_a_forked_child_does_not_end_its_parents_run(agent: Agent) -> None:
    table = runs.unique()
    channel, frames = runs.begin(agent, runs.counting(table))
    child = os.fork()
    if child == 0:
        channel.close()
        os._exit(0)
    os.waitpid(child, 0)
    runs.calls(83)
    assert runs.finish(channel, frames).counts(table) == [83]


# --- what breaks a run ---------------------------------------------------------------------------


@pytest.mark.parametrize("line", [b"garbage\n", b"[1]\n", b"x" * 10_000])
def test_malformed_command_ends_the_run_and_detaches(own_agent: Agent, line: bytes) -> None:
    table = runs.unique()
    channel, frames = runs.begin(own_agent, runs.counting(table))
    channel._sock.sendall(line)
    with pytest.raises(KernelScopeError):
        list(frames)
    assert becomes(lambda: table not in maps(), WITHIN_S)
    channel.close()


def test_unknown_command_is_ignored(agent: Agent) -> None:
    table = runs.unique()
    channel, frames = runs.begin(agent, runs.counting(table))
    channel._sock.sendall(b'{"type":"dance"}\n')
    runs.calls(89)
    assert runs.finish(channel, frames).counts(table) == [89]


def test_error_arrives_after_earlier_frames(own_agent: Agent) -> None:
    table = runs.unique()
    channel, frames = runs.begin(own_agent, runs.program(FLOOD.format(table=table)))
    runs.calls(10_007)  # more than the socket takes: a frame is half sent
    runs.pause(0.2)
    channel._sock.sendall(b"garbage\n")
    sent = runs.Sent()
    with pytest.raises(AgentRefusedError, match="not JSON"):
        sent.frames.extend(frames)
    assert 0 < sent.records <= 10_007
    channel.close()


def test_stop_during_compilation_ends_the_run_at_once(own_agent: Agent) -> None:
    macros = [f"#define M{i} M{i - 1} + M{i - 1}" for i in range(1, 30)]
    source = "\n".join(["#define M0 1", *macros, "int f(void *ctx) { return M29; }"])
    channel = own_agent.run(runs.program(source))
    time.sleep(0.5)
    channel.stop()
    began = time.monotonic()
    with pytest.raises(RunError, match="while its program was compiled"):
        list(channel.frames())
    assert time.monotonic() - began < WITHIN_S
    channel.close()
    assert becomes(lambda: children(own_agent.pid) == [], WITHIN_S)


def test_too_many_open_files_is_reported(own_agent: Agent) -> None:
    table = runs.unique()
    calls = ["getpgid", "getsid", "setsid", "getuid", "getgid", "geteuid", "getegid", "getppid"]
    probes = "".join(
        f"TRACEPOINT_PROBE(syscalls, sys_enter_{name}) {{ {table}.increment(0); return 0; }}\n"
        for name in calls
    )
    source = f"BPF_ARRAY({table}, u64, 1);\n{probes}"
    runs.finish(*runs.begin(own_agent, runs.program(source)))  # it is in the cache from here on
    used = max(int(fd.name) for fd in Path(f"/proc/{own_agent.pid}/fd").iterdir())
    before = resource.prlimit(own_agent.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(own_agent.pid, resource.RLIMIT_NOFILE, (used + 18, before[1]))
    with pytest.raises(KernelScopeError) as raised:
        runs.begin(own_agent, runs.program(source))
    assert raised.value.details["errno"] == 24
    assert "too many open files" in raised.value.message.lower()
    assert "fewer hooks" in str(raised.value.hint)
    assert becomes(lambda: table not in maps(), WITHIN_S)
    resource.prlimit(own_agent.pid, resource.RLIMIT_NOFILE, before)
    runs.finish(*runs.begin(own_agent, runs.program(source)))


def test_refused_hook_leaves_no_other_attached(own_agent: Agent) -> None:
    table = runs.unique()
    source = runs.counting(table).source + "int on_none(void *ctx) { return 0; }"
    source += "\nTRACEPOINT_PROBE(syscalls, sys_enter_nonesuch) { return 0; }"
    with pytest.raises(KernelScopeError):
        runs.begin(own_agent, runs.program(source))
    assert becomes(lambda: children(own_agent.pid) == [] and table not in maps(), WITHIN_S)


def test_thirty_runs_leave_the_agent_unchanged(own_agent: Agent) -> None:
    table = runs.unique()
    asked = runs.counting(table, duration_ns=1)

    def fds() -> int:
        assert becomes(lambda: children(own_agent.pid) == [], WITHIN_S)
        return sum(1 for _ in Path(f"/proc/{own_agent.pid}/fd").iterdir())

    runs.rest(*runs.begin(own_agent, asked))
    before = fds()
    for _ in range(30):
        runs.rest(*runs.begin(own_agent, asked))
    with pytest.raises(AttachError):
        runs.begin(own_agent, runs.program("int f(void *ctx) { return 0; }"))
    assert fds() == before
    assert becomes(lambda: table not in maps(), WITHIN_S)


def test_programs_run_with_a_full_disk() -> None:
    mount = "mount -t tmpfs -o size=4k none /var/cache && mount -t tmpfs -o size=4k none /tmp"
    under = ["unshare", "--mount", "sh", "-c", f'{mount} && exec "$@"', "sh"]
    source = f"// {time.time_ns()}\n" + runs.counting(runs.unique()).source
    receipt = agent_python.call("run_cases", "run_source", source, under=under)
    assert receipt["exit"] == "duration"


def test_agent_ends_when_its_control_socket_is_shut_down(own_agent: Agent) -> None:
    table = runs.unique()
    channel, _ = runs.begin(own_agent, runs.counting(table))
    own_agent._control.shutdown(socket.SHUT_WR)
    assert becomes(lambda: not own_agent.alive and table not in maps(), WITHIN_S)
    channel.close()


def test_times_are_right_in_a_time_namespace() -> None:
    under = ("unshare", "--time", "--monotonic", "86400", "--fork")
    if subprocess.run([*under, "true"], capture_output=True).returncode:
        pytest.skip("this kernel has no time namespaces")
    age = agent_python.call("run_cases", "age_of_newest_event", under=under)
    assert 0 <= age < 1
