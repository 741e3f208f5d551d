"""Every example in the README and the reference runs, with shorter durations.

Fenced code, commands in tables and indented lines are taken from the documents as they are.
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
REFERENCE = (ROOT / "docs" / "reference.md").read_text(encoding="utf-8")
RECIPES = (ROOT / "docs" / "recipes.md").read_text(encoding="utf-8")
PERMISSIONS = (ROOT / "docs" / "permissions.md").read_text(encoding="utf-8")
# Each table of commands: its document and section.
TABLES = {
    "questions": (README, "More questions"),
    "notebook": (README, "In a notebook"),
    "magics": (REFERENCE, "Magics"),
    "results": (REFERENCE, "Results"),
}
BODIES = {  # the rest of a cell of which a table shows the first line
    "%%probe": "sum(range(1009))",
    "%%bpftrace": "BEGIN { @calls[pid] = count(); exit(); }",
    "on_malloc": "int on_malloc(void *ctx) { return 0; }",
    "reads": re.findall(r"```c\n%%ebpf[^\n]*\n(.*?)```", README, re.DOTALL)[0],
}


def fences(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.DOTALL | re.MULTILINE)


def section_of(text: str, section: str) -> str:
    return text.split(f"\n## {section}\n")[1].partition("\n## ")[0]


def indented(text: str) -> list[str]:
    """The lines that are set as code by their indent."""
    return [line.strip() for line in text.splitlines() if line.startswith("    ") and line.strip()]


def in_tables(section: str) -> list[str]:
    """The commands in the first column with code of a section's own table, in order."""
    rows = [
        line.split("|")[1:-1] for line in section.partition("<!--")[0].splitlines() if "|" in line
    ]
    cells = [next((cell for cell in row if "`" in cell), "") for row in rows]
    return [code for cell in cells for code in re.findall(r"`([^`]+)`", cell)]


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


@pytest.mark.skipif(shutil.which("bpftrace") is None, reason="bpftrace is not installed")
def test_the_bpftrace_script_runs(shell: InteractiveShell):
    (cell,) = fences("text")
    do(shell, cell)

    assert len(shell.user_ns["calls"])


@pytest.mark.parametrize("table", TABLES)
def test_the_commands_of_a_table_run(table: str, shell: InteractiveShell):
    commands = in_tables(section_of(*TABLES[table]))
    assert len(commands) >= 4
    prepare_results(shell)
    for command in commands:
        if "%%bpftrace" in command and shutil.which("bpftrace") is None:
            continue
        body = next((BODIES[name] for name in BODIES if name in command), "")
        limit = " -d 1" if command.startswith("%%ebpf") else ""
        do(shell, f"{command}{limit}\n{body}" if body else command)

    run = shell.user_ns.get("run")
    if run is not None:
        assert run.peek() is not None
        run.stop()
        assert "path" in run.result()


@pytest.mark.parametrize("symptom", re.findall(r"^## (.+)$", RECIPES, re.MULTILINE))
def test_the_commands_of_a_recipe_run(symptom: str, shell: InteractiveShell):
    commands = [
        code.replace("PID", str(os.getpid()))
        for code in re.findall(r"`([^`\n]+)`", section_of(RECIPES, symptom))
        if code.startswith("%ebpf ") or code.endswith(".ks.plot()")
    ]
    assert len(commands) >= 3
    for command in commands:
        do(shell, command)


def prepare_results(shell: InteractiveShell) -> None:
    """Give the names that the tables use the results that they stand for."""
    do(shell, "%ebpf biolatency -d 1 -o bio")
    do(shell, "%ebpf syscount -d 1 --table latency -o before")
    do(shell, "after = before")
    do(shell, "%ebpf syscount -d 1 --interval 250ms --table calls -o counts")
    opening = "for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15; do ls -l / >/dev/null; sleep 0.1; done"
    with subprocess.Popen(["sh", "-c", opening]):
        do(shell, "%ebpf opensnoop statsnoop -d 1 -o both")
    do(shell, "opens, stats = both['opensnoop'], both['statsnoop']")


def test_the_python_runs(shell: InteractiveShell, capsys: pytest.CaptureFixture[str]):
    (code,) = [fence for fence in fences("python") if "import kernelscope" in fence]
    do(shell, code)

    assert shell.user_ns["bio"].attrs["kernelscope"]["probe"] == "biolatency"
    assert "duration_us" in capsys.readouterr().out


@pytest.mark.parametrize("command", indented(section_of(README, "From a terminal")))
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
    (text,) = [line for line in indented(PERMISSIONS) if line.startswith("{")]
    path = tmp_path / "agent.json"
    path.write_text(text)
    path.chmod(0o644)

    assert policy.load(path).source == "builtin"
