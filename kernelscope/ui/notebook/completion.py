"""Tab completion after %ebpf and %%ebpf: probes, options, choices, tracepoints, symbols."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from kernelscope.errors import KernelScopeError
from kernelscope.probe import catalogue
from kernelscope.probe.parameters import flag_of
from kernelscope.protocol import hook_kinds
from kernelscope.tracing import cgroups, options
from kernelscope.ui import commands, parser

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from kernelscope.probe.model import Probe
    from kernelscope.tracing.session import Session


def install(shell: InteractiveShell, session: Session) -> None:
    """Offer completion in that shell."""

    def complete(_: object, event: Any) -> list[str]:
        return at_cursor(event.line, event.symbol, session)

    for command in ("%ebpf", "%%ebpf", "%%probe"):
        shell.set_hook("complete_command", complete, str_key=command)  # type: ignore[no-untyped-call]


def at_cursor(line: str, symbol: str, session: Session) -> list[str]:
    """Return completions of `symbol`, the end of the line up to the last delimiter.

    IPython ends a symbol at ":" and "="; this function completes the whole word.
    """
    words = line.split()
    word = "" if not line or line[-1].isspace() else words.pop()
    kept = len(word) - len(symbol)
    found = complete(words[1:], word.lstrip("\"'"), session, cell=line.startswith("%%ebpf"))
    if line.startswith("%%probe"):
        found = [name for name in found if name not in commands.NAMES]
    lead = len(word) - len(word.lstrip("\"'"))
    return [name[kept - lead :] for name in found if kept >= lead]


def complete(before: Sequence[str], word: str, session: Session, *, cell: bool) -> list[str]:
    """Return the completions of `word` after the words before it (without the magic's name)."""
    if not cell and before[:1] in (["show"], ["search"]):
        names = catalogue.names() if before == ["show"] else []
        return [name for name in names if name.startswith(word)]
    probes = [found for name in before if name in catalogue.names() and (found := _probe(name))]
    last = before[-1] if before else ""
    probe, last = _meant(probes, last)
    if last == "--attach":
        return hooks(word, session)
    if last == "--cgroup":
        return [name for name in cgroups.names() if name.startswith(word)]
    if word.startswith("-"):
        flags = _flags(probe) if len(probes) < 2 else parser.parser(probes).offered_flags
        return [flag for flag in flags if flag.startswith(word)]
    if last in _hook_flags(probe):
        return _chosen_hooks(word, session)
    choices = _choices(probe, last)
    if choices is not None:
        return [choice for choice in choices if choice.startswith(word)]
    named = [found.name for found in probes]
    if not cell and (last in named or not (probes or last.startswith("-"))):
        names = [*catalogue.names(), *(commands.NAMES if not before else ())]
        return [name for name in names if name.startswith(word) and name not in named]
    return []


def _meant(probes: Sequence[Probe], flag: str) -> tuple[Probe | None, str]:
    """Return the probe that a flag belongs to, and the flag without its name: --syscount.by."""
    name, dot, own = flag.removeprefix("--").partition(".")
    for probe in probes:
        if dot and probe.name == name:
            return probe, f"--{own}"
    having = [p for p in probes if flag in [flag_of(own) for own in p.parameters]]
    return next(iter(having or probes), None), flag


def hooks(word: str, session: Session) -> list[str]:
    """Return hooks that start with `word`; the agent lists names if it is running."""
    kind, colon, rest = word.partition(":")
    if not colon:
        return [f"{name}:" for name in hook_kinds.names() if name.startswith(word)]
    known = hook_kinds.find(kind)
    in_program = known is not None and known.in_program  # a target comes before its symbol
    target, separator, prefix = rest.rpartition(":") if in_program else ("", "", rest)
    if not session.started or (in_program and not separator):
        return []
    try:
        names = session.agent.list(kind, prefix, target)
    except KernelScopeError:
        return []  # completion cannot show why; running the cell does
    lead = f"{kind}:{target}{separator}"
    return [name if name.startswith(lead) else lead + name for name in names]


def _chosen_hooks(word: str, session: Session) -> list[str]:
    """As `hooks`, for the target of a probe, where "c:malloc" is short for "uprobe:c:malloc"."""
    before, comma, last = word.rpartition(",")
    kind = last.partition(":")[0]
    if ":" not in last or kind in hook_kinds.names():
        found = hooks(last, session)
    else:
        found = [name.removeprefix("uprobe:") for name in hooks(f"uprobe:{last}", session)]
    return [f"{before}{comma}{name}" for name in found]


def _hook_flags(probe: Probe | None) -> list[str]:
    own = probe.parameters if probe else ()
    return [flag_of(parameter) for parameter in own if parameter.kind == "hook"]


def _probe(name: str) -> Probe | None:
    try:
        return catalogue.find(name)
    except KernelScopeError:
        return None


def _flags(probe: Probe | None) -> list[str]:
    own = [flag_of(parameter) for parameter in probe.parameters] if probe else []
    common = [flag for option in options.offered("magic") for flag in option.flags]
    return [*own, *(flag for flag in common if flag.startswith("--")), "--help"]


def _choices(probe: Probe | None, flag: str) -> Sequence[str] | None:
    """Return the values of a flag, None if they are not known."""
    for parameter in probe.parameters if probe else ():
        if flag_of(parameter) == flag and parameter.kind == "choice":
            return parameter.choices
    if probe is not None and flag == "--table":
        return [table.name for table in probe.tables]
    return None
