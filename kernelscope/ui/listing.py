"""The list of probes and whether this kernel can run them, for a terminal and for a notebook."""

from __future__ import annotations

import html
import json
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass

from kernelscope.errors import KernelScopeError, ParameterError, did_you_mean, suggestion
from kernelscope.probe import resolve
from kernelscope.probe.model import Probe
from kernelscope.text import help_width, html_table, printable, table


@dataclass(frozen=True)
class Entry:
    """One probe of the listing. why_not: why this kernel cannot run it; None where it can."""

    name: str
    area: str
    summary: str
    why_not: str | None = None


@dataclass(frozen=True)
class Listing(Sequence[Entry]):
    """The probes and whether this kernel can run them.

    unchecked: why the kernel could not be asked, if so. next_step: what to do with a name.
    """

    entries: tuple[Entry, ...]
    unchecked: str | None = None
    next_step: str = ""

    def __getitem__(self, index: int) -> Entry:  # type: ignore[override]
        return self.entries[index]

    def __len__(self) -> int:
        return len(self.entries)

    def to_json(self) -> str:
        """Return a JSON list of objects: name, area, summary, why_not."""
        return json.dumps([asdict(entry) for entry in self.entries], indent=2)

    def __repr__(self) -> str:
        rows = [(e.area, e.name, self._runs(e), e.summary) for e in self.entries]
        lines = [table(("area", "probe", "runs here", "summary"), rows)]
        reasons = [f"{e.name}: {e.why_not}" for e in self.entries if e.why_not]
        below = [textwrap.fill(line, help_width()) for line in [*reasons, *self._footer()]]
        return printable("\n".join([*lines, "", *below]), keep="\n")

    def _repr_html_(self) -> str:
        """Return a line per area that unfolds to its probes, so that the list fits a screen."""
        areas = dict.fromkeys(entry.area for entry in self.entries)
        folds = [self._area_html(area, open=len(areas) == 1) for area in areas]
        footer = [f"<p>{html.escape(line)}</p>" for line in self._footer()]
        return "".join([*folds, *footer])

    def _area_html(self, area: str, *, open: bool) -> str:
        entries = [entry for entry in self.entries if entry.area == area]
        rows, reasons = [], []
        for entry in entries:
            cells = [f"<code>{html.escape(entry.name)}</code>", html.escape(entry.summary)]
            rows.append([*cells, self._runs(entry)])
            if entry.why_not:
                reasons.append(f"{html.escape(entry.name)}: {html.escape(entry.why_not)}")
        names = ", ".join(html.escape(entry.name) for entry in entries)
        below = "".join(f"<small>{reason}</small><br>" for reason in reasons)
        return (
            f"<details{' open' if open else ''}><summary><b>{html.escape(area)}</b>: {names}"
            f"</summary>{html_table(('probe', 'summary', 'runs here'), rows)}{below}</details>"
        )

    def _runs(self, entry: Entry) -> str:
        if self.unchecked:
            return "?"
        return "no" if entry.why_not else "yes"

    def _footer(self) -> list[str]:
        unknown = f"Whether they run here is not known: {self.unchecked}"
        return [*([unknown] if self.unchecked else []), *([self.next_step] * bool(self.next_step))]


def listing(
    probes: Iterable[Probe],
    check: Callable[[list[str]], Mapping[str, str | None]],
    next_step: str = "",
) -> Listing:
    """List the probes; `check` (the agent's) is called once for all of their hooks."""
    probes = list(probes)
    specs = sorted({spec for probe in probes for spec in probe_specs(probe)})
    reasons: Mapping[str, str | None] = {}
    unchecked = None
    try:
        reasons = check(specs)
    except KernelScopeError as error:
        unchecked = error.message
    entries = [Entry(p.name, p.area, p.summary, why_not(p, reasons)) for p in probes]
    return Listing(tuple(entries), unchecked, next_step)


def of_areas(probes: Iterable[Probe], areas: Sequence[str]) -> list[Probe]:
    """Return the probes of these areas; all without one. Raises ParameterError."""
    probes = list(probes)
    known = list(dict.fromkeys(probe.area for probe in probes))
    for area in areas:
        if area not in known:
            close = suggestion(did_you_mean(area, known))
            hint = close or f"the areas: {', '.join(known)}"
            raise ParameterError(f"there is no area {area!r}", hint=hint, name=area)
    return [probe for probe in probes if not areas or probe.area in areas]


def probe_specs(probe: Probe) -> list[str]:
    """Return every hook that the probe can use, its parameters at their defaults or examples."""
    hooks = resolve.usual_hooks(probe)
    return [spec for hook in hooks for spec in hook.any_of]


def why_not(probe: Probe, reasons: Mapping[str, str | None]) -> str | None:
    """Return why a probe cannot run, given the reason for each hook (None: it can)."""
    for hook in resolve.usual_hooks(probe):
        refused = [reasons.get(spec) for spec in hook.any_of]
        if not hook.optional and all(refused):
            return refused[0]
    return None
