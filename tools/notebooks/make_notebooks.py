"""Run notebooks and keep their output: the work of script/make-notebooks.

Each run of a notebook without recordings by `script/record-demo` is recorded in its own folder. A
saved notebook does not show its widgets, so each live view's output is replaced by the last picture
that the view drew.
"""

from __future__ import annotations

import argparse
import base64
import io
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import nbformat
from nbconvert.filters import strip_ansi
from PIL import Image

from tools.notebooks.run_notebook import execute

ROOT = Path(__file__).resolve().parents[2]

NOTEBOOKS = ROOT / "notebooks"
RECORDED_APART = ("quickstart", "live")  # under a load that exists only in the recording
LARGEST = 400 << 10  # most bytes of a notebook, and of its recordings
VIEW = "application/vnd.jupyter.widget-view+json"
STATE = "application/vnd.jupyter.widget-state+json"
COLOURS = 64  # a picture has few colours: the file is a third as large


def frames(state: Mapping[str, Any], model: str) -> Iterator[Image.Image]:
    """Yield the pictures of a widget and of the widgets in it, from top to bottom."""
    widget = state[model]
    for buffer in widget.get("buffers", ()):
        if widget["model_name"] == "ImageModel" and buffer["path"] == ["value"]:
            data = base64.b64decode(buffer["data"])
            if data:
                yield Image.open(io.BytesIO(data)).convert("RGB")
    for child in widget["state"].get("children", ()):
        yield from frames(state, child.removeprefix("IPY_MODEL_"))


def tiled(shown: list[Image.Image]) -> bytes:
    """Return the pictures as one PNG; several are placed in two columns, as in a dashboard."""
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
    """Replace each view's widgets by its last picture."""
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


def make(path: Path, recordings: Path) -> str | None:
    """Run a notebook and write it with its output; return the problem, "" for none.

    recordings: a folder for them; its old content is replaced.
    """
    if path.stem not in RECORDED_APART:
        recordings.mkdir(parents=True, exist_ok=True)
        for old in recordings.glob("*.ksr"):
            old.unlink()
        os.environ["KERNELSCOPE_RECORD"] = str(recordings)
    with tempfile.TemporaryDirectory(dir=ROOT, prefix="out-") as folder:
        notebook, failed = execute(Path(folder), path)
    os.environ.pop("KERNELSCOPE_RECORD", None)
    if failed is not None:
        return f"a cell failed: {strip_ansi(str(failed))}"
    freeze(notebook)
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
    nbformat.write(notebook, path)
    return None


def sizes(path: Path, recordings: Path) -> tuple[int, int]:
    """Return the bytes of a notebook and of its recordings."""
    return path.stat().st_size, sum(each.stat().st_size for each in recordings.glob("*.ksr"))


def main() -> int:
    """Run the named notebooks; the exit status is 1 if one failed or is too large."""
    parser = argparse.ArgumentParser(description="Run notebooks and keep their output.")
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help="of a notebook; all if none is given"
    )
    names = parser.parse_args().names or sorted(path.stem for path in NOTEBOOKS.glob("*.ipynb"))
    status = 0
    for name in names:
        path, recordings = NOTEBOOKS / f"{name}.ipynb", NOTEBOOKS / "recordings" / name
        begun = time.monotonic()
        problem = make(path, recordings)
        if problem is None and max(sizes(path, recordings)) > LARGEST:
            problem = f"more than {LARGEST >> 10} KiB are too much for the repository"
        kib = [size >> 10 for size in sizes(path, recordings)]
        print(
            f"{name}: {kib[0]} KiB, recordings {kib[1]} KiB, {time.monotonic() - begun:.0f} s",
            flush=True,
        )
        if problem is not None:
            print(f"error: {name}: {problem}", file=sys.stderr)
            status = 1
    return status


if __name__ == "__main__":
    sys.exit(main())
