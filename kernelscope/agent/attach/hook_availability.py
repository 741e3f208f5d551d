"""Which hooks this kernel has: each one asked of the kernel, never inferred from its version."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

from kernelscope.agent.attach.kinds import ATTACHERS, attacher_of
from kernelscope.agent.attach.kinds.kernel_view import KernelView
from kernelscope.errors import AttachError, KernelScopeError, RequirementError, RunError
from kernelscope.protocol import hook_kinds, hook_spec
from kernelscope.protocol.hook_grammar import ParsedHook
from kernelscope.protocol.program import Hook


def check(hook: ParsedHook, view: KernelView) -> None:
    """Return if the hook can be attached here; else raise AttachError, TargetError or
    RequirementError with the reason and close matches.
    """
    attacher = attacher_of(hook)
    attacher.check(attacher, hook, view)


def why_not(spec: str, view: KernelView) -> str | None:
    """Return a sentence that says why a hook cannot be attached here, None where it can."""
    try:
        check(hook_spec.parse(spec), view)
    except KernelScopeError as error:
        return f"{error.message}. {error.hint}" if error.hint else error.message
    return None


# --- a program's hooks ---------------------------------------------------------------------------


def resolve(wanted: Iterable[Hook], view: KernelView) -> list[tuple[Hook, ParsedHook]]:
    """Return each hook with the first of its `any_of` that this kernel has.

    An optional hook without any is left out, and so is one that repeats another.
    Raises AttachError (or the only reason) if a hook cannot be attached.
    """
    found: list[tuple[Hook, ParsedHook]] = []
    seen = set()
    for hook in wanted:
        parsed = _first(hook, view)
        key = None if parsed is None else (hook.function, dataclasses.replace(parsed, spec=""))
        if parsed is not None and key not in seen:
            seen.add(key)
            found.append((hook, parsed))
    return found


def _first(hook: Hook, view: KernelView) -> ParsedHook | None:
    reasons: list[RunError | RequirementError] = []
    for parsed in [hook_spec.parse(spec) for spec in hook.any_of]:
        reason = _reason(parsed, view)
        if reason is None:
            return parsed
        reasons.append(reason)
    if hook.optional:
        return None
    if len(reasons) == 1:
        reasons[0].details["function"] = hook.function
        raise reasons[0]
    raise AttachError(
        f"{hook.function!r} can be attached to none of its hooks: "
        + "; ".join(reason.message for reason in reasons),
        hint=reasons[0].hint,
        hook=hook.any_of[0],
        function=hook.function,
        matches=reasons[0].details.get("matches", []),
    )


def _reason(parsed: ParsedHook, view: KernelView) -> RunError | RequirementError | None:
    try:
        check(parsed, view)
    except (RunError, RequirementError) as error:
        return error
    return None


# --- lists, for completion -----------------------------------------------------------------------


def listing(kind: str, prefix: str, target: str, view: KernelView) -> list[str]:
    """Return the sorted names of a kind that start with `prefix`, without the kind itself.

    tracepoint: "category:name". uprobe, uretprobe, usdt: of the file `target`. syscall: system
    calls. An unknown kind, or "", lists the kinds. Raises RequirementError and TargetError.
    """
    attacher = ATTACHERS.get(kind)
    known = hook_kinds.KINDS if attacher is None else attacher.names(prefix, target, view)
    return sorted({name for name in known if name.startswith(prefix)})
