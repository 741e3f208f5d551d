"""Restricts programs to the probes that were installed with the agent.

An allowed text is not enough while the client chooses what precedes it, what its names mean or
where it runs: attached to another hook, a function that reads a file's name reads whatever the
argument there points to. So the macros before it must be the installed ones, every hook, macro and
number must be in the probe's own description and in its range, and only the maps are read that the
description shows as tables.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import chain, zip_longest
from pathlib import Path
from typing import Any

from kernelscope.agent.server import probe_parameters
from kernelscope.errors import AgentRefusedError
from kernelscope.protocol import hook_kinds
from kernelscope.protocol.probe_folder import probe_folder
from kernelscope.protocol.program import Program

_PLACE = re.compile(r"\\\{(\w+)\\\}")

Description = Mapping[str, Any]


def allowed(program: Program, policy: Path, trusted: Sequence[str] = ()) -> Program:
    """Return the program as it may run: it reads the maps that its description names.

    trusted: the probes that may read contents. Raises AgentRefusedError for a program that is not
    an installed probe as it was installed.
    """
    header = probe_folder() / "include" / "kernelscope.h"
    if program.prelude != header.read_text(encoding="utf-8"):
        raise _refused("the macros before the C are not the installed ones", "prelude", policy)
    name, description = _found(program.source)
    if description is None:
        raise _refused("the C is not an installed probe's", "source", policy)
    _check_hooks(program, description, policy)
    wrong = probe_parameters.wrong(program, description)
    if wrong is not None:
        raise _refused(wrong[1], wrong[0], policy)
    if name not in trusted:
        _check_trust(name, program, description, policy)
    tables = _tables(program, description, policy)
    return dataclasses.replace(program, tables=tables, kernel_names=())


def _check_hooks(program: Program, description: Description, policy: Path) -> None:
    for hook in program.hooks:
        if hook.function in _chosen(description):
            raise _refused(
                f"{hook.any_of[0]!r} is a hook that the user chose: it would read others' data",
                "hooks",
                policy,
            )
        for spec in hook.any_of:
            if not _is_for(spec, description, hook.function):
                raise _refused(f"{hook.function!r} is not for {spec!r}", "hooks", policy)


def _check_trust(name: str, program: Program, description: Description, policy: Path) -> None:
    """Raise AgentRefusedError if a probe discloses contents, or takes what others cannot share."""
    options = probe_parameters.disclosing(program, description)
    if description.get("discloses") == "contents" or options:
        what = f"{name} with {options[0]}" if options else name
        raise AgentRefusedError(
            f"this machine's policy does not allow {what}: it reads the contents of others' data",
            hint=f'{policy} must list it to allow it: "probes": ["{name}"]',
            field="params",
        )
    if any(spec.startswith("xdp:") for hook in program.hooks for spec in hook.any_of):
        raise AgentRefusedError(
            f"this machine's policy does not allow {name}: it takes an interface's only XDP slot",
            hint=f'{policy} must list it to allow it: "probes": ["{name}"]',
            field="hooks",
        )


def _tables(program: Program, description: Description, policy: Path) -> tuple[str, ...]:
    shown = tuple(dict.fromkeys(table["map"] for table in description.get("table", ())))
    hidden = [name for name in program.tables if name not in shown]
    if hidden:
        raise _refused(f"the map {hidden[0]!r} is not shown by the probe", "tables", policy)
    return program.tables or shown


def _chosen(description: Description) -> set[str]:
    """Return the functions that are attached wherever the user chooses."""
    given = {p["name"] for p in description.get("parameter", ()) if p.get("kind") == "hook"}
    places = {f"{{{name}{side}}}" for name in given for side in ("", ":return")}
    return {h["function"] for h in description.get("hook", ()) if places & set(h["any_of"])}


def check_refusal(spec: str, policy: Path) -> str | None:
    """Return why a hook may not be checked: checking attaches to it for a moment.

    None for installed probes' hooks, and for tracepoints, which are only looked up.
    """
    kind = hook_kinds.find(spec.partition(":")[0])
    if kind is None or kind.name == "tracepoint":
        return None
    if any(_is_for(spec, _read(path)) for path in _sources()):
        return None
    return f"the policy of this machine ({policy}) allows only the hooks of installed probes"


def list_refusal(kind: str, policy: Path) -> str | None:
    """Return why a kind's names may not be listed; None for the kernel's, which all may know."""
    found = hook_kinds.find(kind)
    if found is None or not found.in_program:
        return None
    return f"the policy of this machine ({policy}) allows only installed probes to read programs"


def _refused(why: str, field: str, policy: Path) -> AgentRefusedError:
    return AgentRefusedError(
        f"this machine's policy allows the installed probes only, unchanged: {why}",
        hint=f'C is root-equivalent; {policy} must say "source": "any" to allow it',
        field=field,
    )


def _sources() -> list[Path]:
    return sorted(probe_folder().glob("*/*.c"))


def _found(source: str) -> tuple[str, Description | None]:
    for path in _sources():
        if path.read_text(encoding="utf-8") == source:
            return path.stem, _read(path)
    return "", None


@lru_cache(maxsize=None)
def _read(source: Path) -> Description:
    try:
        import tomllib  # novm: 3.11; without it the policy refuses
    except ImportError:
        raise AgentRefusedError(
            "this machine's policy cannot be applied: the agent's Python is older than 3.11",
            hint="it has no reader for the probes' descriptions (tomllib)",
            field="source",
        ) from None
    return tomllib.loads(source.with_suffix(".toml").read_text(encoding="utf-8"))


def _is_for(spec: str, description: Description, function: str | None = None) -> bool:
    """Return whether a probe has that hook, for that function of its C or for any."""
    parameters = {p["name"]: p for p in description.get("parameter", ())}
    for name, pattern in _hooks(description):
        found = pattern.match(spec) if function in (None, name) else None
        if found is not None:
            numbers = {
                key: int(text) for key, text in found.groupdict().items() if text.isdecimal()
            }
            return all(
                probe_parameters.in_range(number, parameters[key])
                for key, number in numbers.items()
                if key in parameters
            )
    return False


def _hooks(description: Description) -> Iterator[tuple[str, re.Pattern[str]]]:
    """Yield each function and a pattern of a hook that it is for.

    "{name}" stands for a number, for the default text of a parameter of that name, and in hooks
    of packets for an interface: on any interface the function reads only the packet it gets.
    """
    texts = {
        re.escape(f"{{{parameter['name']}}}"): re.escape(parameter["default"])
        for parameter in description.get("parameter", ())
        if parameter.get("kind") == "text" and "default" in parameter
    }
    for hook in description.get("hook", ()):
        for spec in hook["any_of"]:
            kind = hook_kinds.find(spec.partition(":")[0])
            packets = kind is not None and kind.of_interface
            pattern = re.escape(spec)
            for place, text in ({} if packets else texts).items():
                pattern = pattern.replace(place, text)
            value = r"[^\s/:]{1,15}" if packets else "[0-9]{1,10}"
            parts = _PLACE.split(pattern)
            names = [f"(?P<{name}>{value})" for name in parts[1::2]]
            pattern = "".join(chain.from_iterable(zip_longest(parts[::2], names, fillvalue="")))
            yield hook["function"], re.compile(pattern + r"\Z", re.ASCII)
