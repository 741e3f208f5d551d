"""Every input of bad_inputs.toml gets its error, in a few lines that say what to do."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from IPython.core.interactiveshell import InteractiveShell

import kernelscope
from kernelscope import errors
from kernelscope.tracing.session import Session
from tools.docs.bad_inputs import CASES, READS, answer, new_shell, title, typed

ROOT = Path(__file__).parents[3]
LONGEST = 12


def _parameters() -> list[Any]:
    return [
        pytest.param(case, id=case["name"], marks=[pytest.mark.kernel] if "kernel" in case else [])
        for case in CASES
    ]


@pytest.fixture
def shell(session: Session) -> Iterator[InteractiveShell]:
    made = new_shell(session)
    yield made
    made.reset()
    InteractiveShell.clear_instance()


@pytest.fixture(scope="module")
def gone() -> str:
    """A process id that was a process's, and is no more."""
    process = subprocess.Popen(["/bin/true"])
    process.wait()
    return str(process.pid)


def test_there_are_at_least_forty_five() -> None:
    assert len({case["name"] for case in CASES}) == len(CASES) >= 45


@pytest.mark.parametrize("case", _parameters())
def test_a_bad_input_is_answered_clearly(
    case: dict[str, Any], shell: InteractiveShell, gone: str, tmp_path: Path
) -> None:
    def filled(text: str) -> str:
        return text.replace("{gone}", gone).replace("{folder}", str(tmp_path))

    error, shown = answer(shell, filled(typed(case)))

    assert error == case["error"], shown
    for piece in case["says"]:
        assert filled(piece) in shown
    assert "Traceback" not in shown
    assert len(shown.strip().splitlines()) <= LONGEST, shown


def test_the_table_of_messages_has_every_case() -> None:
    sections = (ROOT / "docs" / "errors.md").read_text(encoding="utf-8").split("\n## ")[1:]
    by_name = dict(section.split("\n", 1) for section in sections)
    assert list(by_name) == [title(case) for case in CASES], "script/make-errors"
    for case in CASES:
        text = by_name[title(case)]
        for piece in case["says"]:
            filled = piece.replace("{gone}", "PID").replace("{folder}", "FOLDER")
            assert filled in text, "script/make-errors"


@pytest.mark.parametrize(
    ("probe", "options", "says"),
    [
        (None, {}, ["either a probe's name or source="]),
        ("syscount", {"source": READS}, ["either a probe's name or source="]),
        ("syscount", {"durration": 5}, ["no option 'durration'", "duration"]),
        ("syscount", {"csv": "x.csv"}, ["no option 'csv'"]),
        ("syscount", {"per_cpu": "no"}, ["per_cpu no", "True or False"]),
        ("syscount", {"duration": [5]}, ["duration", "500ms"]),
        (None, {"source": "x" * 300_000}, ["longer than 256 KiB"]),
        (None, {"source": "int f(void) { return 0; }\0"}, ["NUL", "source"]),
    ],
    ids=[
        "nothing",
        "two things",
        "a misspelt option",
        "an option of the command line",
        "a switch in words",
        "a list",
        "a book",
        "a NUL",
    ],
)
def test_a_bad_call_is_answered_clearly(
    probe: str | None, options: dict[str, Any], says: list[str], session: Session
) -> None:
    with pytest.raises((errors.ParameterError, errors.AgentRefusedError)) as raised:
        session.run(probe, **options)

    for piece in says:
        assert piece in str(raised.value)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, ["cannot open", "x.ks", "check the path"]),
        (b"", ["x.ks"]),
        (b"time,pid,comm\n1,2,3\n", ["x.ks", "not a KernelScope recording"]),
        (bytes(4096), ["x.ks", "not a KernelScope recording"]),
    ],
    ids=["missing", "empty", "a CSV", "zeros"],
)
def test_an_unreadable_recording_is_answered_clearly(
    content: bytes | None, says: list[str], tmp_path: Path
) -> None:
    path = tmp_path / "x.ks"
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(errors.RecordingError) as raised:
        kernelscope.open(path)

    for piece in says:
        assert piece in str(raised.value)


# The tmpfs is mounted for a process of its own, so the test needs root, as tracing does.
_ON_A_FULL_DISK = """
import sys
from IPython.core.interactiveshell import InteractiveShell
from kernelscope.ui.notebook import magics
from kernelscope.tracing.session import Session
with Session() as session:
    shell = InteractiveShell.instance()
    shell.register_magics(magics.KernelScope(shell, session))
    cell = sys.argv[2]
    path = sys.argv[1] + "/reads." + sys.argv[3]
    outcome = shell.run_cell(f"%%ebpf -d 500ms --quiet --{sys.argv[3]} {path}\\n{cell}")
    print("rows", len(outcome.result))
"""
_MANY_ROWS = """
BPF_ARRAY(slots, u64, 20000);
TRACEPOINT_PROBE(syscalls, sys_enter_read) { slots.increment(7); return 0; }
"""


@pytest.mark.kernel
@pytest.mark.parametrize("kind", ["csv", "parquet", "json"])
def test_a_full_disk_costs_the_file_and_not_the_result(kind: str, tmp_path: Path) -> None:
    if subprocess.run(["unshare", "--mount", "true"], capture_output=True).returncode:
        pytest.skip("private mounts are not possible here: in a chroot, / may not be a mount point")
    in_a_small_one = (
        'mount -t tmpfs -o size=16k none "$1" || exit; folder=$1; shift; "$@"; ls -A "$folder"'
    )
    notebook = [sys.executable, "-c", _ON_A_FULL_DISK, str(tmp_path), _MANY_ROWS, kind]
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", in_a_small_one, "sh", str(tmp_path), *notebook],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )

    assert done.returncode == 0, done.stderr
    assert "rows 20000" in done.stdout
    said = done.stdout + done.stderr
    assert "No space left" in said or "disk is full" in said, said
    assert f"reads.{kind}" in said
    assert "Traceback" not in said
    assert done.stdout.strip().splitlines()[-1] == "rows 20000", "a half-written file is left"
