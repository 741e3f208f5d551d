"""Generate the parts of the documents that the code decides: the work of script/make-docs.

A part stands between `<!-- generated: NAME -->` and `<!-- end -->`.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from kernelscope import catalogue, options
from kernelscope.agent import hooks

ROOT = Path(__file__).resolve().parents[1]
KERNELS = ROOT / "docs" / "kernels.json"
DOCUMENTS = (ROOT / "README.md",)
_PART = re.compile(r"(<!-- generated: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(
        f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |\n" for row in lines
    )


def probes() -> str:
    """Return the table of probes, with what tracing costs."""
    rows = [
        (probe.area, f"`{probe.name}`", probe.summary, probe.overhead.level)
        for probe in catalogue.catalogue().values()
    ]
    return _table(("Area", "Probe", "Summary", "Overhead"), rows)


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
    return _table(("Option", "What it does", "Where"), rows)


def hook_grammar() -> str:
    """Return the grammar of hooks, as the module that reads them states it."""
    lines = (hooks.__doc__ or "").splitlines()
    grammar = [line[4:].rstrip() for line in lines if line.startswith("    ")]
    return "\n".join(["```text", *grammar, "```\n"])


def kernels() -> str:
    """Return which hooks were seen to work on which kernel, as script/test-kernels recorded it."""
    record = json.loads(KERNELS.read_text(encoding="utf-8"))
    columns = record["hooks"]
    rows = [(f"`{kind}`", *(row[kind] for row in columns.values())) for kind in hooks.KINDS]
    return _table(("Hook", *(f"Linux {series}" for series in columns)), rows)


PARTS = {
    "probes": probes,
    "options": option_table,
    "hooks": hook_grammar,
    "kernels": kernels,
}


def updated(text: str) -> str:
    """Return a document's text with its generated parts made anew. Raises KeyError."""
    return _PART.sub(lambda found: f"{found[1]}{PARTS[found[2]]()}{found[3]}", text)


def main() -> int:
    """Write every document whose generated parts have changed, and name it."""
    for path in DOCUMENTS:
        text = path.read_text(encoding="utf-8")
        new = updated(text)
        if new != text:
            path.write_text(new, encoding="utf-8")
            print(f"{path.relative_to(ROOT)} is written anew.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
