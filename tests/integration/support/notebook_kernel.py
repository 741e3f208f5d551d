"""A real IPython kernel, as Jupyter starts one, with KernelScope loaded; and what it leaves."""

from __future__ import annotations

import os
import re
import signal
import struct
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from jupyter_client.manager import KernelManager

from kernelscope.agent.kernel import syscalls

ROOT = Path(__file__).parents[3]
PATIENCE_S = 30.0
_MAP_GET_NEXT_ID, _MAP_GET_FD_BY_ID = 12, 14
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


class Notebook:
    """One kernel. `run` sends a cell, `answer` waits for all that it shows."""

    def __init__(self, folder: Path) -> None:
        self.manager: Any = KernelManager()
        scratch = folder / "scratch"
        scratch.mkdir(exist_ok=True)
        self.scratch = scratch
        environment = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "TMPDIR": str(scratch),
            "IPYTHONDIR": str(folder / "ipython"),
        }
        self.manager.start_kernel(env=environment, cwd=str(folder), stderr=subprocess.DEVNULL)
        self.client: Any = self.manager.client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=PATIENCE_S)
        self.do("%load_ext kernelscope\n%config KernelScope.progress = False")
        # As in a notebook that has been open a while: the agent is up and decoding is imported.
        self.agent = self._number("agent.pid")

    @property
    def pid(self) -> int:
        """The kernel's own process."""
        return self._number("os.getpid()", start="import os")

    def run(self, code: str) -> str:
        """Send a cell; returns its number for `answer`."""
        return str(self.client.execute(code))

    def answer(self, sent: str, patience_s: float = PATIENCE_S) -> tuple[str, str]:
        """Wait for a cell's end: its status ("ok", or the error's class) and what it showed.

        Raises queue.Empty where nothing is heard of it for `patience_s`.
        """
        shown, status, before = [], "", ""  # type: ignore[var-annotated]
        while True:
            message = self.client.get_iopub_msg(timeout=patience_s)
            content = message["content"]
            if message["parent_header"].get("msg_id") != sent:
                continue
            last, before = before, message["msg_type"]
            if message["msg_type"] == "stream" == last:
                shown[-1] += content["text"]  # a line may come in two messages
            elif message["msg_type"] == "stream":
                shown.append(content["text"])
            elif message["msg_type"] == "execute_result":
                shown.append(content["data"]["text/plain"])
            elif message["msg_type"] == "error":
                status = content["ename"]
                shown += content["traceback"]
            elif message["msg_type"] == "status" and content["execution_state"] == "idle":
                return status or "ok", _COLOURS.sub("", "\n".join(shown))

    def do(self, code: str) -> str:
        """Run a cell that must succeed; returns what it showed."""
        status, shown = self.answer(self.run(code))
        if status != "ok":
            raise AssertionError(f"{code}\n{shown}")
        return shown

    def interrupt(self) -> None:
        """Do what the stop button does."""
        self.manager.interrupt_kernel()

    def current_agent(self) -> int:
        """The agent's process now; a new one is started where it is gone."""
        return self._number("agent.pid")

    def close(self) -> None:
        """End the kernel, however it fares."""
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)
        self.manager.cleanup_resources()

    def _number(self, expression: str, start: str = "") -> int:
        start = start or "from kernelscope.tracing.session import default_session as session"
        if expression.startswith("agent"):
            expression = f"session().{expression}"
        return int(self.do(f"{start}\nprint({expression})"))


# --- what is left --------------------------------------------------------------------------------


def maps() -> set[str]:
    """The names of all maps in the kernel. A program keeps its maps: no map, no program."""
    return set(_map_names())


def _map_names() -> Iterator[str]:
    attr = bytearray(16)
    while True:
        try:
            syscalls.bpf(_MAP_GET_NEXT_ID, attr)
        except FileNotFoundError:
            return
        (found,) = struct.unpack_from("=I", attr, 4)
        struct.pack_into("=I", attr, 0, found)
        try:
            fd = syscalls.bpf(_MAP_GET_FD_BY_ID, bytearray(struct.pack("=III", found, 0, 0)))
        except FileNotFoundError:
            continue  # it went away meanwhile
        try:
            yield syscalls.map_info(fd).name
        finally:
            os.close(fd)


def children(pid: int) -> list[int]:
    """The processes that `pid` has started and not yet waited for."""
    try:
        return [int(word) for word in _children_file(pid).read_text().split()]
    except OSError:
        return []


def _children_file(pid: int) -> Path:
    return Path(f"/proc/{pid}/task/{pid}/children")


def alive(pid: int) -> bool:
    """Whether a process is there and has not ended."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in "ZX"


def kill(pid: int) -> None:
    """Send SIGKILL."""
    os.kill(pid, signal.SIGKILL)


def becomes(condition: Callable[[], bool], within_s: float) -> bool:
    """Wait until a condition holds; False where it still does not after `within_s`."""
    end = time.monotonic() + within_s
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.01)
    return condition()


# Not those of bpftrace cells, guests and fresh roots: another user's may be there, and a notebook
# that is tested makes none.
_OURS = re.compile(r"kernelscope(?!-test|-bpftrace|-vm)|^ks(?!-fresh)[-_.]", re.I)
_SHARED = ("/tmp", "/var/tmp", "/dev/shm", "/run", "/run/kernelscope")


def files() -> set[str]:
    """The files of ours in the places for temporary files that everyone shares."""
    found: set[str] = set()
    for folder in map(Path, _SHARED):
        if folder.is_dir():
            found |= {str(path) for path in folder.iterdir() if _OURS.search(path.name)}
    return found
