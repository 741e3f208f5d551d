"""Reads the line of a magic or of the command line: what is to run, and the options as text.

`parse` takes a line's tokens apart, `options.checked` converts what it found. Both raise
ParameterError, never SystemExit, and nothing is printed.
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
from kernelscope.text import help_width
from kernelscope.tracing import options


@dataclass(frozen=True)
class Parsed:
    """A command line, taken apart: what to run and the options given, still as text.

    targets: all that is named, where it is more than one; several probes run together.
    """

    target: str | None
    given: dict[str, Any] = field(default_factory=dict)
    help: bool = False
    targets: tuple[str, ...] = ()


class _Help(argparse.HelpFormatter):
    """Flags and what they do side by side, in the width that there is."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=30, width=help_width())


class _Parser(argparse.ArgumentParser):
    """argparse that raises instead of printing and exiting."""

    def error(self, message: str) -> NoReturn:
        raise ParameterError(
            message.removeprefix("argument "), hint=f"{self.prog} --help lists the options"
        )


def parser(
    probe: Probe | Sequence[Probe] | None = None, *, where: str = "magic", prog: str = "%ebpf"
) -> _Parser:
    """Build the parser for one place; with probes, their own parameters are options too."""
    made = _Parser(prog=prog, add_help=False, allow_abbrev=False, formatter_class=_Help)
    if isinstance(probe, Probe):
        own = made.add_argument_group(f"options of {probe.name}")
        for parameter in probe.parameters:
            add_parameter(own, parameter, [options.flag_of(parameter)], parameter.name)
    elif probe is not None:
        from kernelscope.tracing import option_groups

        option_groups.add_options(made, probe)
    else:
        made.add_argument("targets", nargs="*", help=argparse.SUPPRESS)
    common = made.add_argument_group("options")
    common.add_argument("-h", "--help", action="store_true", help="Show this help")
    useless = _useless(probe) if isinstance(probe, Probe) else ()
    for option in options.offered(where):
        _add_option(common, option, argparse.SUPPRESS if option.name in useless else option.help)
    return made


def _useless(probe: Probe) -> tuple[str, ...]:
    """Return the options that a probe refuses; they are read, to say why, and not offered."""
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


def add_parameter(
    group: Any, parameter: Parameter, flags: Sequence[str], dest: str, *, hidden: bool = False
) -> None:
    """Add a probe's parameter under those flags to a parser; `dest` is its name in the result."""
    text = argparse.SUPPRESS if hidden else parameter.help.replace("%", "%%")
    if parameter.kind == "flag":
        group.add_argument(*flags, dest=dest, action="store_true", default=None, help=text)
        return
    if not hidden:
        text += _remark(parameter)
    metavar = "|".join(parameter.choices) or parameter.kind.upper()
    group.add_argument(*flags, dest=dest, metavar=metavar, help=text)


def _remark(parameter: Parameter) -> str:
    """Return a parameter's range and default for its help: " (1 to 5000 Hz; default: 99 Hz)"."""
    unit = f" {parameter.unit}" if parameter.unit else ""
    low, high = parameter.minimum, parameter.maximum
    said = []
    if low is not None and high is not None:
        said.append(f"{low:,g} to {high:,g}{unit}")
    elif low is not None:
        said.append(f"at least {low:,g}{unit}")
    elif high is not None:
        said.append(f"at most {high:,g}{unit}")
    if parameter.default is not None:
        said.append(f"default: {parameter.default}{unit}")
    return f" ({'; '.join(said)})" if said else ""


def split(line: str) -> list[str]:
    """Split a magic's line as a shell would, a comment left out.

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
        with suppress(ValueError):  # where a quote is open before it, it begins no comment
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
    """Take a command line apart. Raises ParameterError with close matches.

    find: gives the probe of a name, None where the name stands for a file or standard input.
    """
    common = parser(where=where, prog=prog)
    first, unknown = common.parse_known_args(tokens)
    targets = [*first.targets, *_more_targets(unknown)] if first.targets else []
    try:
        probes = [find(target) for target in targets]
    except ProbeNotFoundError as error:
        if tokens[0] != error.details["name"] and unknown:  # it is a misspelt option's value
            raise _unexpected(unknown, common) from None
        raise
    made = common
    rest = list(tokens)
    if any(probe is not None for probe in probes) or len(probes) > 1:
        made = _parser_for(targets, probes, where, prog)
        for target in targets:
            rest.remove(target)
    found, extra = made.parse_known_args(rest)
    if extra:
        raise _unexpected(extra, made)
    given = {name: value for name, value in vars(found).items() if value is not None}
    given.pop("targets", None)
    several = tuple(targets) if len(targets) > 1 else ()
    asks_help = bool(given.pop("help", False))
    return Parsed(targets[0] if targets else None, given, asks_help, several)


def _more_targets(unknown: Sequence[str]) -> list[str]:
    """Return those words of a line that stand after options and are no option's value."""
    return [
        word
        for before, word in zip(["", *unknown], unknown, strict=False)
        if not word.startswith("-") and not before.startswith("-")
    ]


def _parser_for(
    targets: Sequence[str], probes: Sequence[Probe | None], where: str, prog: str
) -> _Parser:
    if len(probes) == 1:
        return parser(probes[0], where=where, prog=f"{prog} {targets[0]}")
    from kernelscope.tracing import option_groups

    found = option_groups.probes_of(targets, probes)
    return parser(found, where=where, prog=f"{prog} {' '.join(targets)}")


def _unexpected(extra: Sequence[str], made: _Parser) -> ParameterError:
    flags = [flag for action in made._actions for flag in action.option_strings]
    wrong = next((token for token in extra if token.startswith("-")), None)
    if wrong is None:
        hint = f"{made.prog} --help lists the options"
        return ParameterError(f"unexpected {extra[0]!r}", hint=hint, name=extra[0])
    name = wrong.partition("=")[0]
    elsewhere = any(name in o.flags for o in options.OPTIONS if o.where == "notebook")
    close = suggestion(did_you_mean(name, flags))
    if elsewhere and name in ("-o", "--out"):
        close = "--save FILE writes a file of the kind that its name ends in"
    return ParameterError(
        f"there is no option {name}{' outside a notebook' if elsewhere else ''}",
        hint=close or f"{made.prog} --help lists the options",
        name=name,
    )


def usage(probe: Probe | None = None, *, where: str = "magic", prog: str = "%ebpf") -> str:
    """Return the options as help text, a probe's own first."""
    text = parser(probe, where=where, prog=prog).format_help()
    return text[text.index("\n\n") + 2 :].rstrip()
