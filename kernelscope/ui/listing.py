"""Probes and runs as people read them: plain text for a terminal, HTML for a notebook."""

from __future__ import annotations

import html
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from kernelscope.errors import KernelScopeError
from kernelscope.probe.model import Probe
from kernelscope.text import help_width, html_table, table
from kernelscope.tracing import request


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
        below = [textwrap.fill(line, help_width()) for line in [*reasons, *self._footer()]]
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
