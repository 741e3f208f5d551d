"""Each notebook reaches its conclusion: on this kernel, and from recordings with no privilege."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest

from kernelscope.io import recording
from tools.notebooks import run_notebook

ROOT = Path(__file__).parents[2]
NOTEBOOKS = ROOT / "notebooks"
RECORDINGS = NOTEBOOKS / "recordings"
# Those with recordings of their own; the others have tests of their own.
NAMES = sorted(path.name for path in RECORDINGS.iterdir() if path.is_dir())
MARK = "not measured on this machine"
# Conclusions about latency do not hold while another program takes the disk or the CPUs.
ATTEMPTS = 3
REFUSED_ON_PURPOSE = "raises-exception"  # the tag of a cell that shows an error
FOREIGN = ("/work/", "/tmp/vtest", "/home/", "/root/")
RUN = """
import sys
from pathlib import Path
import nbformat
from tools.notebooks import run_notebook
notebook, failed = run_notebook.execute(Path(sys.argv[2]), Path(sys.argv[1]))
nbformat.write(notebook, Path(sys.argv[2]) / "done.ipynb")
sys.exit(str(failed) if failed else 0)
"""


def outputs(notebook: Any) -> list[Any]:
    return [output for cell in notebook.cells for output in cell.get("outputs", ())]


def pictures(notebook: Any) -> int:
    return sum("image/png" in output.get("data", {}) for output in outputs(notebook))


def kept(name: str) -> Any:
    return nbformat.read(NOTEBOOKS / f"{name}.ipynb", as_version=4)


@pytest.mark.kernel
@pytest.mark.parametrize("name", NAMES)
def test_it_holds_on_this_kernel(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("KERNELSCOPE_REPLAY", raising=False)
    for _ in range(ATTEMPTS):
        notebook, failed = run_notebook.execute(tmp_path, NOTEBOOKS / f"{name}.ipynb")
        if failed is None:
            break
    assert failed is None, failed
    assert pictures(notebook) == pictures(kept(name))


@pytest.mark.parametrize("name", NAMES)
def test_it_holds_from_recordings_without_privilege(name: str, tmp_path: Path) -> None:
    command = [sys.executable, "-c", RUN]
    ran = subprocess.run(
        [*unprivileged(), *command, str(NOTEBOOKS / f"{name}.ipynb"), str(tmp_path)],
        env={**os.environ, "PYTHONPATH": str(ROOT), "KERNELSCOPE_REPLAY": str(RECORDINGS / name)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert ran.returncode == 0, ran.stderr
    notebook = nbformat.read(tmp_path / "done.ipynb", as_version=4)
    assert MARK in str(outputs(notebook))
    assert pictures(notebook) == pictures(kept(name))


def unprivileged() -> list[str]:
    """Return what runs a command without any capability, if there is one to lose."""
    setpriv = shutil.which("setpriv")
    if os.geteuid() or setpriv is None:
        return []
    return [setpriv, "--bounding-set=-all", "--inh-caps=-all"]


@pytest.mark.parametrize("name", NAMES)
def test_the_stored_notebook_is_from_a_live_run_and_does_not_reveal_the_machine(
    name: str,
) -> None:
    notebook = kept(name)
    for cell in notebook.cells:
        refused = any(output.output_type == "error" for output in cell.get("outputs", ()))
        assert refused == (REFUSED_ON_PURPOSE in cell.metadata.get("tags", ()))
    shown = str(outputs(notebook))
    assert pictures(notebook)
    assert MARK not in shown
    assert not [path for path in FOREIGN if path in shown]


@pytest.mark.parametrize("name", NAMES)
def test_its_recordings_do_not_reveal_the_machine(name: str) -> None:
    paths = sorted((RECORDINGS / name).glob("*.ksr"))
    assert paths
    for path in paths:
        told = b"".join(
            str(frame.header).encode() + bytes(frame.payload) for frame in recording.replay(path)
        )
        assert not [foreign for foreign in FOREIGN if foreign.encode() in told]
