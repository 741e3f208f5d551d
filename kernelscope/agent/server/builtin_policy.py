"""Restricts programs to the probes that were installed with the agent.

An allowed text is not enough while the client chooses what precedes it, what its names mean or
where it runs: attached to another hook, a function that reads a file's name reads whatever the
argument there points to. So the macros before it must be the installed ones, every hook and every
macro must be in the probe's own description, and a macro's value must be a number or plain text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

from kernelscope.errors import AgentRefusedError
from kernelscope.protocol import hook_kinds
from kernelscope.protocol.probe_folder import probe_folder
from kernelscope.protocol.program import Program

_VALUE = re.compile(r'-?[0-9]{1,20}(\.[0-9]{1,20})?\Z|"[^"\\]*"\Z')
_PLACE = re.compile(r"\\\{\w+\\\}")


def check(program: Program, policy: Path) -> None:
    """Raise AgentRefusedError for a program that is not an installed probe."""
    header = probe_folder() / "include" / "kernelscope.h"
    if program.prelude != header.read_text(encoding="utf-8"):
        raise _refused("the macros before the C are not the installed ones", "prelude", policy)
    description = _description(program.source)
    if description is None:
        raise _refused("the C is not an installed probe's", "source", policy)
    hooks = list(_hooks(description))
    for hook in program.hooks:
        if hook.function in _choosing(description):
            raise _refused(
                f"{hook.any_of[0]!r} is a hook that the user chose: it would read others' data",
                "hooks",
                policy,
            )
        for spec in hook.any_of:
            if not any(name == hook.function and known.match(spec) for name, known in hooks):
                raise _refused(f"{hook.function!r} is not for {spec!r}", "hooks", policy)
    macros = {
        str(parameter.get("name", "")).upper()
        for parameter in description.get("parameter", ())
        if parameter.get("passed") == "define"
    }
    for name, value in program.defines.items():
        if name not in macros or not _VALUE.match(value):
            raise _refused(f"the macro {name!r} is not the probe's", f"defines.{name}", policy)


def _choosing(description: dict[str, Any]) -> set[str]:
    """Return the functions that are attached wherever the user chooses."""
    given = {p["name"] for p in description.get("parameter", ()) if p.get("kind") == "hook"}
    places = {f"{{{name}{side}}}" for name in given for side in ("", ":return")}
    return {h["function"] for h in description.get("hook", ()) if places & set(h["any_of"])}


def hook_refusal(spec: str, policy: Path) -> str | None:
    """Return why looking for a hook is forbidden; None for the kernel's and installed probes'."""
    kind = hook_kinds.find(spec.partition(":")[0])
    if kind is None or not kind.in_program:
        return None
    if any(known.match(spec) for path in _sources() for _, known in _hooks(_read(path))):
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


def _description(source: str) -> dict[str, Any] | None:
    for path in _sources():
        if path.read_text(encoding="utf-8") == source:
            return _read(path)
    return None


@lru_cache(maxsize=None)
def _read(source: Path) -> dict[str, Any]:
    try:
        import tomllib  # novm: 3.11; without it the policy refuses
    except ImportError:
        raise AgentRefusedError(
            "this machine's policy cannot be applied: the agent's Python is older than 3.11",
            hint="it has no reader for the probes' descriptions (tomllib)",
            field="source",
        ) from None
    return tomllib.loads(source.with_suffix(".toml").read_text(encoding="utf-8"))


def _hooks(description: dict[str, Any]) -> Iterator[tuple[str, re.Pattern[str]]]:
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
            pattern = _PLACE.sub(r"[^\\s/:]{1,15}" if packets else "[0-9]{1,10}", pattern)
            yield hook["function"], re.compile(pattern + r"\Z", re.ASCII)
