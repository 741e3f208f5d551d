"""Run the quickstart notebook and write its results to out/: the work of script/demo."""

from __future__ import annotations

import base64
import os
import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbconvert import HTMLExporter
from nbconvert.filters import strip_ansi

from kernelscope.ui import doctor

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOK = ROOT / "notebooks" / "quickstart.ipynb"
RECORDINGS = ROOT / "notebooks" / "recordings"
OUT = ROOT / "out"


def replay_if_refused() -> bool:
    """If this machine cannot trace, print why, and make the notebook replay recordings."""
    refused = doctor.refusal("tracefs")
    if refused is None:
        return False
    print("This machine does not allow the demo to trace:")
    print(f"  {refused.message}")
    if refused.hint:
        print(f"  To fix it: {refused.hint}")
    print("  (.venv/bin/kernelscope doctor shows every check.)")
    print(
        "The notebook runs from recordings instead; every table and figure is marked as recorded.\n"
    )
    os.environ["KERNELSCOPE_REPLAY"] = str(RECORDINGS)
    return True


def execute(
    folder: Path, path: Path = NOTEBOOK
) -> tuple[nbformat.NotebookNode, CellExecutionError | None]:
    """Run every cell in the folder; return the notebook and the error of a failed cell."""
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(
        notebook,
        timeout=300,
        kernel_name="python3",
        extra_arguments=["--IPKernelApp.log_level=ERROR"],
        resources={"metadata": {"path": str(folder)}},
    )
    try:
        client.execute()
    except CellExecutionError as error:
        return notebook, error
    return notebook, None


def pictures(notebook: nbformat.NotebookNode) -> dict[str, bytes]:
    """Return the PNGs among the cells' outputs, named for their cells."""
    found: dict[str, bytes] = {}
    for cell in notebook.cells:
        images = [
            output.data["image/png"]
            for output in cell.get("outputs", ())
            if "image/png" in output.get("data", {})
        ]
        for number, image in enumerate(images, 1):
            suffix = f"-{number}" if len(images) > 1 else ""
            found[f"{cell.id}{suffix}.png"] = base64.b64decode(image)
    return found


def write(notebook: nbformat.NotebookNode, folder: Path) -> None:
    """Write the executed notebook, its HTML and its pictures into the folder."""
    nbformat.write(notebook, folder / "quickstart.ipynb")
    page, _ = HTMLExporter().from_notebook_node(notebook)
    (folder / "quickstart.html").write_text(page, encoding="utf-8")
    for name, image in pictures(notebook).items():
        (folder / name).write_bytes(image)


def main() -> int:
    """Run the demo; the exit status is 1 if a cell failed."""
    OUT.mkdir(exist_ok=True)
    for left in OUT.iterdir():
        if left.suffix in (".ipynb", ".html", ".png", ".csv", ".json"):
            left.unlink()
    replayed = replay_if_refused()
    print(f"Running {NOTEBOOK.relative_to(ROOT)} ...", flush=True)
    notebook, failed = execute(OUT)
    write(notebook, OUT)
    if failed is not None:
        print("error: a cell failed; out/quickstart.html shows where.", file=sys.stderr)
        print(strip_ansi(str(failed)), file=sys.stderr)
        return 1
    source = "replayed from recordings" if replayed else "measured on this machine's kernel"
    print(f"Done. Results, {source}:")
    for path in sorted(OUT.iterdir()):
        print(f"  out/{path.name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
