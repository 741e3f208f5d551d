"""The quickstart runs as it stands, live and from recordings, and leaves what it promises."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbformat
import pytest

from tools.notebooks import run_notebook

ROOT = Path(__file__).parents[2]
MARK = "not measured on this machine"


def run(folder: Path) -> Any:
    notebook, failed = run_notebook.execute(folder)
    assert failed is None, failed
    run_notebook.write(notebook, folder)
    return notebook


def tables(notebook: Any) -> list[str]:
    """Return the HTML of every DataFrame that the notebook shows."""
    pages = [
        output.data["text/html"]
        for cell in notebook.cells
        for output in cell.get("outputs", ())
        if "text/html" in output.get("data", {})
    ]
    return [page for page in pages if 'class="dataframe"' in page]


def left_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


LEFT = {
    "quickstart.ipynb",
    "quickstart.html",
    "disk-latency.png",
    "run-queue-latency.png",
    "bio.csv",
    "bio.csv.receipt.json",
    "waits.csv",
    "waits.csv.receipt.json",
}


def test_it_replays_without_a_kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERNELSCOPE_REPLAY", str(run_notebook.RECORDINGS))
    shown = tables(run(tmp_path))
    assert left_in(tmp_path) == LEFT
    assert shown
    assert all(MARK in page for page in shown)


@pytest.mark.kernel
def test_it_runs_on_this_kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KERNELSCOPE_REPLAY", raising=False)
    shown = tables(run(tmp_path))
    assert left_in(tmp_path) == LEFT
    assert not any(MARK in page for page in shown)


def test_the_stored_notebook_is_from_a_live_run() -> None:
    notebook = nbformat.read(run_notebook.NOTEBOOK, as_version=4)
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    assert not any(output.output_type == "error" for output in outputs)
    assert sum("image/png" in output.get("data", {}) for output in outputs) == 2
    assert tables(notebook)
    assert not any(MARK in page for page in tables(notebook))
