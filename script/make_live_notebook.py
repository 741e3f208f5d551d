"""Run notebooks/live.ipynb and keep what it gave: the work of script/make-live-notebook.

Widgets are not kept in a notebook in a way that every page shows. So each view's output becomes
the last picture that the view drew.
"""

from __future__ import annotations

import base64
import io
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import nbformat
from nbconvert.filters import strip_ansi
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "script"))

from run_demo import execute  # noqa: E402

NOTEBOOK = ROOT / "notebooks" / "live.ipynb"
VIEW = "application/vnd.jupyter.widget-view+json"
STATE = "application/vnd.jupyter.widget-state+json"
COLOURS = 64  # a picture has few: the file is a third as large


def frames(state: Mapping[str, Any], model: str) -> Iterator[Image.Image]:
    """Yield the pictures that a widget and those in it show, from the top to the bottom."""
    widget = state[model]
    for buffer in widget.get("buffers", ()):
        if widget["model_name"] == "ImageModel" and buffer["path"] == ["value"]:
            data = base64.b64decode(buffer["data"])
            if data:
                yield Image.open(io.BytesIO(data)).convert("RGB")
    for child in widget["state"].get("children", ()):
        yield from frames(state, child.removeprefix("IPY_MODEL_"))


def tiled(shown: list[Image.Image]) -> bytes:
    """Return the pictures as one PNG; several stand in two columns, as in a dashboard."""
    columns = min(2, len(shown))
    width, height = (max(each.size[axis] for each in shown) for axis in (0, 1))
    rows = -(-len(shown) // columns)
    whole = Image.new("RGB", (columns * width, rows * height), "white")
    for place, each in enumerate(shown):
        whole.paste(each, (place % columns * width, place // columns * height))
    made = io.BytesIO()
    whole.quantize(COLOURS).save(made, "PNG", optimize=True)
    return made.getvalue()


def freeze(notebook: nbformat.NotebookNode) -> None:
    """Put the last picture of each view in the place of its widgets."""
    state = notebook.metadata.pop("widgets", {}).get(STATE, {}).get("state", {})
    for cell in notebook.cells:
        for output in cell.get("outputs", ()):
            view = output.get("data", {}).get(VIEW)
            shown = list(frames(state, view["model_id"])) if view else []
            if shown:
                picture = base64.b64encode(tiled(shown)).decode("ascii")
                output.data = nbformat.NotebookNode(
                    {"image/png": picture, "text/plain": "<the last picture of a live view>"}
                )


def main() -> int:
    """Run it and write it anew; the exit status is 1 where a cell failed."""
    with tempfile.TemporaryDirectory(dir=ROOT, prefix="out-") as folder:
        notebook, failed = execute(Path(folder), NOTEBOOK)
    if failed is not None:
        print(f"error: a cell failed: {strip_ansi(str(failed))}", file=sys.stderr)
        return 1
    freeze(notebook)
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
    nbformat.write(notebook, NOTEBOOK)
    print(f"{NOTEBOOK.relative_to(ROOT)} is made anew, {NOTEBOOK.stat().st_size >> 10} KiB.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
