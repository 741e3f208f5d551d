"""Hooks by pattern: "kprobe:vfs_*" stands for every kernel function that matches.

Each hook of a program has a number, from 0, that its function can read (KS_HOOK): one C function
serves them all, and its rows still say where they come from. The entry and the return of a
function have the same number.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from fnmatch import filter as matching
from itertools import chain
from pathlib import Path

from kernelscope.agent.attach import hook_availability, tracepoint_fields, user_probe
from kernelscope.agent.attach.kinds.kernel_view import KernelView
from kernelscope.agent.kernel.elf import Symbol
from kernelscope.errors import AttachError, KernelScopeError, TargetError
from kernelscope.protocol import hook_kinds, hook_spec
from kernelscope.protocol.hook_grammar import ParsedHook
from kernelscope.protocol.program import Hook

MOST = 400
_TRIED = 8
_USER = re.compile(r"(pid:[^:]*|[^:]+):(.+)\Z")


def resolve(wanted: Iterable[Hook], view: KernelView) -> list[tuple[Hook, ParsedHook]]:
    """Return each hook as this kernel has it, patterns as all their matches.

    Raises as `hook_availability.resolve`, and AttachError if nothing or too much matches.
    """
    wanted = list(wanted)
    plain = hook_availability.resolve(
        [hook for hook in wanted if not hook_spec.of_pattern(hook)], view
    )
    found = [_expanded(hook, view) for hook in wanted if hook_spec.of_pattern(hook)]
    return [*plain, *chain.from_iterable(found)]


def numbers(bindings: Sequence[tuple[Hook, ParsedHook]]) -> list[int]:
    """Return each binding's number: the same for the same name."""
    seen: dict[tuple[object, ...], int] = {}
    return [seen.setdefault(_subject(parsed), len(seen)) for _, parsed in bindings]


def names(bindings: Sequence[tuple[Hook, ParsedHook]]) -> dict[int, str]:
    """Return {number: name}: the function's name alone if no other hook has it."""
    found = dict(zip(reversed(numbers(bindings)), reversed([parsed for _, parsed in bindings])))
    short = {number: _short(parsed) for number, parsed in found.items()}
    every = list(short.values())
    return {n: found[n].spec if every.count(name) > 1 else name for n, name in short.items()}


def own_params(
    bindings: Sequence[tuple[Hook, ParsedHook]], tracefs: Path | None
) -> list[dict[str, int]]:
    """Return the parameters (KS_PARAM) that each binding's program has besides the common ones.

    hook_number; hook_context: what its context is (KS_REGISTERS, ...); hook_field_0, ...: where
    the fields of a tracepoint's record are. Raises AttachError if it has no such field.
    """
    found = []
    for number, (hook, parsed) in zip(numbers(bindings), bindings):
        own = {"hook_number": number, "hook_context": hook_kinds.KINDS[parsed.kind].context}
        if hook.fields and parsed.kind == "tracepoint" and tracefs is not None:
            own.update(tracepoint_fields.params(hook.fields, parsed, tracefs))
        found.append(own)
    return found


def _short(parsed: ParsedHook) -> str:
    if parsed.kind == "tracepoint":
        return f"{parsed.category}:{parsed.name}"
    if not parsed.name or parsed.count or parsed.frequency or parsed.period_ns:
        return parsed.spec
    return f"{parsed.name}+{parsed.offset:#x}" if parsed.offset else parsed.name


def _subject(parsed: ParsedHook) -> tuple[object, ...]:
    place = parsed.address if not parsed.name else parsed.offset
    sampled = (parsed.count, parsed.frequency, parsed.period_ns)
    return parsed.target, parsed.category, parsed.name, place, *sampled


def _expanded(hook: Hook, view: KernelView) -> list[tuple[Hook, ParsedHook]]:
    """Return the matches of the first pattern that this kernel can attach to."""
    refused: KernelScopeError | None = None
    for spec in hook.any_of:
        try:
            matches = _matches(spec, view)
            _require_one(matches, view)
        except KernelScopeError as error:
            refused = refused or error
            continue
        return [(hook, parsed) for parsed in matches]
    if hook.optional or refused is None:
        return []
    refused.details.setdefault("function", hook.function)
    raise refused


def _require_one(matches: Sequence[ParsedHook], view: KernelView) -> None:
    """Raise the first refusal if the first few matches are all refused."""
    refusals = []
    for parsed in matches[:_TRIED]:
        refusal = _refusal(parsed, view)
        if refusal is None:
            return
        refusals.append(refusal)
    raise refusals[0]


def _refusal(parsed: ParsedHook, view: KernelView) -> KernelScopeError | None:
    try:
        hook_availability.check(parsed, view)
    except KernelScopeError as error:
        return error
    return None


def _matches(spec: str, view: KernelView) -> list[ParsedHook]:
    kind, rest = hook_spec.split_kind(spec)
    if kind in ("uprobe", "uretprobe"):
        found = _user_functions(spec, kind, rest, view)
    elif kind == "usdt":
        found = _usdt_probes(rest, view)
    else:
        prefix = re.split(r"[*?]", rest)[0]
        listed = hook_availability.listing(kind, prefix, "", view)
        found = [hook_spec.parse(f"{kind}:{name}") for name in matching(listed, rest)]
    if not 0 < len(found) <= MOST:
        raise AttachError(
            f"{spec!r} matches {len(found) or 'no'} hooks"
            + (f", and {MOST} at once are the most" if found else ""),
            hint="Make the pattern longer." if found else "List them with the Tab key.",
            hook=spec,
            matches=[],
        )
    return found


def _user_functions(spec: str, kind: str, rest: str, view: KernelView) -> list[ParsedHook]:
    target, pattern = _of_user(spec, rest)
    paths = view.files.paths(target, view.target_pid)
    refused: TargetError | None = None
    for number, path in enumerate(paths):
        try:
            named = view.files.elf(path).named_functions()
            found = _distinct([f for f in named if matching([f.name], pattern)])
        except TargetError as error:  # libc.so is a text file that only linkers read
            refused = refused or error
            continue
        if found:
            # An address saves a second look-up, but means the first file.
            return [
                ParsedHook(
                    kind,
                    f"{kind}:{target}:{symbol.name}",
                    name=symbol.name,
                    target=target,
                    address=None if number else symbol.address,
                )
                for symbol in found
            ]
    if refused is not None and len(paths) == 1:
        raise refused
    return []


def _distinct(functions: Iterable[Symbol]) -> list[Symbol]:
    """Keep one name per function: otherwise a call would be counted under each of them."""
    best: dict[int, Symbol] = {}
    for symbol in functions:
        if not symbol.indirect:
            held = best.setdefault(symbol.address, symbol)
            best[symbol.address] = min(held, symbol, key=_obscurity)
    return sorted(best.values(), key=lambda symbol: symbol.name)


def _obscurity(symbol: Symbol) -> tuple[int, int, str]:
    hidden = len(symbol.name) - len(symbol.name.lstrip("_"))
    return hidden, len(symbol.name), symbol.name


def _usdt_probes(rest: str, view: KernelView) -> list[ParsedHook]:
    target, pattern = _of_user(f"usdt:{rest}", rest)
    path = view.files.paths(target, view.target_pid)[0]
    wanted = pattern if ":" in pattern else f"*:{pattern}"
    listed = matching(user_probe.names("usdt", view.files.elf(path)), wanted)
    return [hook_spec.parse(f"usdt:{target}:{name}") for name in listed]


def _of_user(spec: str, rest: str) -> tuple[str, str]:
    found = _USER.match(rest)
    if found is None:
        raise AttachError(
            f"hook {spec!r} needs a library or program, and a symbol", hook=spec, matches=[]
        )
    return found[1], found[2]
