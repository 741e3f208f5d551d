"""The subcommands of `%ebpf` and `kernelscope`: one table for both, their help and completion.

`answer` serves those that trace nothing; what runs is up to the magic and the command line.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from kernelscope.errors import ParameterError, did_you_mean, suggestion
from kernelscope.text import table
from kernelscope.ui.command_line import LineParser
from kernelscope.version import __version__

Check = Callable[[list[str]], Mapping[str, str | None]]


@dataclass(frozen=True)
class Place:
    """Where a line was typed. prog: the command itself. run: what runs a probe there."""

    where: str
    prog: str
    run: str


MAGIC = Place("magic", "%ebpf", "%ebpf")
CLI = Place("cli", "kernelscope", "kernelscope run")


@dataclass(frozen=True)
class Command:
    """One subcommand: its arguments as the help shows them, and what it does."""

    name: str
    arguments: str
    summary: str

    def usage(self, place: Place) -> str:
        """Return the line that calls it."""
        return " ".join(filter(None, (place.prog, self.name, self.arguments)))


COMMANDS = (
    Command("run", "NAME... [options]", "run one or several probes"),
    Command("live", "NAME... [options]", "show a live view while probes run"),
    Command("list", "[AREA...] [--json]", "list the probes and whether this kernel can run them"),
    Command("search", "WORD...", "find the probes that answer a question: search slow disk"),
    Command("show", "NAME", "describe a probe: options, columns, hooks, C source"),
    Command("doctor", "[--json]", "check what works on this machine and how to fix the rest"),
    Command("help", "", "show this help"),
)
NAMES = tuple(command.name for command in COMMANDS)
_SPELLINGS = {"--help": "help", "-h": "help", "--version": "version"}


def named(word: str) -> str | None:
    """Return the subcommand that a line's first word calls; None if it is none."""
    found = _SPELLINGS.get(word, word)
    return found if found in (*NAMES, "version") else None


def answer(command: str, words: Sequence[str], place: Place, check: Check) -> object:
    """Serve a subcommand that traces nothing and return what to show; text as `str`.

    check: returns for each hook why this kernel cannot run it. Raises ParameterError.
    Each command imports what it needs: a run needs none of it.
    """
    if {"-h", "--help"} & set(words):
        return usage_of(command, place)
    if command == "version":
        return f"kernelscope {__version__}"
    if command == "search":
        from kernelscope.probe import search

        matches = search.asked(" ".join(words), prog=f"{place.prog} search")
        return replace(matches, run=place.run, show=f"{place.prog} show")
    if command == "show":
        from kernelscope.ui import help

        probe = help.probe_to_show(words, f"{place.prog} show")
        return help.description(probe, check, where=place.where, prog=place.run)
    areas, as_json = _arguments(command, words, place)
    if command == "list":
        from kernelscope.probe import catalogue
        from kernelscope.ui import listing

        probes = listing.of_areas(catalogue.catalogue().values(), areas)
        found = listing.listing(probes, check, next_steps(place))
        return found.to_json() if as_json else found
    if command == "doctor":
        from kernelscope.ui import doctor

        checkup = doctor.Checkup(doctor.examine())
        return checkup.to_json() if as_json else checkup
    return usage(place)


def _arguments(command: str, words: Sequence[str], place: Place) -> tuple[list[str], bool]:
    """Return the areas that the line names and whether it asks for JSON. Raises ParameterError."""
    described = next(item for item in COMMANDS if item.name == command)
    parser = LineParser(f"{place.prog} {command}")
    if "--json" in described.arguments:
        parser.add_argument("--json", action="store_true")
    if "AREA" in described.arguments:
        parser.add_argument("areas", nargs="*")
    found, extra = parser.parse_known_args(words)
    if extra:
        close = suggestion(did_you_mean(extra[0], parser.flags))
        hint = close or described.usage(place)
        raise ParameterError(f"unexpected {extra[0]!r}", hint=hint, name=extra[0])
    return getattr(found, "areas", []), getattr(found, "json", False)


def usage(place: Place) -> str:
    """Return every subcommand with its meaning, as a table."""
    rows = [(item.usage(place), item.summary) for item in COMMANDS]
    lines = table(("command", "what it does"), rows).splitlines()[1:]
    return "\n".join(f"  {line}" for line in lines)


def usage_of(command: str, place: Place) -> str:
    """Return one subcommand's usage and meaning."""
    described = next((item for item in COMMANDS if item.name == command), None)
    if described is None:
        return usage(place)
    json = "\n  --json  print JSON" if "--json" in described.arguments else ""
    return f"{described.usage(place)}\n\n  {described.summary}{json}"


def next_steps(place: Place) -> str:
    """Return what to do with the name of a probe."""
    return (
        f"{place.run} NAME runs one; {place.prog} show NAME describes it; "
        f"{place.prog} search WORD... finds one."
    )
