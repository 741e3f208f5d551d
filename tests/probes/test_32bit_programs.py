"""What the probes show of 32-bit programs, whose system calls have numbers of their own."""

from __future__ import annotations

import os
import subprocess
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import kernelscope
from workloads.probes import program32
from workloads.probes.program32 import EXECVE, OPEN, OPENAT, PAUSE, UNLINK

CALLS = 103
AT_FDCWD = -100 & 0xFFFFFFFF


def runs_32bit_programs() -> bool:
    path = Path(f"/tmp/kernelscope-32bit-{os.getpid()}")
    try:
        return subprocess.run([program32.write(path)], check=False).returncode == 0
    except OSError:
        return False
    finally:
        path.unlink()


pytestmark = [
    pytest.mark.kernel,
    pytest.mark.skipif(not runs_32bit_programs(), reason="the kernel runs no 32-bit programs"),
]


def traced(probe: str, work: Callable[[], object], **options: Any) -> Any:
    with kernelscope.start(probe, duration=60, **options) as run:
        work()
        time.sleep(0.1)
        run.stop()
        return run.result()


@pytest.fixture
def calls(tmp_path: Path) -> Path:
    unlink = (UNLINK, [b"/nonexistent/kernelscope"])
    return program32.write(tmp_path / "ks-calls32", (CALLS, unlink))


def test_syscount_names_calls_by_the_table_of_32_bit_programs(calls: Path):
    found = traced("syscount", lambda: subprocess.run([calls], check=True), comm=calls.name)
    counts = dict(zip(found["calls"]["syscall"], found["calls"]["count"], strict=True))

    assert counts == {"i386:unlink": CALLS}
    errors = found["calls"].set_index("syscall")["errors"]
    assert errors["i386:unlink"] == CALLS


def test_sysslow_names_calls_and_arguments_of_32_bit_programs(calls: Path):
    found = traced("sysslow", lambda: subprocess.run([calls]), comm=calls.name, min_us=0)
    rows = found[found["syscall"] == "i386:unlink"]

    assert len(rows) == CALLS
    assert set(rows["error"]) == {"ENOENT"}
    assert {int(str(text), 16) >> 16 for text in rows["arg0"]} == {0x0804}  # the path's address


def test_execsnoop_shows_who_starts_and_what_is_started_by_32_bit_programs(
    calls: Path, tmp_path: Path
):
    true = program32.write(
        tmp_path / "ks-starts64", (1, (EXECVE, [b"/bin/true", [b"true", b"one two"], 0]))
    )
    other = program32.write(
        tmp_path / "ks-starts32", (1, (EXECVE, [bytes(calls), [b"again", b"-x"], 0]))
    )
    found = traced("execsnoop", lambda: [subprocess.run([p, "1"]) for p in (calls, true, other)])
    mine = found[found["ppid"] == os.getpid()]

    assert mine[["comm", "path", "args"]].values.tolist() == [
        ["ks-calls32", str(calls), f"{calls} 1"],
        ["ks-starts64", str(true), f"{true} 1"],
        ["true", "/bin/true", "true one two"],
        ["ks-starts32", str(other), f"{other} 1"],
        ["ks-calls32", str(calls), "again -x"],
    ]
    assert set(mine["error"]) == {""}


def test_privsnoop_shows_a_32_bit_program_with_a_set_user_id_bit(tmp_path: Path):
    folder = Path(f"/tmp/kernelscope-suid-{os.getpid()}")  # the user must reach it
    folder.mkdir(mode=0o755)
    try:
        program = program32.write(folder / "ks-suid32")
        program.chmod(0o4755)
        found = traced("privsnoop", lambda: subprocess.run([program], user=65534, check=True))
    finally:
        program.unlink()
        folder.rmdir()
    rows = found[found["comm"] == program.name]

    assert rows[["euid_before", "euid", "syscall"]].values.tolist() == [[65534, 0, "execve"]]


def test_opensnoop_shows_opens_of_32_bit_programs_on_request(tmp_path: Path):
    (tmp_path / "conf").mkdir()
    opens = program32.write(
        tmp_path / "ks-opens32",
        (13, (OPEN, [b"/dev/null", os.O_WRONLY])),
        (7, (OPENAT, [AT_FDCWD, b"conf", os.O_DIRECTORY])),
        (5, (OPEN, [b"/nonexistent/kernelscope", 0])),
    )
    options: dict[str, Any] = {"comm": opens.name, "programs": "all", "full": True}
    found = traced("opensnoop", lambda: subprocess.run([opens], cwd=tmp_path), **options)
    counts = found.groupby(["path", "access", "error"]).size().to_dict()

    assert counts == {
        ("/dev/null", "write", ""): 13,
        (f"{tmp_path}/conf", "read", ""): 7,
        ("/nonexistent/kernelscope", "read", "ENOENT"): 5,
    }
    assert (found["duration_us"] > 0).all()


@pytest.mark.parametrize(
    ("options", "warned"), [({}, True), ({"programs": "all"}, False)], ids=["default", "all"]
)
def test_a_run_of_a_32_bit_process_warns_where_its_calls_are_not_seen(
    tmp_path: Path, options: dict[str, Any], warned: bool
):
    program = program32.write(tmp_path / "ks-waits32", (1, (PAUSE, [])))
    with subprocess.Popen([program]) as process:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            traced("opensnoop", lambda: None, pid=process.pid, **options)
        process.kill()
    texts = [str(each.message) for each in caught]

    assert any(f"process {process.pid} is a 32-bit program" in text for text in texts) is warned
