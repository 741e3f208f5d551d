"""An ordinary user's agent, through sudo: it starts, runs, and ends with its client.

sudo's configuration is made for each test and seen by its processes alone (a mount namespace).
"""

from __future__ import annotations

import json
import os
import pwd
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from integration.support import runs
from integration.support.notebook_kernel import alive, becomes, maps

pytestmark = pytest.mark.kernel

ROOT = Path(__file__).parents[3]
AGENT = f"/usr/bin/python3 -I {ROOT}/kernelscope/agent/__main__.py"
USER = "nobody"
WITHIN_S = 1.0


def _why_not() -> str | None:
    if os.geteuid() != 0:
        return "setting up a separate sudo needs root"
    missing = [name for name in ("sudo", "setpriv", "unshare") if shutil.which(name) is None]
    if missing:
        return f"{missing[0]} is not installed"
    if USER not in {user.pw_name for user in pwd.getpwall()}:
        return f"there is no user {USER}"
    own_files = [
        "setpriv",
        f"--reuid={USER}",
        "--clear-groups",
        "test",
        "-r",
        f"{ROOT}/kernelscope",
    ]
    if subprocess.run(own_files, capture_output=True).returncode:
        return f"the user {USER} may not read this repository"
    tried = subprocess.run([*_under("root ALL=(ALL) ALL"), "true"], capture_output=True, text=True)
    return f"sudo cannot be set up here: {tried.stderr.strip()}" if tried.returncode else None


def _under(*rules: str) -> list[str]:
    """A command that runs another as an ordinary user, with a sudo that has these rules alone."""
    text = "\n".join(["Defaults !fqdn", *rules, ""])
    script = (
        "set -e; umask 0227; mount -t tmpfs none /mnt; printf '%s' \"$1\" > /mnt/sudoers; shift;"
        " visudo -cqf /mnt/sudoers; mount --bind /mnt/sudoers /etc/sudoers; umount -l /mnt;"
        f' exec setpriv --reuid={USER} --regid={pwd.getpwnam(USER).pw_gid} --clear-groups "$@"'
    )
    return ["unshare", "--mount", "sh", "-c", script, "sh", text]


needs_sudo = pytest.mark.skipif(
    (_reason := _why_not()) is not None, reason=_reason or "sudo can be set up"
)
ALLOWED = f"{USER} ALL=(root) NOPASSWD: {AGENT}"


class Notebook:
    """An ordinary user's process with an agent and one run."""

    def __init__(self, table: str, *rules: str) -> None:
        source = runs.counting(table).source
        script = str(Path(__file__).parents[1] / "support" / "sudo_notebook.py")
        self.process = subprocess.Popen(
            [*_under(*rules), "/usr/bin/python3", "-I", script, str(ROOT), source],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd="/",
        )
        self.began = self.heard()

    def heard(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        return dict(json.loads(self.process.stdout.readline()))

    def say(self, word: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{word}\n")
        self.process.stdin.flush()

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def table() -> str:
    return runs.unique()


@pytest.fixture(params=["as it comes", "with a terminal of its own"])
def notebook(request: pytest.FixtureRequest, table: str) -> Iterator[Notebook]:
    terminal = ["Defaults use_pty"] if "terminal" in request.param else []
    made = Notebook(table, *terminal, ALLOWED)
    yield made
    made.close()


@needs_sudo
def test_agent_is_root_and_the_notebook_is_not(notebook: Notebook, table: str) -> None:
    assert notebook.began["uid"] == pwd.getpwnam(USER).pw_uid
    assert notebook.began["agent_uid"] == 0
    assert table in maps()
    notebook.say("stop")
    assert notebook.heard() == {"exit": "stopped"}
    assert notebook.heard() == {"alive": False}
    assert becomes(lambda: table not in maps(), WITHIN_S)


@needs_sudo
def test_ctrl_c_in_the_terminal_reaches_only_the_notebook(notebook: Notebook, table: str) -> None:
    os.kill(notebook.began["agent"], signal.SIGINT)
    runs.pause(0.2)
    assert table in maps()
    notebook.say("stop")
    assert notebook.heard() == {"exit": "stopped"}


@needs_sudo
@pytest.mark.parametrize("killed", ["notebook", "sudo", "agent"])
def test_kill_9_of_any_process_leaves_nothing(notebook: Notebook, table: str, killed: str) -> None:
    pids = {"notebook": notebook.process.pid, **notebook.began}
    os.kill(pids[killed], signal.SIGKILL)
    if killed == "sudo":  # the agent is whole: it ends with its notebook
        notebook.close()
    assert becomes(lambda: table not in maps() and not alive(pids["agent"]), WITHIN_S)
    assert becomes(lambda: killed == "agent" or not alive(pids["sudo"]), WITHIN_S)


@needs_sudo
@pytest.mark.parametrize(
    ("rule", "why"),
    [
        (f"{USER} ALL=(root) {AGENT}", "a password is required"),
        ("root ALL=(ALL) ALL", "a password is required"),
        (f"Defaults requiretty\n{ALLOWED}", "tty"),
    ],
    ids=["password", "no rule", "requires a terminal"],
)
def test_sudo_refusal_is_quoted_with_the_sudoers_rule(table: str, rule: str, why: str) -> None:
    notebook = Notebook(table, *rule.split("\n"))
    notebook.close()
    assert notebook.began["error"] == "AgentUnavailableError"
    assert "sudo reports: " in notebook.began["message"]
    assert why in notebook.began["message"]
    assert f"NOPASSWD: {AGENT}" in notebook.began["hint"]
