"""Probes and runs as people read them: plain text for a terminal, HTML for a notebook."""

from __future__ import annotations

import html
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from kernelscope.errors import KernelScopeError
from kernelscope.probe.model import Probe
from kernelscope.tracing import request
from kernelscope.ui import parser


@dataclass(frozen=True)
class Entry:
    """One line of the listing. why_not: why this kernel cannot run it; None where it can."""

    name: str
    area: str
    summary: str
    why_not: str | None = None


@dataclass(frozen=True)
class Listing(Sequence[Entry]):
    """The probes there are and whether this kernel runs them.

    unchecked: why that could not be asked, where it could not. how: what to do with one of them.
    """

    entries: tuple[Entry, ...]
    unchecked: str | None = None
    how: str = (
        "%ebpf NAME runs one for a while, %ebpf show NAME tells all about it,"
        " %ebpf search WORD... finds one."
    )

    def __getitem__(self, index: int) -> Entry:  # type: ignore[override]
        return self.entries[index]

    def __len__(self) -> int:
        return len(self.entries)

    def __repr__(self) -> str:
        rows = [(e.area, e.name, self._runs(e), e.summary) for e in self.entries]
        lines = [table(("area", "probe", "runs here", "summary"), rows)]
        reasons = [f"{e.name}: {e.why_not}" for e in self.entries if e.why_not]
        below = [textwrap.fill(line, parser.help_width()) for line in [*reasons, *self._footer()]]
        return "\n".join([*lines, "", *below])

    def _repr_html_(self) -> str:
        rows = []
        for entry in self.entries:
            runs = html.escape(self._runs(entry))
            if entry.why_not:
                runs += f"<br><small>{html.escape(entry.why_not)}</small>"
            cells = [html.escape(entry.area), f"<code>{entry.name}</code>", runs]
            rows.append([*cells, html.escape(entry.summary)])
        footer = "".join(f"<p>{html.escape(line)}</p>" for line in self._footer())
        return html_table(("area", "probe", "runs here", "summary"), rows) + footer

    def _runs(self, entry: Entry) -> str:
        if self.unchecked:
            return "?"
        return "no" if entry.why_not else "yes"

    def _footer(self) -> list[str]:
        said = [f"Whether they run here is not known: {self.unchecked}"] if self.unchecked else []
        return [*said, self.how]


def listing(
    probes: Iterable[Probe],
    check: Callable[[list[str]], Mapping[str, str | None]],
    how: str = Listing.how,
) -> Listing:
    """List the probes, asking `check` (the agent's) once which hooks this kernel can run."""
    probes = list(probes)
    specs = sorted({spec for probe in probes for spec in probe_specs(probe)})
    reasons: Mapping[str, str | None] = {}
    unchecked = None
    try:
        reasons = check(specs)
    except KernelScopeError as error:
        unchecked = error.message
    entries = [Entry(p.name, p.area, p.summary, why_not(p, reasons)) for p in probes]
    return Listing(tuple(entries), unchecked, how)


def probe_specs(probe: Probe) -> list[str]:
    """Return all hooks that would serve the probe, its parameters at their defaults or examples."""
    hooks = request.from_probe(probe, probe.needed()).program.hooks
    return [spec for hook in hooks for spec in hook.any_of]


def why_not(probe: Probe, reasons: Mapping[str, str | None]) -> str | None:
    """Return why a probe cannot run, given the reason for each hook (None: it can)."""
    for hook in request.from_probe(probe, probe.needed()).program.hooks:
        said = [reasons.get(spec) for spec in hook.any_of]
        if not hook.optional and all(said):
            return said[0]
    return None


def table(headings: Sequence[str], rows: Sequence[Sequence[str]], width: int | None = None) -> str:
    """Return rows under headings as aligned text, the last column folded to the terminal."""
    width = width or parser.help_width() + 1
    all_rows = [headings, *rows]
    widths = [max(len(row[i]) for row in all_rows) for i in range(len(headings) - 1)]
    indent = sum(widths) + 2 * len(widths)
    lines = []
    for row in all_rows:
        start = "  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=False))
        room = max(20, width - indent - 1)
        folded = textwrap.wrap(row[-1], room) or [""]
        lines.append(f"{start}  {folded[0]}".rstrip())
        lines += [" " * indent + more for more in folded[1:]]
    return "\n".join(lines)


def html_table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return rows (of ready HTML) under headings."""
    align = 'style="text-align:left;vertical-align:top"'
    head = "".join(f"<th {align}>{html.escape(heading)}</th>" for heading in headings)
    body = "".join(
        "<tr>" + "".join(f"<td {align}>{cell}</td>" for cell in row) + "</tr>" for row in rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def shortened(text: str, width: int) -> str:
    """Return the text, cut to that many characters with a mark where it is longer."""
    return text if len(text) <= width else f"{text[: width - 1]}…"


def facts_html(title: str, facts: Mapping[str, str], hint: str) -> str:
    """Return facts as a small table with a hint below."""
    rows = [[html.escape(name), html.escape(value)] for name, value in facts.items()]
    return html_table((title, ""), rows) + f"<small>{html.escape(hint)}</small>"


def loss_html(what: str, advice: str) -> str:
    """Return what was lost, and what would help, as a box that is not overlooked."""
    style = "border-left:4px solid #e6a700;padding:2px 10px;margin:4px 0"
    text = f"<b>Events were lost.</b> {html.escape(what)}."
    if advice:
        text += f"<br><small>{html.escape(advice)}</small>"
    return f'<div style="{style}">{text}</div>'


def loss_text(what: str, advice: str) -> str:
    """Return the same in one or two lines."""
    return "\n  ".join(part for part in (f"LostEventsWarning: {what}", advice) if part)


def error_text(error: KernelScopeError, lines_above: int = 0) -> str:
    """Return an error in a few lines: what, the line of C with a caret, what to do.

    lines_above: how many lines stand above the C's first where the person sees it.
    """
    number, text = error.details.get("line"), error.details.get("text")
    message = error.message
    place: list[str] = []
    if isinstance(number, int) and isinstance(text, str):
        message = _without_place(message, number)
        place = _place(number + lines_above, text, error.details.get("column"))
    parts = [f"{type(error).__name__}: {message}", *place]
    if error.hint:
        parts.append(textwrap.indent(error.hint, "  "))
    if error.details.get("recorded"):
        parts.append("  (replayed from a recording; this machine was not asked)")
    return "\n".join(parts)


def _without_place(message: str, number: int) -> str:
    """Leave out the line's number and text, which are shown as they stand in the cell."""
    first = message.splitlines()[0]
    return first.removeprefix(f"line {number}: ").replace(f" at line {number}:", ":")


def _place(number: int, text: str, column: int | None) -> list[str]:
    margin = f"  {number:>4} | "
    lines = [f"{margin}{text.rstrip()}"]
    if column is not None:
        blank = "".join("\t" if c == "\t" else " " for c in text[: column - 1])
        lines.append(f"{' ' * (len(margin) - 2)}| {blank}^")
    return lines
