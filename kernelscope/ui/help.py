"""All about one probe: as help for a command line, or with its hooks on this kernel and its C."""

from __future__ import annotations

import html
import shutil
import textwrap
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from kernelscope.errors import KernelScopeError, ParameterError
from kernelscope.probe import catalogue
from kernelscope.probe.model import Plot, Probe
from kernelscope.text import help_width, shortened, table
from kernelscope.tracing import options, request
from kernelscope.ui import listing, parser

_CODE = "overflow-x:auto;border:1px solid #8884;padding:6px;line-height:1.25"


@dataclass(frozen=True)
class Description:
    """What `show NAME` gives: plain text that is HTML in a notebook, the C in colours.

    reasons: for each hook why this kernel cannot run it, None where it can. unchecked: why that
    could not be asked, where it could not.
    """

    probe: Probe
    reasons: Mapping[str, str | None] = field(default_factory=dict)
    unchecked: str | None = None
    where: str = "magic"
    prog: str = "%ebpf"

    def text(self, source: str) -> str:
        """Return all of it as text, the C as given."""
        told = probe_help(self.probe, where=self.where, prog=self.prog)
        return "\n\n".join([told, hooks(self.probe, self.reasons, self.unchecked), source])

    def __repr__(self) -> str:
        return self.text(f"{self.probe.path.stem}.c:\n\n{self.probe.source.rstrip()}")

    def in_colour(self) -> str:
        """Return the text with the C in a terminal's colours."""
        from pygments import highlight
        from pygments.formatters import TerminalFormatter
        from pygments.lexers import CLexer

        coloured = highlight(self.probe.source, CLexer(), TerminalFormatter()).rstrip()
        return self.text(f"{self.probe.path.stem}.c:\n\n{coloured}")

    def _repr_html_(self) -> str:
        from pygments import highlight
        from pygments.formatters import HtmlFormatter
        from pygments.lexers import CLexer

        told = html.escape(self.text(f"{self.probe.path.stem}.c:"))
        coloured = highlight(
            self.probe.source.rstrip(),
            CLexer(),
            HtmlFormatter(noclasses=True, nobackground=True, cssstyles=_CODE),
        )
        return f'<pre style="white-space:pre-wrap">{told}</pre>{coloured}'


def description(
    probe: Probe,
    check: Callable[[list[str]], Mapping[str, str | None]],
    *,
    where: str = "magic",
    prog: str = "%ebpf",
) -> Description:
    """Describe a probe, asking `check` (the agent's) which of its hooks this kernel can run."""
    try:
        return Description(probe, check(listing.probe_specs(probe)), None, where, prog)
    except KernelScopeError as error:
        return Description(probe, {}, error.message, where, prog)


def named(words: str, prog: str) -> Probe:
    """Return the probe that a line names. Raises ParameterError, ProbeNotFoundError."""
    names = words.split()
    if len(names) != 1 or names[0].startswith("-"):
        raise ParameterError("show takes a probe's name", hint=f"{prog} NAME", name="show")
    return catalogue.find(names[0])


def probe_help(probe: Probe, *, where: str = "magic", prog: str = "%ebpf") -> str:
    """Return what the probe does, its options, columns, plots, cost and caveats, and an example."""
    parts = [
        textwrap.fill(f"{probe.name}: {probe.summary}", help_width()),
        _paragraphs(probe.description),
        f"Usage: {prog} {probe.name} [options]   (traces for {probe.duration_s:g} s)",
        parser.usage(probe, where=where, prog=prog),
        *(_columns(probe, index) for index in range(len(probe.tables))),
        _plots(probe),
        _cost(probe),
        _unfiltered(probe),
        *([_bullets("Caveats", probe.caveats)] if probe.caveats else []),
        *([f"Example{_with_options(probe)}:\n{_example(probe.example)}"] if probe.example else []),
    ]
    return "\n\n".join(part for part in parts if part)


def hooks(probe: Probe, reasons: Mapping[str, str | None], unchecked: str | None) -> str:
    """Return the probe's hooks, the preferred first, and which of them this kernel takes."""
    lines = ["Hooks, the preferred first:"]
    for hook in request.from_probe(probe, probe.needed()).program.hooks:
        optional = " (optional)" if hook.optional else ""
        lines.append(f"  {hook.function}{optional}")
        taken = next((spec for spec in hook.any_of if reasons.get(spec, "") is None), None)
        for spec in hook.any_of:
            said = "  <- this kernel takes it" if spec == taken else ""
            reason = reasons.get(spec)
            lines.append(f"    {spec}{said}{f'  (not here: {reason})' if reason else ''}")
    if unchecked:
        lines.append(f"  Which of them this kernel takes is not known: {unchecked}")
    return "\n".join(lines)


def shown_options(probe: Probe) -> str:
    """Return the options with which the probe's example was made, as a command line has them."""
    flags = {p.name: options.flag_of(p) for p in probe.parameters}
    flags |= {option.name: option.flags[-1] for option in options.OPTIONS}
    words = []
    for name, value in probe.check.options.items():
        text = str(value).strip("{}").upper() if str(value).startswith("{") else str(value)
        words.append(flags[name] if value is True else f"{flags[name]} {text}")
    return " ".join(words)


def _unfiltered(probe: Probe) -> str:
    """Say which filters do not work with the probe; "" where all do."""
    if probe.filters == "none":
        return "Filters: --pid, --comm, --uid, --cgroup and --tree do not work with it."
    return "" if request.knows_tasks(probe) else "Filters: --cgroup and --tree do not work with it."


def _with_options(probe: Probe) -> str:
    given = shown_options(probe)
    return f" ({given})" if given else ""


def _paragraphs(text: str) -> str:
    parts = text.strip().split("\n\n")
    return "\n\n".join(textwrap.fill(" ".join(part.split()), help_width()) for part in parts)


def _columns(probe: Probe, index: int) -> str:
    spec = probe.tables[index]
    rows = [
        (c.name, c.unit or c.kind.removesuffix("_be").replace("_", " "), c.help)
        for c in spec.columns
    ]
    heading = f"Table {spec.name}" + (f": {spec.help}" if spec.help else "")
    body = table(("column", "unit or kind", "meaning"), rows, help_width() - 2)
    return heading + "\n" + textwrap.indent(body, "  ")


def _plots(probe: Probe) -> str:
    return _bullets("Plots", map(plot_text, probe.plots)) if probe.plots else ""


def plot_text(plot: Plot) -> str:
    """Return what a plot shows: "histogram of latency_us by comm: Wait for a CPU"."""
    value = plot.value if plot.value != "count" else ""
    axes = " over ".join(filter(None, (plot.y or value, plot.x)))
    of = f" of {axes}" if axes else ""
    by = f" by {plot.by}" if plot.by else ""
    return f"{plot.kind}{of}{by}{f': {plot.title}' if plot.title else ''}"


def _cost(probe: Probe) -> str:
    cost = probe.overhead
    measured = f", {cost.ns_per_event:g} ns an event" if cost.ns_per_event is not None else ""
    note = f". {cost.note}" if cost.note else ""
    return textwrap.fill(f"Overhead: {cost.level}{measured}{note}", help_width())


def _bullets(heading: str, items: Iterable[str]) -> str:
    width = help_width()
    lines = [
        textwrap.fill(item, width, initial_indent="  - ", subsequent_indent="    ")
        for item in items
    ]
    return "\n".join([f"{heading}:", *lines])


def _example(text: str) -> str:
    """Return an example's lines, cut where folding them would tear its columns apart."""
    width = shutil.get_terminal_size((1000, 24)).columns
    return "\n".join(shortened(f"  {line}", width) for line in text.splitlines())
