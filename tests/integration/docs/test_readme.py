"""Every example in the README does what it stands for, with shorter times than a reader would give.

A fence's text, a table's commands and indented lines are taken from the README as it is.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from IPython.core.interactiveshell import InteractiveShell

from kernelscope.agent.server import policy
from kernelscope.tracing.session import Session
from kernelscope.ui.notebook import magics

pytestmark = pytest.mark.kernel

ROOT = Path(__file__).resolve().parents[3]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BODIES = {  # what stands below a line that the tables show alone
    "%%probe": "sum(range(1009))",
    "%%bpftrace": "BEGIN { @calls[pid] = count(); exit(); }",
    "on_malloc": "int on_malloc(void *ctx) { return 0; }",
    "reads": re.findall(r"```c\n%%ebpf[^\n]*\n(.*?)```", README, re.DOTALL)[0],
}


def fences(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.DOTALL | re.MULTILINE)


def indented(section: str) -> list[str]:
    """The lines of a section that are set as code by their indent."""
    text = README.split(f"\n## {section}\n")[1].partition("\n## ")[0]
    return [line.strip() for line in text.splitlines() if line.startswith("    ") and line.strip()]


def in_tables(section: str) -> list[str]:
    """What the first column of a section's own table gives to type, in order."""
    text = README.split(f"\n## {section}\n")[1].partition("\n## ")[0].partition("<!--")[0]
    rows = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `")]
    return [code for row in rows for code in re.findall(r"`([^`]+)`", row)]


def shorter(text: str) -> str:
    text = re.sub(r"-d \d+", "-d 1", text)
    text = re.sub(r"duration=\d+", "duration=1", text)
    return text.replace('"vda"', f'"{a_disk()}"')


def a_disk() -> str:
    disks = sorted(path.name for path in Path("/sys/block").iterdir())
    return next(name for name in disks if not name.startswith(("loop", "ram", "zram")))


@pytest.fixture
def shell(in_tmp: Path) -> Iterator[InteractiveShell]:
    (in_tmp / "reads.c").write_text(BODIES["reads"])
    InteractiveShell.clear_instance()
    made = InteractiveShell.instance()
    with Session() as session:
        made.register_magics(magics.KernelScope(made, session))
        yield made
        made.reset()
    InteractiveShell.clear_instance()


@pytest.fixture(autouse=True)
def busy_disk(in_tmp: Path) -> Iterator[None]:
    """Something to see for the probes that the README shows."""
    over = threading.Event()

    def write() -> None:
        with (in_tmp / "written").open("wb", buffering=0) as file:
            while not over.wait(0.01):
                file.write(bytes(4096))
                os.fsync(file.fileno())
                file.seek(0)

    thread = threading.Thread(target=write)
    thread.start()
    yield
    over.set()
    thread.join()


def do(shell: InteractiveShell, code: str) -> object:
    outcome = shell.run_cell(shorter(code))
    outcome.raise_error()
    return outcome.result


def test_the_cells_run(shell: InteractiveShell):
    cells = [
        fence.replace("%load_ext kernelscope\n", "")  # the shell has it, with its own session
        for fence in [*fences("python"), *fences("c")]
        if "%" in fence
    ]
    assert len(cells) == 2
    for cell in cells:
        do(shell, cell)

    assert len(shell.user_ns["bio"])
    assert list(shell.user_ns["reads"].columns) == ["key", "value"]


def test_what_the_table_of_commands_shows_runs(shell: InteractiveShell):
    commands = in_tables("In a notebook")
    assert len(commands) >= 6
    do(shell, "%ebpf biolatency -d 1 -o bio")
    do(shell, "%ebpf syscount -d 1 --table latency -o before")
    do(shell, "after = before")
    do(shell, "%ebpf syscount -d 1 --interval 250ms --table calls -o counts")
    opening = "for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15; do ls -l / >/dev/null; sleep 0.1; done"
    with subprocess.Popen(["sh", "-c", opening]):
        do(shell, "%ebpf opensnoop statsnoop -d 1 -o both")
    do(shell, "opens, stats = both['opensnoop'], both['statsnoop']")
    for command in commands:
        if "%%bpftrace" in command and shutil.which("bpftrace") is None:
            continue  # a machine may do without
        body = next((BODIES[name] for name in BODIES if name in command), "")
        limit = " -d 1" if command.startswith("%%ebpf") else ""
        do(shell, f"{command}{limit}\n{body}" if body else command)

    run = shell.user_ns["run"]
    assert run.peek() is not None
    run.stop()
    assert "path" in run.result()


def test_the_python_runs(shell: InteractiveShell, capsys: pytest.CaptureFixture[str]):
    (code,) = [fence for fence in fences("python") if "import kernelscope" in fence]
    do(shell, code)

    assert shell.user_ns["bio"].attrs["kernelscope"]["probe"] == "biolatency"
    assert "duration_us" in capsys.readouterr().out


@pytest.mark.parametrize("command", indented("From a terminal"))
def test_the_commands_run(command: str, in_tmp: Path):
    (in_tmp / "reads.c").write_text(BODIES["reads"])
    tokens = shorter(command).split()
    assert tokens[0] == "kernelscope"

    done = subprocess.run(
        [sys.executable, "-m", *tokens],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout or "--csv" in tokens
    if "--csv" in tokens:
        assert Path("bio.csv").read_text().count("\n") > 1


def test_the_policy_is_one_that_the_agent_takes(tmp_path: Path):
    (text,) = [line for line in indented("Security") if line.startswith("{")]
    path = tmp_path / "agent.json"
    path.write_text(text)
    path.chmod(0o644)

    assert policy.load(path).source == "builtin"
