"""Where a user probe goes: the open file, and where in it a symbol or a USDT probe is."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

from kernelscope.agent.attach.open_files import OpenFiles
from kernelscope.agent.kernel import debug_files
from kernelscope.agent.kernel.demangle import demangle
from kernelscope.agent.kernel.elf import ElfFile, Symbol, UsdtNote
from kernelscope.errors import AttachError, TargetError, did_you_mean
from kernelscope.protocol.hook_grammar import ParsedHook


@dataclass(frozen=True)
class Place:
    """An instruction in an open file. semaphore: the USDT semaphore's file offset, or 0."""

    file: ElfFile
    offset: int
    semaphore: int = 0


def places(hook: ParsedHook, files: OpenFiles, pid: int | None = None) -> list[Place]:
    """Return where a uprobe, uretprobe or usdt hook goes; pid is the process looked into.

    Raises TargetError if there is no such file or process, AttachError (with close matches) if
    it has no such symbol or probe.
    """
    paths = files.paths(hook.target, pid)
    refused: TargetError | None = None
    for path in paths:
        try:
            elf = files.elf(path)
            found = _usdt(elf, hook) if hook.kind == "usdt" else _function(elf, hook)
        except TargetError as error:  # libc.so is a text file that only linkers read
            refused = refused or error
            continue
        if found:
            return found
    if refused is not None and (len(paths) == 1 or hook.address is not None):
        raise refused
    raise _not_found(hook, paths, files)


def _function(elf: ElfFile, hook: ParsedHook) -> list[Place]:
    if hook.kind == "uretprobe" and elf.is_go:
        raise AttachError(
            f"{elf.path} is a Go program: a return probe would crash it",
            hint="Go moves stacks, and finds an unknown return address there. Trace the entry:"
            f" uprobe:{hook.target}:{hook.name}.",
            hook=hook.spec,
            matches=[],
        )
    if hook.address is not None:
        return [Place(elf, elf.file_offset(hook.address))]
    symbol = elf.symbol(hook.name) or _by_readable_name(elf, hook) or _separate(elf, hook)
    if symbol is None:
        return []
    if symbol.indirect:
        raise AttachError(
            f"{hook.name} in {elf.path} stands for one of several functions, chosen at run time",
            hint="Name the one your processor uses, as in uprobe:c:__memcpy_avx_unaligned_erms;"
            " debug symbols are needed to find it by name, or give its address.",
            hook=hook.spec,
            matches=[],
        )
    if symbol.size and hook.offset >= symbol.size:
        raise AttachError(
            f"hook {hook.spec!r} is beyond the end of {hook.name}, which has {symbol.size} bytes",
            hook=hook.spec,
            matches=[],
        )
    return [Place(elf, elf.file_offset(symbol.address) + hook.offset)]


def _separate(elf: ElfFile, hook: ParsedHook) -> Symbol | None:
    """Look in the files that hold a stripped program's symbols."""
    for other in debug_files.separate(elf, elf.path, "", ElfFile):
        with other, suppress(TargetError):
            symbol = other.symbol(hook.name) or _by_readable_name(other, hook)
            if symbol is not None:
                return symbol
    return None


def _by_readable_name(elf: ElfFile, hook: ParsedHook) -> Symbol | None:
    """Return the function that C++ or Rust write so, with or without its parameters.

    Raises AttachError if several functions have that name.
    """
    if "::" not in hook.name and "(" not in hook.name:
        return None
    wanted = _spaceless(hook.name)
    found: dict[int, Symbol] = {}
    for symbol in elf.named_functions():
        if symbol.name.startswith(("_Z", "_R")):
            readable = _spaceless(demangle(symbol.name))
            if wanted in (readable, readable.rpartition("(")[0]):
                found.setdefault(symbol.address, symbol)
    if len(found) > 1:
        names = sorted(symbol.name for symbol in found.values())
        raise AttachError(
            f"{elf.path} has {len(names)} functions called {hook.name}",
            hint=f"Name one of them: {', '.join(names[:5])}.",
            hook=hook.spec,
            matches=names,
        )
    return next(iter(found.values()), None)


def _spaceless(name: str) -> str:
    return "".join(name.split())


def _usdt(elf: ElfFile, hook: ParsedHook) -> list[Place]:
    notes = notes_of(elf, hook)
    return [Place(elf, note.offset, note.semaphore) for note in notes]


def notes_of(elf: ElfFile, hook: ParsedHook) -> list[UsdtNote]:
    """Return the places of a USDT hook in a file, [] where the file has no such probe."""
    notes = [note for note in elf.usdt_notes() if note.name == hook.name]
    providers = sorted({note.provider for note in notes})
    if hook.category:
        return [note for note in notes if note.provider == hook.category]
    if len(providers) > 1:
        raise AttachError(
            f"hook {hook.spec!r} is ambiguous: {', '.join(providers)} each have a {hook.name}",
            hint=f"Name the provider, as in usdt:{hook.target}:{providers[0]}:{hook.name}.",
            hook=hook.spec,
            matches=providers,
        )
    return notes


def names(kind: str, elf: ElfFile) -> list[str]:
    """Return the names of a file's functions, or of its USDT probes as "provider:name"."""
    if kind != "usdt":
        return elf.function_names()
    return sorted({f"{note.provider}:{note.name}" for note in elf.usdt_notes()})


def _not_found(hook: ParsedHook, paths: list[str], files: OpenFiles) -> AttachError:
    known: list[str] = []
    for path in paths:
        with suppress(TargetError):
            known += names(hook.kind, files.elf(path))
    matches = _matches(hook, known)
    what = "USDT probe" if hook.kind == "usdt" else "function"
    if matches:
        hint = f"Did you mean {' or '.join(matches)}?"
    elif known:
        hint = f"List them with the prefix {hook.kind}:{hook.target}: and the Tab key."
    else:
        hint = f"It has no {what}s that can be found by name."
    return AttachError(
        f"{paths[0]} has no {what} {hook.name!r}", hint=hint, hook=hook.spec, matches=matches
    )


def _matches(hook: ParsedHook, known: list[str]) -> list[str]:
    if hook.kind != "usdt":
        return did_you_mean(hook.name, known)
    whole = {name.partition(":")[2]: name for name in known}
    found = [whole[name] for name in did_you_mean(hook.name, list(whole))]
    return found or did_you_mean(f"{hook.category}:{hook.name}", known)
