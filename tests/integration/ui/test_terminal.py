"""The command on a real terminal: rows as they happen, bars, Ctrl-C, hostile file names."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.kernel

OPENS = 101
# Opens a file again and again until its standard input closes.
OPENER = """
import os, select, sys
while not select.select([sys.stdin], [], [], 0.01)[0]:
    for _ in range(11):
        os.close(os.open(sys.argv[1], os.O_RDONLY))
"""


class Terminal:
    """A command on a pseudo terminal of 120 columns."""

    def __init__(self, *arguments: str) -> None:
        own, other = pty.openpty()
        self.shown = ""
        self._own = own
        self.process = subprocess.Popen(
            [sys.executable, "-m", "kernelscope", *arguments],
            stdin=other,
            stdout=other,
            stderr=other,
            start_new_session=True,
            env={**os.environ, "COLUMNS": "120", "LINES": "40"},
        )
        os.close(other)

    def read_until(self, pattern: str, timeout_s: float = 60) -> re.Match[str]:
        """Return the first match in what is shown, as soon as it is there."""
        deadline = time.monotonic() + timeout_s
        while (found := re.search(pattern, self.shown)) is None:
            assert time.monotonic() < deadline, self.shown[-2000:]
            self._read()
        return found

    def _read(self) -> None:
        if select.select([self._own], [], [], 0.1)[0]:
            try:
                self.shown += os.read(self._own, 65536).decode("utf-8", "replace")
            except OSError:  # the command has ended
                time.sleep(0.05)

    def interrupt(self) -> int:
        """Press Ctrl-C and return the exit code."""
        self.process.send_signal(signal.SIGINT)
        deadline = time.monotonic() + 60
        while self.process.poll() is None and time.monotonic() < deadline:
            self._read()
        while select.select([self._own], [], [], 0)[0]:
            before = len(self.shown)
            self._read()
            if len(self.shown) == before:
                break
        os.close(self._own)
        return self.process.wait(1)


@pytest.fixture
def hostile_file(tmp_path: Path) -> Path:
    path = tmp_path / "a\x1b]0;owned\x07\x1b[2Jb\u202etxt"
    path.touch()
    return path


def test_rows_appear_while_the_run_goes_on_and_no_name_acts(hostile_file: Path) -> None:
    command = [sys.executable, "-c", OPENER, str(hostile_file)]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as opener:
        terminal = Terminal("run", "opensnoop", "-d", "inf", "--pid", str(opener.pid))
        try:
            terminal.read_until(r"u202etxt")
            assert terminal.process.poll() is None
        finally:
            code = terminal.interrupt()
            assert opener.stdin is not None
            opener.stdin.close()
    assert code == 130
    assert "time" in terminal.shown.splitlines()[0] or "path" in terminal.shown
    assert "\\x1b]0;owned\\x07\\x1b[2Jb\\u202etxt" in terminal.shown
    assert "\x1b]" not in terminal.shown
    assert "\x1b[2J" not in terminal.shown
    assert "\u202e" not in terminal.shown
    assert re.search(r"… [\d,]+ rows", terminal.shown)


def test_a_histogram_has_bars_and_percentiles() -> None:
    terminal = Terminal("run", "syscount", "-d", "1", "--pid", str(os.getpid()), "--quiet")
    deadline = time.monotonic() + 60
    while terminal.process.poll() is None and time.monotonic() < deadline:
        os.getppid()
        terminal._read()
    terminal.interrupt()
    assert re.search(r"[\d,]+ events?, p50 .*, p90 .*, p99 ", terminal.shown)
    assert "█" in terminal.shown


def test_a_live_view_is_drawn_again_until_ctrl_c() -> None:
    terminal = Terminal("live", "syscount", "--pid", str(os.getpid()))
    terminal.read_until(r"syscount: running, [2-9] s")
    assert terminal.interrupt() == 0
    assert "syscount: done" in terminal.shown
