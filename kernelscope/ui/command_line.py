"""Reads the line of a magic or a command: what to run, and the options as text.

`parse` splits a line into probes and options; `options.split` converts the options. Both raise
ParameterError, never SystemExit, and print nothing.
"""

from __future__ import annotations

import argparse
import re
import shlex
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, NoReturn

from kernelscope.errors import ParameterError, ProbeNotFoundError, did_you_mean, suggestion
from kernelscope.probe.model import Parameter, Probe
from kernelscope.probe.parameters import flag_of
from kernelscope.text import help_width
from kernelscope.tracing import option_groups, options


@dataclass(frozen=True)
class Parsed:
    """A line, split: what to run, and the options, still as text.

    targets: the names of probes, or one file or "-". probes: those of these names; none of a file.
    """

    targets: tuple[str, ...] = ()
    probes: tuple[Probe, ...] = ()
    given: dict[str, Any] = field(default_factory=dict)
    help: bool = False

    @property
    def subject(self) -> Probe | list[Probe] | None:
        """What a session runs: one probe, or several together; None where the line has none."""
        if len(self.probes) > 1:
            return list(self.probes)
        return self.probes[0] if self.probes else None


class _HelpFormatter(argparse.HelpFormatter):
    """Flags and their meanings side by side, as wide as the terminal."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=30, width=help_width())


class LineParser(argparse.ArgumentParser):
    """argparse that raises ParameterError instead of printing and exiting."""

    def __init__(self, prog: str) -> None:
        super().__init__(
            prog=prog, add_help=False, allow_abbrev=False, formatter_class=_HelpFormatter
        )

    def error(self, message: str) -> NoReturn:
        """Raise what is wrong with the line."""
        raise ParameterError(message.removeprefix("argument "), hint=self.next_step)

    @property
    def next_step(self) -> str:
        """The hint of an error about the line."""
        return f"{self.prog} --help lists the options"

    @property
    def flags(self) -> list[str]:
        """Every flag, hidden ones too."""
        return [flag for action in self._actions for flag in action.option_strings]

    @property
    def _offered(self) -> list[argparse.Action]:
        return [a for a in self._actions if a.option_strings and a.help != argparse.SUPPRESS]

    @property
    def offered_flags(self) -> list[str]:
        """The long flags that the help shows."""
        flags = [flag for action in self._offered for flag in action.option_strings]
        return [flag for flag in flags if flag.startswith("--")]

    @property
    def offered_options(self) -> list[tuple[str, str]]:
        """The options that the help shows: flags with the value's name, and the meaning."""
        rows = []
        for action in self._offered:
            value = f" {action.metavar}" if action.metavar else ""
            meaning = (action.help or "").replace("%%", "%")
            rows.append((", ".join(action.option_strings) + value, meaning))
        return rows


def parser(
    probe: Probe | Sequence[Probe] | None = None, *, where: str = "magic", prog: str = "%ebpf"
) -> LineParser:
    """Build the parser for one place; the parameters of the probes are options too."""
    built = LineParser(prog)
    if isinstance(probe, Probe):
        group = built.add_argument_group(f"options of {probe.name}")
        for parameter in probe.parameters:
            _add_parameter(group, parameter, [flag_of(parameter)], parameter.name)
    elif probe is not None:
        _add_probes(built, probe)
    else:
        built.add_argument("targets", nargs="*", help=argparse.SUPPRESS)
    common = built.add_argument_group("options")
    common.add_argument("-h", "--help", action="store_true", help="Show this help")
    hidden = _unsupported(probe) if isinstance(probe, Probe) else ()
    for option in options.offered(where):
        _add_option(common, option, argparse.SUPPRESS if option.name in hidden else option.help)
    return built


def _unsupported(probe: Probe) -> tuple[str, ...]:
    """Return the options that a probe does not support: parsed, for a better error, and hidden."""
    filters = options.FILTERS if probe.filters == "none" else ()
    return ("attach", "types", *filters)


def _add_option(group: Any, option: options.Option, text: str) -> None:
    if not option.metavar:
        group.add_argument(
            *option.flags, dest=option.name, action="store_true", default=None, help=text
        )
        return
    action = "append" if option.repeat else "store"
    group.add_argument(
        *option.flags, dest=option.name, metavar=option.metavar, action=action, help=text
    )


def _add_parameter(
    group: Any, parameter: Parameter, flags: Sequence[str], dest: str, *, hidden: bool = False
) -> None:
    """Add a probe's parameter to a parser under those flags."""
    text = argparse.SUPPRESS if hidden else parameter.help.replace("%", "%%")
    if parameter.kind == "flag":
        group.add_argument(*flags, dest=dest, action="store_true", default=None, help=text)
        return
    if not hidden:
        text += _range_and_default(parameter)
    metavar = "|".join(parameter.choices) or parameter.kind.upper()
    group.add_argument(*flags, dest=dest, metavar=metavar, help=text)


def _range_and_default(parameter: Parameter) -> str:
    """Return a parameter's range and default for its help: " (1 to 5000 Hz; default: 99 Hz)"."""
    unit = f" {parameter.unit}" if parameter.unit else ""
    low, high = parameter.minimum, parameter.maximum
    parts = []
    if low is not None and high is not None:
        parts.append(f"{low:,g} to {high:,g}{unit}")
    elif low is not None:
        parts.append(f"at least {low:,g}{unit}")
    elif high is not None:
        parts.append(f"at most {high:,g}{unit}")
    if parameter.default is not None:
        parts.append(f"default: {parameter.default}{unit}")
    return f" ({'; '.join(parts)})" if parts else ""


def _add_probes(built: LineParser, probes: Sequence[Probe]) -> None:
    """Add the parameters of several probes: --OPTION where one has it, --PROBE.OPTION always."""
    for probe in probes:
        group = built.add_argument_group(f"options of {probe.name}")
        for parameter in probe.parameters:
            flags = _group_flags(parameter, probe, probes)
            _add_parameter(group, parameter, flags, f"{probe.name}.{parameter.name}")
        group.add_argument(
            f"--{probe.name}.table", dest=f"{probe.name}.table", metavar="NAME", help="As --table"
        )
    named = {p.name: p for probe in probes for p in probe.parameters}
    for name, parameter in named.items():
        if len(option_groups.owners(name, probes)) > 1:  # parsed, so that the error can list them
            _add_parameter(built, parameter, [flag_of(parameter)], name, hidden=True)


def _group_flags(parameter: Parameter, probe: Probe, probes: Sequence[Probe]) -> list[str]:
    flag = flag_of(parameter)
    dotted = f"--{probe.name}.{flag.removeprefix('--')}"
    return [dotted] if len(option_groups.owners(parameter.name, probes)) > 1 else [flag, dotted]


def split(line: str) -> list[str]:
    """Split a magic's line as a shell would, without its comment.

    Raises ParameterError for an unclosed quote.
    """
    try:
        return shlex.split(_without_comment(line))
    except ValueError as error:
        raise ParameterError(
            f"the line cannot be read: {str(error).lower()}", hint="close every quote", name="line"
        ) from None


def _without_comment(line: str) -> str:
    for found in re.finditer(r"(^|\s)#", line):
        before = line[: found.start()]
        with suppress(ValueError):  # an open quote before it: this "#" starts no comment
            shlex.split(before)
            return before
    return line


def parse(
    tokens: Sequence[str],
    find: Callable[[str], Probe | None],
    *,
    where: str = "magic",
    prog: str = "%ebpf",
) -> Parsed:
    """Split a line into targets and options. Raises ParameterError with close matches.

    find: returns the probe of a name, None where the name stands for a file or standard input.
    """
    common = parser(where=where, prog=prog)
    first, unknown = common.parse_known_args(tokens)
    targets = [*first.targets, *_more_targets(unknown)] if first.targets else []
    try:
        probes = [find(target) for target in targets]
    except ProbeNotFoundError as error:
        if tokens[0] != error.details["name"] and unknown:  # the value of a misspelt option
            raise _unexpected(unknown, common) from None
        hook = _hook_option(targets, error.details["name"], find)
        if hook is not None:
            raise ParameterError(
                f"unexpected {error.details['name']!r}", hint=f"{prog} {hook}", name="hook"
            ) from None
        raise
    built = common
    rest = list(tokens)
    if len(targets) > 1:
        _refuse_files(targets, probes)
    known = [probe for probe in probes if probe is not None]
    if known:
        built = _parser_for(known, where, f"{prog} {' '.join(targets)}")
        for target in targets:
            rest.remove(target)
    found, extra = built.parse_known_args(rest)
    if extra:
        raise _unexpected(extra, built)
    given = {name: value for name, value in vars(found).items() if value is not None}
    given.pop("targets", None)
    asks_help = bool(given.pop("help", False))
    return Parsed(tuple(targets), tuple(known), given, asks_help)


def _hook_option(
    targets: Sequence[str], word: str, find: Callable[[str], Probe | None]
) -> str | None:
    """Return the option for what to trace, if the word follows a probe that takes it so.

    bcc's tools take it as an argument: funccount c:malloc.
    """
    if word == targets[0]:
        return None
    probe = find(targets[0])
    parameters = probe.parameters if probe is not None else ()
    flag = next((flag_of(p) for p in parameters if p.kind == "hook"), None)
    return f"{targets[0]} {flag} {word}" if flag else None


def _more_targets(unknown: Sequence[str]) -> list[str]:
    """Return the words that stand after options and are no option's value."""
    return [
        word
        for before, word in zip(["", *unknown], unknown, strict=False)
        if not word.startswith("-") and not before.startswith("-")
    ]


def _refuse_files(targets: Sequence[str], probes: Sequence[Probe | None]) -> None:
    for target, probe in zip(targets, probes, strict=True):
        if probe is None:
            raise ParameterError(
                f"{target} cannot run together with others",
                hint="only probes of the catalogue, and .toml files, run together",
                name="probe",
                value=target,
            )


def _parser_for(probes: Sequence[Probe], where: str, prog: str) -> LineParser:
    if len(probes) == 1:
        return parser(probes[0], where=where, prog=prog)
    return parser(option_groups.distinct(probes), where=where, prog=prog)


def _unexpected(extra: Sequence[str], built: LineParser) -> ParameterError:
    wrong = next((token for token in extra if token.startswith("-")), None)
    if wrong is None:
        return ParameterError(f"unexpected {extra[0]!r}", hint=built.next_step, name=extra[0])
    name = wrong.partition("=")[0]
    elsewhere = any(name in o.flags for o in options.OPTIONS if o.where == "notebook")
    close = suggestion(did_you_mean(name, built.flags))
    if elsewhere and name in ("-o", "--out"):
        close = "--save FILE writes a file; its extension picks the format"
    return ParameterError(
        f"there is no option {name}{' outside a notebook' if elsewhere else ''}",
        hint=close or built.next_step,
        name=name,
    )


def options_text(built: LineParser) -> str:
    """Return the options as help text, the probe's own first."""
    text = built.format_help()
    return text[text.index("\n\n") + 2 :].rstrip()


def usage(probe: Probe | None = None, *, where: str = "magic", prog: str = "%ebpf") -> str:
    """Return the options of one place as help text."""
    return options_text(parser(probe, where=where, prog=prog))
