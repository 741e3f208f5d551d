"""Tab completion after %ebpf, %%ebpf, %%bpftrace and %%probe: our own words alone.

IPython would add Python names, its magics and the files of the folder to them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from kernelscope.errors import KernelScopeError
from kernelscope.probe import catalogue
from kernelscope.probe.parameters import flag_of
from kernelscope.protocol import hook_kinds
from kernelscope.tracing import options
from kernelscope.ui import command_line, commands
from kernelscope.ui.notebook import completion_values

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from kernelscope.probe.model import Probe
    from kernelscope.tracing.session import Session

# A magic at the start of a line, or after "name =".
_MAGIC = re.compile(r"\s*(?:[\w.]+\s*=\s*)?(?P<line>%%?(?:ebpf|probe|bpftrace)\s.*)", re.DOTALL)
_MATCHER = "kernelscope"


def install(shell: InteractiveShell, session: Session) -> None:
    """Offer completion in that shell, instead of its own where the line is ours."""
    from IPython.core.completer import SimpleCompletion, context_matcher

    @context_matcher(identifier=_MATCHER)  # type: ignore[untyped-decorator]
    def match(context: Any) -> dict[str, Any]:
        line = context.line_with_cursor[: context.cursor_position]
        found = _MAGIC.match(line)
        names = at_cursor(found["line"], context.token, session) if found else []
        return {"completions": [SimpleCompletion(text=name) for name in names], "suppress": True}

    matchers: list[Any] = shell.Completer.custom_matchers
    matchers[:] = [m for m in matchers if getattr(m, "matcher_identifier", "") != _MATCHER]
    matchers.append(match)


def at_cursor(line: str, symbol: str, session: Session) -> list[str]:
    """Return completions of `symbol`, the end of the line up to the last delimiter.

    IPython ends a symbol at ":" and "="; this function completes the whole word.
    """
    words = line.split()
    word = "" if not line or line[-1].isspace() else words.pop()
    kept = len(word) - len(symbol)
    found = complete(words[1:], word.lstrip("\"'"), session, cell=line.startswith("%%"))
    if line.startswith("%%probe"):
        found += _probe_names(words[1:], word)
    lead = len(word) - len(word.lstrip("\"'"))
    return [name[kept - lead :] for name in found if kept >= lead]


def complete(before: Sequence[str], word: str, session: Session, *, cell: bool) -> list[str]:
    """Return the completions of `word` after the words before it (without the magic's name)."""
    if not cell and (command := _answered(before)) is not None:
        return [name for name in _arguments(command, before) if name.startswith(word)]
    probes = _named_probes(before)
    last = before[-1] if before else ""
    probe, flag = _owner(probes, last)
    if word.startswith("-"):
        built = command_line.parser(probes if len(probes) > 1 else next(iter(probes), None))
        return [name for name in built.offered_flags if name.startswith(word)]
    if flag == "--attach":
        return hooks(word, session)
    if flag in _hook_flags(probe):
        return _target_hooks(word, session)
    if _takes_value(flag, probe):
        return completion_values.values(
            flag, word, _parameter_kind(flag, probe), _choices(probe, flag)
        )
    return [] if cell else _names(before, word)


def _answered(before: Sequence[str]) -> str | None:
    """Return the subcommand of the line if it runs nothing."""
    command = commands.named(before[0]) if before else None
    return None if command in ("run", "live") else command


def _arguments(command: str, before: Sequence[str]) -> Sequence[str]:
    """Return what a subcommand that runs nothing takes."""
    if command == "show":
        return catalogue.names() if len(before) == 1 else []
    if command == "list":
        areas = dict.fromkeys(probe.area for probe in catalogue.catalogue().values())
        return [*areas, "--json"]
    return ["--json"] if command == "doctor" else []


def _names(before: Sequence[str], word: str) -> list[str]:
    """Return the probes, and at the start of a line the subcommands, that a word may become."""
    commands_first = commands.NAMES if not before else ()
    return [*_probe_names(before, word), *(n for n in commands_first if n.startswith(word))]


def _probe_names(before: Sequence[str], word: str) -> list[str]:
    """Return the probes that may follow: at the start, or after other names."""
    last = before[-1] if before else ""
    named = [probe.name for probe in _named_probes(before)]
    first = not before or before[-1] in ("run", "live")
    if word.startswith("-") or not (first or last in named or not (named or last[:1] == "-")):
        return []
    return [name for name in catalogue.names() if name.startswith(word) and name not in named]


def _named_probes(before: Sequence[str]) -> list[Probe]:
    return [found for name in before if name in catalogue.names() and (found := _probe(name))]


def _probe(name: str) -> Probe | None:
    try:
        return catalogue.find(name)
    except KernelScopeError:
        return None


def _owner(probes: Sequence[Probe], flag: str) -> tuple[Probe | None, str]:
    """Return the probe that a flag belongs to, and the flag without its name: --syscount.by."""
    name, dot, own = flag.removeprefix("--").partition(".")
    for probe in probes:
        if dot and probe.name == name:
            return probe, f"--{own}"
    having = [p for p in probes if flag in [flag_of(own) for own in p.parameters]]
    return next(iter(having or probes), None), flag


def _takes_value(flag: str, probe: Probe | None) -> bool:
    own = probe.parameters if probe else ()
    common = [f for o in options.offered("magic") if o.metavar for f in o.flags]
    return flag in [*common, *(flag_of(p) for p in own if p.kind != "flag")]


def _parameter_kind(flag: str, probe: Probe | None) -> str:
    """Return the kind of a probe's parameter; "" for an option that all probes have."""
    own = probe.parameters if probe else ()
    return next((p.kind for p in own if flag_of(p) == flag), "")


def _choices(probe: Probe | None, flag: str) -> Sequence[str]:
    """Return the words that a flag takes, if it takes only some."""
    if probe is not None and flag == "--table":
        return [table.name for table in probe.tables]
    own = probe.parameters if probe else ()
    return next((p.choices for p in own if flag_of(p) == flag), ())


def _hook_flags(probe: Probe | None) -> list[str]:
    own = probe.parameters if probe else ()
    return [flag_of(parameter) for parameter in own if parameter.kind == "hook"]


def hooks(word: str, session: Session) -> list[str]:
    """Return hooks that start with `word`; the agent lists names if it is running."""
    kind, colon, rest = word.partition(":")
    if not colon:
        return [f"{name}:" for name in hook_kinds.names() if name.startswith(word)]
    known = hook_kinds.find(kind)
    in_program = known is not None and known.in_program  # a target comes before its symbol
    target, separator, prefix = rest.rpartition(":") if in_program else ("", "", rest)
    if known is not None and known.of_interface:
        return [
            f"{kind}:{name}" for name in completion_values.interfaces() if name.startswith(rest)
        ]
    if not session.started or (in_program and not separator):
        return []
    try:
        names = session.agent.list(kind, prefix, target)
    except KernelScopeError:
        return []  # completion cannot show why; running the cell does
    lead = f"{kind}:{target}{separator}"
    found = [name if name.startswith(lead) else lead + name for name in names]
    return [name for name in found if name.isprintable() and " " not in name]


def _target_hooks(word: str, session: Session) -> list[str]:
    """As `hooks`, for the target of a probe, where "c:malloc" is short for "uprobe:c:malloc"."""
    before, comma, last = word.rpartition(",")
    kind = last.partition(":")[0]
    if ":" not in last or kind in hook_kinds.names():
        found = hooks(last, session)
    else:
        found = [name.removeprefix("uprobe:") for name in hooks(f"uprobe:{last}", session)]
    return [f"{before}{comma}{name}" for name in found]
