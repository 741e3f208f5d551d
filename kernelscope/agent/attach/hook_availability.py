"""Which hooks this kernel has: asked of the kernel hook by hook, never told from its version."""

from __future__ import annotations

import dataclasses
import errno
import os
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from pathlib import Path

from kernelscope.agent.attach import attach, bpf_links, loader, user_probe, user_targets
from kernelscope.agent.kernel import syscalls
from kernelscope.errors import (
    AttachError,
    KernelScopeError,
    RequirementError,
    RunError,
    did_you_mean,
)
from kernelscope.protocol import hook_spec
from kernelscope.protocol.hook_spec import ParsedHook
from kernelscope.protocol.program import Hook

_KALLSYMS = Path("/proc/kallsyms")
_KPROBE_PMU = Path("/sys/bus/event_source/devices/kprobe")


class KernelView:
    """One process's view of what its kernel offers; remembers what it tried.

    tracefs: where it is mounted, None where it is not. target_pid: whose address space user
    probes are looked up in.
    """

    def __init__(self, tracefs: Path | None, target_pid: int | None = None) -> None:
        self.tracefs = tracefs
        self.target_pid = target_pid
        self._tried: dict[tuple[str, str], KernelScopeError | None] = {}

    def events(self) -> Path:
        """Return tracefs's directory of tracepoints. Raises RequirementError without tracefs."""
        if self.tracefs is None:
            raise RequirementError(
                "tracefs is not mounted, and the agent could not mount it for itself",
                hint="Run: mount -t tracefs tracefs /sys/kernel/tracing",
                requirement="tracefs",
            )
        return self.tracefs / "events"

    def tracepoints(self, category: str = "") -> list[str]:
        """Return "category:name" of every tracepoint, or of one category's."""
        try:
            wanted = [category] if category else sorted(p.name for p in self.events().iterdir())
            return [f"{part}:{name}" for part in wanted for name in self._names(part)]
        except OSError:
            return []

    def _names(self, category: str) -> list[str]:
        directory = self.events() / category
        if not directory.is_dir():
            return []
        return sorted(entry.name for entry in directory.iterdir() if entry.is_dir())

    def try_once(self, hook: ParsedHook, attempt: Callable[[ParsedHook], None]) -> None:
        """Run `attempt` on a hook, once; raise again what it raised."""
        key = hook.kind, hook.name
        if key not in self._tried:
            try:
                attempt(hook)
                self._tried[key] = None
            except KernelScopeError as error:
                self._tried[key] = error
        refused = self._tried[key]
        if refused is not None:
            raise refused


# --- whether one hook is there -------------------------------------------------------------------


def check(hook: ParsedHook, view: KernelView) -> None:
    """Return if the hook can be attached here; else raise AttachError, TargetError or
    RequirementError with the reason and close matches.
    """
    _CHECKS[hook.kind](hook, view)


def why_not(spec: str, view: KernelView) -> str | None:
    """Say in a sentence why a hook cannot be attached here, None where it can."""
    try:
        check(hook_spec.parse(spec), view)
    except KernelScopeError as error:
        return f"{error.message}. {error.hint}" if error.hint else error.message
    return None


def _tracepoint(hook: ParsedHook, view: KernelView) -> None:
    events = view.events()
    try:
        if (events / hook.category / hook.name / "id").exists():
            return
    except PermissionError:
        raise RequirementError(
            f"{events} may not be read", hint="Run the agent as root.", requirement="tracefs"
        ) from None
    known = view.tracepoints(hook.category) or view.tracepoints()
    raise _missing(hook, f"{hook.category}:{hook.name}", "tracepoint", known)


def _tracing(hook: ParsedHook, view: KernelView) -> None:
    try:
        view.try_once(hook, attach_for_a_moment)
    except AttachError as error:
        if error.details.get("errno") in (None, errno.ENOENT):  # there is no such thing
            is_function = hook.kind in ("fentry", "fexit")
            known = kernel_functions() if is_function else _raw_names(view)
            if is_function and hook.name in known:
                raise _untyped(hook) from None
            what = "function with type information" if is_function else "tracepoint"
            raise _missing(hook, hook.name, what, known) from None
        raise


def attach_for_a_moment(hook: ParsedHook, tracefs: Path = attach.TRACEFS) -> None:
    """Attach a program that does nothing, and detach it. Raises AttachError or TargetError."""
    kind, attach_type, btf_id = loader.program_target(hook)
    try:
        program, _ = syscalls.prog_load(
            kind,
            loader.with_verdict(syscalls.RETURN_ZERO, hook),
            name="ks_try",
            expected_attach_type=attach_type,
            attach_btf_id=btf_id,
        )
    except syscalls.ProgramLoadError as error:
        raise attach.refusal(hook, error) from None
    try:
        attach.attach_one(program, hook, tracefs=tracefs).close()
    finally:
        os.close(program)


def _iterator(hook: ParsedHook, view: KernelView) -> None:
    try:
        view.try_once(hook, attach_for_a_moment)
    except AttachError as error:
        if error.details.get("errno") is not None:
            raise
        known = bpf_links.iterators()
        raise _missing(hook, hook.name, "iterator", known, all_of_them=True) from None


def _interface(hook: ParsedHook, view: KernelView) -> None:
    known = bpf_links.interfaces()
    if hook.name not in known:
        raise _missing(hook, hook.name, "network interface", known, all_of_them=True)
    # Attaching XDP for a moment would turn off what the card does by itself (LRO), for good.
    if hook.kind != "xdp":
        view.try_once(hook, attach_for_a_moment)


def _kprobe(hook: ParsedHook, view: KernelView) -> None:
    if not _KPROBE_PMU.exists():
        raise AttachError(
            f"this kernel has no kprobes, which {hook.spec!r} needs",
            hint="It was built without them; use a tracepoint, rawtracepoint or tp_btf hook.",
            hook=hook.spec,
            matches=[],
        )
    try:
        view.try_once(hook, _open_for_a_moment)
    except AttachError as error:
        if error.details.get("errno") == errno.ENOENT:
            raise _missing(hook, hook.name, "function", kernel_functions()) from None
        raise


def _open_for_a_moment(hook: ParsedHook) -> None:
    try:
        for fd in attach.open_events(hook, None, attach.TRACEFS):
            os.close(fd)
    except OSError as error:
        raise attach.refusal(hook, error) from None


def _user(hook: ParsedHook, view: KernelView) -> None:
    user_probe.places(hook, view.target_pid)


def _sampled(hook: ParsedHook, view: KernelView) -> None:
    view.try_once(dataclasses.replace(hook, name=hook.spec), lambda _: _open_for_a_moment(hook))


_CHECKS: dict[str, Callable[[ParsedHook, KernelView], None]] = {
    "tracepoint": _tracepoint,
    "rawtracepoint": _tracing,
    "tp_btf": _tracing,
    "fentry": _tracing,
    "fexit": _tracing,
    "kprobe": _kprobe,
    "kretprobe": _kprobe,
    "uprobe": _user,
    "uretprobe": _user,
    "usdt": _user,
    "profile": _sampled,
    "interval": _sampled,
    "software": _sampled,
    "hardware": _sampled,
    "iter": _iterator,
    "xdp": _interface,
    "tcx_ingress": _interface,
    "tcx_egress": _interface,
}


def _missing(
    hook: ParsedHook, name: str, what: str, known: Sequence[str], *, all_of_them: bool = False
) -> AttachError:
    matches = did_you_mean(name, _near(name, known))
    hint = f"Did you mean {' or '.join(matches)}?" if matches else None
    if all_of_them and known:
        hint = f"{hint or ''} There are {', '.join(known)}.".strip()
    owner = "machine" if what == "network interface" else "kernel"
    return AttachError(
        f"this {owner} has no {what} {name!r}", hint=hint, hook=hook.spec, matches=matches
    )


def _untyped(hook: ParsedHook) -> AttachError:
    """The function is there, but BTF leaves out those that it found declared in unlike ways."""
    kind = "kprobe" if hook.kind == "fentry" else "kretprobe"
    return AttachError(
        f"the kernel's type information lacks the function {hook.name!r}",
        hint=f"It is there all the same: {kind}:{hook.name} needs no type information.",
        hook=hook.spec,
        matches=[f"{kind}:{hook.name}"],
    )


def _near(name: str, known: Sequence[str]) -> Sequence[str]:
    """Keep a list of a hundred thousand names short enough to be compared one by one."""
    if len(known) < 5000:
        return known
    return [k for k in known if k[:3] == name[:3] and abs(len(k) - len(name)) < 8]


# --- a program's hooks ---------------------------------------------------------------------------


def resolve(wanted: Iterable[Hook], view: KernelView) -> list[tuple[Hook, ParsedHook]]:
    """Return each hook with the first of its `any_of` that this kernel has.

    An optional hook of which there is none is left out, and so is one that repeats another.
    Raises AttachError (or the one reason that there is) where a hook cannot be attached.
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
    """Return the sorted names of a kind that begin with `prefix`, without the kind itself.

    tracepoint: "category:name". uprobe, uretprobe, usdt: of the file `target`. syscall: system
    calls. An unknown kind, or "", lists the kinds. Raises RequirementError and TargetError.
    """
    return sorted({name for name in _listed(kind, prefix, target, view) if name.startswith(prefix)})


def _listed(kind: str, prefix: str, target: str, view: KernelView) -> Iterable[str]:
    if kind == "tracepoint":
        category, colon, _ = prefix.partition(":")
        return view.tracepoints(category if colon and "/" not in category else "")
    if kind in ("rawtracepoint", "tp_btf"):
        return _raw_names(view)
    if kind in ("kprobe", "kretprobe", "fentry", "fexit"):
        return kernel_functions()
    if kind in ("uprobe", "uretprobe", "usdt"):
        files = user_targets.paths(target, view.target_pid)
        return user_probe.names(kind, files[0])
    if kind == "syscall":
        start = "syscalls:sys_enter_"
        return [
            name[len(start) :] for name in view.tracepoints("syscalls") if name.startswith(start)
        ]
    if kind in ("software", "hardware"):
        return hook_spec.SOFTWARE_EVENTS if kind == "software" else hook_spec.HARDWARE_EVENTS
    if kind == "iter":
        return bpf_links.iterators()
    if kind in bpf_links.KINDS:
        return bpf_links.interfaces()
    return (*hook_spec.KINDS, "syscall")


def _raw_names(view: KernelView) -> list[str]:
    names = (name.partition(":") for name in view.tracepoints())
    return [name for category, _, name in names if category != "syscalls"]


@lru_cache(maxsize=1)
def kernel_functions() -> tuple[str, ...]:
    """Return the names of the kernel's functions, () where they may not be read."""
    try:
        lines = _KALLSYMS.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ()
    fields = (line.split(None, 3) for line in lines)
    return tuple(part[2] for part in fields if part[1] in "tT" and "." not in part[2])
