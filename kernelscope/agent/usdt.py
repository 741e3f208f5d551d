"""Arguments of USDT probes, for which bcc writes C from the notes that the compiler left."""

from __future__ import annotations

import ctypes
import dataclasses
from collections.abc import Sequence

from kernelscope.agent import hooks, targets, user_probe
from kernelscope.agent.elf import ElfFile
from kernelscope.agent.hooks import ParsedHook
from kernelscope.agent.protocol import Program
from kernelscope.errors import AttachError, TargetError

_READS_ARGUMENTS = "bpf_usdt_readarg"


def prepare(program: Program) -> Program:
    """Return the program with the C that reads its USDT probes' arguments in its prelude.

    Raises AttachError and TargetError where a probe, or what its arguments are, is not to be found.
    """
    if _READS_ARGUMENTS not in program.source:
        return program
    wanted = [(h.function, hooks.parse(spec)) for h in program.hooks for spec in h.any_of]
    probes = [(function, hook) for function, hook in wanted if hook.kind == "usdt"]
    text = arguments_text(probes, program.target_pid)
    return dataclasses.replace(program, prelude=f"{program.prelude}\n{text}") if text else program


def arguments_text(probes: Sequence[tuple[str, ParsedHook]], pid: int | None = None) -> str:
    """Return the C that bpf_usdt_readarg stands for in each (function, USDT hook).

    Asked of bcc's C library, whose smaller half has it: no compiler is loaded for it.
    """
    if not probes:
        return ""
    library = _library()
    contexts: list[int] = []
    try:
        for function, hook in probes:
            contexts.append(_context(library, hook, pid, function))
        array = (ctypes.c_void_p * len(contexts))(*contexts)
        text = library.bcc_usdt_genargs(array, len(contexts))
        return (text or b"").decode()
    finally:
        for context in contexts:
            library.bcc_usdt_close(context)


def _library() -> ctypes.CDLL:
    library = ctypes.CDLL("libbcc_bpf.so.0")
    pointer, text = ctypes.c_void_p, ctypes.c_char_p
    library.bcc_usdt_new_frompid.argtypes = (ctypes.c_int, text)
    library.bcc_usdt_new_frompid.restype = pointer
    library.bcc_usdt_new_frompath.argtypes = (text,)
    library.bcc_usdt_new_frompath.restype = pointer
    library.bcc_usdt_enable_fully_specified_probe.argtypes = (pointer, text, text, text)
    library.bcc_usdt_genargs.argtypes = (ctypes.POINTER(pointer), ctypes.c_int)
    library.bcc_usdt_genargs.restype = text
    library.bcc_usdt_close.argtypes = (pointer,)
    return library


def _context(library: ctypes.CDLL, hook: ParsedHook, pid: int | None, function: str) -> int:
    path, provider = _file(hook, pid)
    process = targets.process_of(hook.target, pid)
    if process is None:
        context = library.bcc_usdt_new_frompath(path.encode())
    else:  # bcc enters the process's mounts by itself, so the path is as the process sees it
        seen = path.partition("/root/")[2]
        context = library.bcc_usdt_new_frompid(process, f"/{seen}".encode() if seen else None)
    if not context:
        raise TargetError(f"bcc cannot read the USDT probes of {path}", target=path)
    names = provider.encode(), hook.name.encode(), function.encode()
    if library.bcc_usdt_enable_fully_specified_probe(context, *names) != 0:
        library.bcc_usdt_close(context)
        raise AttachError(
            f"bcc cannot read the arguments of {hook.spec!r}",
            hint="Attach without bpf_usdt_readarg, or name the process: usdt:pid:N:NAME.",
            hook=hook.spec,
            function=function,
            matches=[],
        )
    return int(context)


def _file(hook: ParsedHook, pid: int | None) -> tuple[str, str]:
    """Return the file that has the probe, and the probe's provider."""
    path = user_probe.places(hook, pid)[0].path
    with ElfFile(path) as elf:
        return path, user_probe.notes_of(elf, hook)[0].provider
