"""Generate the parts of the documents that depend on the code: the work of script/make-docs.

A part is between `<!-- generated: NAME -->` and `<!-- end -->`. The pages about probes are
generated completely, by probe_pages.py.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from statistics import median

from benchmarks.measure import results_store
from benchmarks.measure.measurement import BCC, BPFTRACE, KERNELSCOPE
from benchmarks.report.report import number
from kernelscope.probe import catalogue
from kernelscope.protocol import hook_kinds, hook_spec
from kernelscope.tracing import options
from tools.docs import probe_pages

ROOT = Path(__file__).resolve().parents[2]

NOTEBOOKS = ROOT / "notebooks"
FIRST = ("live", "quickstart")
KERNELS = ROOT / "docs" / "kernels.json"
DOCUMENTS = (ROOT / "README.md", ROOT / "docs" / "reference.md", ROOT / "docs" / "hooks.md")
# The rows of benchmarks/results.json that the README shows: part, row, measure, label.
_SPEED = (
    ("start", "a new cell (cold)", "ms to attached", "New cell until its program is attached (ms)"),
    ("start", "the cell again (warm)", "ms to attached", "The same cell again (ms)"),
    ("events", "flood, 40 bytes", "share delivered", "Share of events delivered in a flood"),
    ("events", "flood, 40 bytes", "CPU s per M", "CPU time per million events, as a DataFrame (s)"),
    (
        "maps",
        "1,000,000 struct keys",
        "ms to a DataFrame",
        "Map of a million keys to a DataFrame (ms)",
    ),
    (
        "overhead",
        "syscount: calls",
        "ns added to an event",
        "Cost of `syscount` per system call (ns)",
    ),
)
_PART = re.compile(r"(<!-- generated: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def option_table() -> str:
    """Return the table of options and where each can be given."""
    where = {"run": "everywhere", "output": "cell, command line", "notebook": "cell"}
    rows = [
        (
            ", ".join(f"`{f'{flag} {option.metavar}'.strip()}`" for flag in option.flags),
            option.help,
            where[option.where],
        )
        for option in options.OPTIONS
    ]
    return probe_pages.table(("Option", "What it does", "Where"), rows)


def hook_grammar() -> str:
    """Return the grammar of hooks, from the docstring of the module that parses them."""
    lines = (hook_spec.__doc__ or "").splitlines()
    grammar = [line[4:].rstrip() for line in lines if line.startswith("    ")]
    return "\n".join(["```text", *grammar, "```\n"])


def kernels() -> str:
    """Return which hooks work on which kernel, as recorded by script/test-kernels."""
    record = json.loads(KERNELS.read_text(encoding="utf-8"))
    columns = record["hooks"]
    rows = [(f"`{kind}`", *(row[kind] for row in columns.values())) for kind in hook_kinds.names()]
    return probe_pages.table(("Hook", *(f"Linux {series}" for series in columns)), rows)


def notebooks() -> str:
    """Return the notebooks, introductions first, and the probes that each runs."""
    paths = sorted(NOTEBOOKS.glob("*.ipynb"), key=lambda path: (path.stem not in FIRST, path.stem))
    rows = []
    for path in paths:
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        texts = ["".join(cell["source"]) for cell in cells]
        title = texts[0].partition("\n")[0].removeprefix("# ")
        code = "\n".join(
            text for text, cell in zip(texts, cells, strict=True) if cell["cell_type"] == "code"
        )
        named = set(re.findall(r"[%\"' ](\w+)", code)) & set(catalogue.names())
        runs = ", ".join(f"`{name}`" for name in sorted(named))
        rows.append((f"[{title}](notebooks/{path.name})", runs or "custom programs in C"))
    return probe_pages.table(("Notebook", "Probes"), rows)


def speed() -> str:
    """Return medians of the last run of script/bench, for a few representative rows."""
    machine, parts = results_store.read()
    tools = (KERNELSCOPE, BCC, BPFTRACE)
    rows = []
    for part, row, measure, called in _SPEED:
        values = [parts[part].values(row, measure, tool) for tool in tools]
        rows.append((called, *(number(median(each)) if each else "" for each in values)))
    on = f"Linux {machine['kernel'].partition('-')[0]}, {machine['cpus']} CPUs"
    return probe_pages.table((on, *tools), rows)


PARTS = {
    "speed": speed,
    "notebooks": notebooks,
    "probes": probe_pages.short_table,
    "options": option_table,
    "hooks": hook_grammar,
    "kernels": kernels,
}


def updated(text: str) -> str:
    """Return a document's text with its generated parts replaced. Raises KeyError."""
    return _PART.sub(lambda found: f"{found[1]}{PARTS[found[2]]()}{found[3]}", text)


def main() -> int:
    """Write every document whose generated parts have changed, and print its name."""
    made = {path: updated(path.read_text(encoding="utf-8")) for path in DOCUMENTS}
    for path, new in {**made, **probe_pages.pages()}.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.is_file() or new != path.read_text(encoding="utf-8"):
            path.write_text(new, encoding="utf-8")
            print(f"wrote {path.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
