"""The notebook about live views runs as it stands, on the kernel and from recordings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tools.notebooks import make_notebooks

ROOT = Path(__file__).parents[2]
NOTEBOOK = ROOT / "notebooks" / "live.ipynb"
RECORDINGS = ROOT / "notebooks" / "recordings"
VIEWS = ("%ebpf live biosnoop", "run.live(", "%ebpf live -o machine")
TILES = 5  # of the dashboard are pictures; one is a table
MARK = "not measured on this machine"
ATTEMPTS = 3  # a recording may end before a busy machine has drawn its first picture


def run(folder: Path) -> Any:
    notebook, failed = make_notebooks.execute(folder, NOTEBOOK)  # type: ignore[attr-defined]
    assert failed is None, failed
    return notebook


def view(notebook: Any, begins: str) -> list[Any]:
    """Return the pictures that a view showed last."""
    (cell,) = [cell for cell in notebook.cells if begins in cell.source and cell.outputs]
    view = make_notebooks.VIEW
    (shown,) = [each.data[view] for each in cell.outputs if view in each.data]
    state = notebook.metadata.widgets[make_notebooks.STATE].state
    return list(make_notebooks.frames(state, shown["model_id"]))


def has_colours(picture: Any) -> bool:
    """Return whether anything other than text, which is grey, is drawn in it."""
    colours = picture.getcolors(1 << 24)
    return any(max(colour) - min(colour) > 64 for _, colour in colours)


@pytest.mark.kernel
def test_its_views_draw_the_events(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KERNELSCOPE_REPLAY", raising=False)
    notebook = run(tmp_path)
    drawn = [view(notebook, name) for name in VIEWS]
    assert [len(pictures) for pictures in drawn] == [1, 1, TILES]
    assert all(has_colours(picture) for pictures in drawn for picture in pictures)

    make_notebooks.freeze(notebook)
    assert MARK not in str(notebook)
    assert stored(notebook) == len(VIEWS) + 2


def test_it_shows_recordings_without_a_kernel(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KERNELSCOPE_REPLAY", str(RECORDINGS))
    for _ in range(ATTEMPTS):
        notebook = run(tmp_path)
        pictures = [picture for name in VIEWS[:2] for picture in view(notebook, name)]
        if all(map(has_colours, pictures)):
            break
    assert all(map(has_colours, pictures))
    assert MARK in str(notebook)


def test_the_stored_notebook_is_from_a_live_run() -> None:
    notebook = make_notebooks.nbformat.read(NOTEBOOK, as_version=4)  # type: ignore[attr-defined]
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    assert not any(output.output_type == "error" for output in outputs)
    assert stored(notebook) == len(VIEWS) + 2
    assert MARK not in str(notebook)


def stored(notebook: Any) -> int:
    return sum(
        "image/png" in output.get("data", {})
        for cell in notebook.cells
        for output in cell.get("outputs", ())
    )
