"""The description of one probe: help for a line, or a page with its hooks here and its C source."""

from __future__ import annotations

import html
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from kernelscope.errors import KernelScopeError, ParameterError
from kernelscope.probe import catalogue, resolve
from kernelscope.probe.model import Plot, Probe
from kernelscope.probe.parameters import flag_of
from kernelscope.text import printable, shortened
from kernelscope.tracing import options
from kernelscope.ui import command_line, listing
from kernelscope.ui.c_source import c_html, c_in_colour
from kernelscope.ui.sections import (
    Bullets,
    Paragraphs,
    Rows,
    Section,
    Verbatim,
    code_html,
    page_html,
    page_text,
)


@dataclass(frozen=True)
class Description:
    """What `show NAME` returns: text in a terminal, HTML in a notebook, with the C source.

    reasons: for each hook why this kernel cannot run it, None where it can. unchecked: why the
    kernel could not be asked, if so.
    """

    probe: Probe
    reasons: Mapping[str, str | None] = field(default_factory=dict)
    unchecked: str | None = None
    where: str = "magic"
    prog: str = "%ebpf"

    def __repr__(self) -> str:
        return self._text(printable(self.probe.source.rstrip(), keep="\n\t"))

    def in_colour(self) -> str:
        """Return the text, its C in a terminal's colours."""
        return self._text(c_in_colour(printable(self.probe.source, keep="\n\t")))

    def _text(self, source: str) -> str:
        page = probe_help(self.probe, where=self.where, prog=self.prog)
        hooks = printable(hooks_text(self.probe, self.reasons, self.unchecked), keep="\n")
        return "\n\n".join([page, f"{_HOOKS}:\n{hooks}", f"{self._file}:\n\n{source}"])

    def _repr_html_(self) -> str:
        hooks = hooks_text(self.probe, self.reasons, self.unchecked)
        sections = _sections(self.probe, self.where, self.prog, for_html=True)
        page = page_html([*sections, Verbatim(_HOOKS, hooks)])
        return (
            f"{page}<p><b>{html.escape(self._file)}</b></p>{code_html(c_html(self.probe.source))}"
        )

    @property
    def _file(self) -> str:
        return printable(f"{self.probe.path.stem}.c")


_HOOKS = "Hooks, in order of preference"


def description(
    probe: Probe,
    check: Callable[[list[str]], Mapping[str, str | None]],
    *,
    where: str = "magic",
    prog: str = "%ebpf",
) -> Description:
    """Describe a probe; `check` (the agent's) returns which of its hooks this kernel can run."""
    try:
        return Description(probe, check(listing.probe_specs(probe)), None, where, prog)
    except KernelScopeError as error:
        return Description(probe, {}, error.message, where, prog)


def probe_to_show(words: Sequence[str], prog: str) -> Probe:
    """Return the probe that a line names. Raises ParameterError, ProbeNotFoundError."""
    if len(words) != 1 or words[0].startswith("-"):
        raise ParameterError("show takes the name of one probe", hint=f"{prog} NAME", name="show")
    return catalogue.find(words[0])


def probe_help(probe: Probe, *, where: str = "magic", prog: str = "%ebpf") -> str:
    """Return what the probe does, its options, columns, plots, cost and caveats, and an example."""
    return printable(page_text(_sections(probe, where, prog)), keep="\n")


@dataclass(frozen=True)
class _Options:
    """The options: argparse's own help as text, and a table as HTML."""

    parser: command_line.LineParser

    def text(self) -> str:
        """Return argparse's help without its first paragraph."""
        return command_line.options_text(self.parser)

    def html(self) -> str:
        """Return a table of flags."""
        return Rows("Options", ("option", "meaning"), self.parser.offered_options).html()


def _sections(probe: Probe, where: str, prog: str, *, for_html: bool = False) -> list[Section]:
    usage = f"Usage: {prog} {probe.name} [options]   (traces for {probe.duration_s:g} s)"
    example = probe.example if for_html else _cut_to_terminal(probe.example)
    return [
        Paragraphs(f"{probe.name}: {probe.summary}"),
        Paragraphs(probe.description),
        Verbatim("Usage", usage.partition(": ")[2]) if for_html else _Line(usage),
        _Options(command_line.parser(probe, where=where, prog=prog)),
        *(_columns(probe, index) for index in range(len(probe.tables))),
        Bullets("Plots", [plot_text(plot) for plot in probe.plots]),
        Paragraphs(_cost(probe)),
        Paragraphs(_unsupported_filters(probe)),
        Bullets("Caveats", probe.caveats),
        *([Verbatim(f"Example{_example_options(probe)}", example)] if example else []),
    ]


@dataclass(frozen=True)
class _Line:
    line: str

    def text(self) -> str:
        return self.line

    def html(self) -> str:
        return f"<p>{html.escape(self.line)}</p>"


def hooks_text(probe: Probe, reasons: Mapping[str, str | None], unchecked: str | None) -> str:
    """Return the probe's hooks, the preferred first, and which of them this kernel supports."""
    lines = []
    for hook in resolve.usual_hooks(probe):
        lines.append(f"  {hook.function}{' (optional)' if hook.optional else ''}")
        used = next((spec for spec in hook.any_of if reasons.get(spec, "") is None), None)
        for spec in hook.any_of:
            mark = "  <- used on this kernel" if spec == used else ""
            reason = reasons.get(spec)
            lines.append(f"    {spec}{mark}{f'  (not here: {reason})' if reason else ''}")
    if unchecked:
        lines.append(f"  Which of them this kernel supports is not known: {unchecked}")
    return "\n".join(lines)


def shown_options(probe: Probe) -> str:
    """Return the options of the probe's example, as they are typed on a line."""
    flags = {p.name: flag_of(p) for p in probe.parameters}
    flags |= {option.name: option.flags[-1] for option in options.OPTIONS}
    words = []
    for name, value in probe.check.options.items():
        text = str(value).strip("{}").upper() if str(value).startswith("{") else str(value)
        words.append(flags[name] if value is True else f"{flags[name]} {text}")
    return " ".join(words)


def _unsupported_filters(probe: Probe) -> str:
    """Return which filters the probe does not support; "" if it supports all."""
    if probe.filters == "none":
        return "Filters: --pid, --comm, --uid, --cgroup and --tree are not supported."
    return "" if resolve.knows_tasks(probe) else "Filters: --cgroup and --tree are not supported."


def _example_options(probe: Probe) -> str:
    given = shown_options(probe)
    return f" ({given})" if given else ""


def _columns(probe: Probe, index: int) -> Rows:
    spec = probe.tables[index]
    rows = [
        (c.name, c.unit or c.kind.removesuffix("_be").replace("_", " "), c.help)
        for c in spec.columns
    ]
    title = f"Table {spec.name}" + (f": {spec.help}" if spec.help else "")
    return Rows(title, ("column", "unit or kind", "meaning"), rows)


def plot_text(plot: Plot) -> str:
    """Return what a plot shows: "histogram of latency_us by comm: Wait for a CPU"."""
    value = plot.value if plot.value != "count" else ""
    axes = " over ".join(filter(None, (plot.y or value, plot.x)))
    of = f" of {axes}" if axes else ""
    by = f" by {plot.by}" if plot.by else ""
    return f"{plot.kind}{of}{by}{f': {plot.title}' if plot.title else ''}"


def _cost(probe: Probe) -> str:
    cost = probe.overhead
    measured = f", {cost.ns_per_event:g} ns per event" if cost.ns_per_event is not None else ""
    note = f". {cost.note}" if cost.note else ""
    return f"Overhead: {cost.level}{measured}{note}"


def _cut_to_terminal(example: str) -> str:
    """Return an example's lines, cut to the terminal: folded lines would tear its columns apart."""
    width = shutil.get_terminal_size((1000, 24)).columns
    return "\n".join(shortened(f"  {line}", width) for line in example.splitlines())
