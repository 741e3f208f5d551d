"""The client with an agent that is slow, broken, dead or not available."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from kernelscope.errors import (
    AgentDiedError,
    AgentRefusedError,
    AgentUnavailableError,
    VerifierError,
)
from kernelscope.protocol.frames import MAX_LINE, FrameReader, encode_header, send_frame
from kernelscope.tracing import agent_client
from kernelscope.tracing.agent_client import Agent, Channel


@pytest.fixture
def pair() -> Any:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    yield Channel(ours), theirs
    ours.close()
    theirs.close()


def test_frames_come_up_to_the_end(pair: Any) -> None:
    channel, theirs = pair
    send_frame(theirs, {"type": "status"})
    send_frame(theirs, {"type": "end"})
    assert [frame.type for frame in channel.frames()] == ["status"]


def test_raises_the_runs_error_with_its_class(pair: Any) -> None:
    channel, theirs = pair
    error = VerifierError("no", hint="do", line=3)
    send_frame(theirs, {"type": "error", "error": error.to_json()})
    with pytest.raises(VerifierError, match="no") as raised:
        next(channel.frames())
    assert raised.value.details == {"line": 3}


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        encode_header({"type": "status"})[:5],
        encode_header({"type": "batch"}, 100) + b"x" * 99,
        encode_header({"type": "batch"}, 10) + b"x" * 10 + b"half of a frame\n",
    ],
    ids=["nothing", "half a line", "half a payload", "no frame"],
)
def test_a_stream_that_breaks_off_is_a_death_with_what_to_do(pair: Any, sent: bytes) -> None:
    channel, theirs = pair
    theirs.sendall(sent)
    theirs.shutdown(socket.SHUT_WR)
    with pytest.raises(AgentDiedError, match="run it again"):
        list(channel.frames())


def test_stop_and_snapshot_are_sent(pair: Any) -> None:
    channel, theirs = pair
    channel.snapshot()
    channel.stop()
    reader = FrameReader(theirs)
    assert [reader.read().type for _ in range(2)] == ["snapshot", "stop"]  # type: ignore[union-attr]


def test_stop_is_harmless_when_the_run_has_ended(pair: Any) -> None:
    channel, theirs = pair
    theirs.close()
    channel.stop()
    channel.close()
    channel.stop()


def test_closing_ends_the_run_despite_a_forked_child(pair: Any) -> None:
    channel, theirs = pair
    child = os.fork()
    if child == 0:
        time.sleep(30)
        os._exit(0)
    try:
        channel.close()
        assert theirs.recv(1) == b""
    finally:
        os.kill(child, 9)
        os.waitpid(child, 0)


def test_a_forked_child_that_closes_its_copy_does_not_end_the_run(pair: Any) -> None:
    channel, theirs = pair
    child = os.fork()
    if child == 0:
        channel.close()
        os._exit(0)
    os.waitpid(child, 0)
    theirs.setblocking(False)
    with pytest.raises(BlockingIOError):
        theirs.recv(1)


# --- the agent's process -------------------------------------------------------------------------


def with_agent(script: str) -> Agent:
    """An Agent in front of a process that runs `script` with the control socket as fd 0."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    with theirs:
        process = subprocess.Popen([sys.executable, "-c", script], stdin=theirs.fileno())
    return Agent(process, ours)


def test_an_agent_that_answers_nothing_is_reported_after_a_while() -> None:
    agent = with_agent("import time; time.sleep(60)")
    with agent:
        with pytest.raises(AgentDiedError, match="did not answer"):
            agent._ask({"type": "doctor"}, timeout_s=0.05)
        agent._process.kill()


def test_a_request_to_an_agent_that_is_gone_is_a_death() -> None:
    agent = with_agent("")
    agent._process.wait()
    with agent, pytest.raises(AgentDiedError):
        agent.check(["tracepoint:a:b"])
    assert not agent.alive


def test_a_request_too_long_for_the_agent_is_refused_before_it_is_sent() -> None:
    agent = with_agent("import sys; sys.stdin.read()")
    with agent, pytest.raises(AgentRefusedError, match="longer than"):
        agent.check(["x" * MAX_LINE])


def test_a_dismissed_agent_ends_without_a_wait() -> None:
    agent = with_agent("import sys; sys.stdin.read()")
    agent.dismiss()
    assert agent._process.wait(10) == 0
    agent.close()


def test_closing_twice_is_harmless_and_ends_the_process() -> None:
    agent = with_agent("import sys; sys.stdin.read()")
    agent.close()
    agent.close()
    assert not agent.alive


def test_an_agent_of_another_user_that_hangs_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    agent = with_agent("import time; time.sleep(60)")
    process = agent._process

    def refuse() -> None:
        raise PermissionError

    def out_of_patience(timeout: float | None = None) -> int:
        raise subprocess.TimeoutExpired("agent", timeout or 0)

    with monkeypatch.context() as patched:
        patched.setattr(process, "kill", refuse)
        patched.setattr(process, "wait", out_of_patience)
        agent.close()
    process.kill()
    process.wait()


# --- how it is started ---------------------------------------------------------------------------


def as_user(monkeypatch: pytest.MonkeyPatch, sudo: str | None) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(agent_client, "_ambient_capabilities", lambda: 0)
    monkeypatch.setattr(shutil, "which", lambda _: sudo)


def test_has_a_next_step_without_privilege_and_sudo(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    as_user(monkeypatch, None)
    monkeypatch.setattr(agent_client, "_others_can_write", lambda _: False)
    with pytest.raises(AgentUnavailableError, match="no sudo") as raised:
        Agent.start()
    assert "NOPASSWD" in str(raised.value.hint)


def test_no_sudoers_line_for_an_agent_that_others_can_change(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    main = tmp_path / "agent" / "__main__.py"
    main.parent.mkdir()
    main.touch()
    main.parent.chmod(0o777)
    as_user(monkeypatch, None)
    monkeypatch.setattr(agent_client, "_MAIN", main)
    with pytest.raises(AgentUnavailableError) as raised:
        Agent.start()
    assert "NOPASSWD" not in str(raised.value.hint)
    assert "others than root can change" in str(raised.value.hint)


@pytest.mark.parametrize(("mode", "expected"), [(0o755, False), (0o777, True), (0o1777, False)])
def test_a_sticky_folder_protects_what_root_has_in_it(
    tmp_path: Path, mode: int, expected: bool
) -> None:
    if os.geteuid() != 0:
        pytest.skip("folders of others than root count as changeable")
    tmp_path.chmod(mode)
    assert agent_client._others_can_write(tmp_path) == expected


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ("sudo: a password is required", "sudo reports: sudo: a password is required"),
        ("Sorry, user u is not allowed to execute x as root on h.", "not allowed to execute"),
        ("Traceback\nImportError: no bcc", "did not start: ImportError: no bcc"),
        ("", "did not start"),
    ],
)
def test_reports_errors_of_sudo_and_of_the_agent(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, said: str, message: str
) -> None:
    sudo = tmp_path / "sudo"
    sudo.write_text(f"#!/bin/sh\nprintf '%s' '{said}' >&2\nexit 1\n")
    sudo.chmod(0o755)
    as_user(monkeypatch, str(sudo))
    with pytest.raises(AgentUnavailableError, match=message) as raised:
        Agent.start()
    assert raised.value.hint


def test_greeting_an_ended_agent_raises_its_reason(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    sudo = tmp_path / "sudo"
    sudo.write_text("#!/bin/sh\necho 'ImportError: no bcc' >&2\nexit 1\n")
    sudo.chmod(0o755)
    as_user(monkeypatch, str(sudo))
    agent = Agent.launch()
    agent._process.wait()
    with pytest.raises(AgentUnavailableError, match="did not start: ImportError: no bcc"):
        agent.greet()
    assert not agent.alive


def test_privilege_needs_no_sudo(monkeypatch: pytest.MonkeyPatch) -> None:
    as_user(monkeypatch, "/usr/bin/sudo")
    assert agent_client._command("/usr/bin/python3")[:3] == ["/usr/bin/sudo", "-n", "--"]
    monkeypatch.setattr(agent_client, "_ambient_capabilities", lambda: 1 << 38 | 1 << 39)
    assert agent_client._command("/usr/bin/python3")[:2] == ["/usr/bin/python3", "-I"]


def test_elsewhere_than_on_linux_the_error_offers_recordings(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(AgentUnavailableError, match="Linux kernel") as raised:
        Agent.start(python="/usr/bin/python3")
    assert "kernelscope.open" in str(raised.value.hint)
