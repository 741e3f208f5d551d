"""The built-in probes by name, and custom probes once their files were named.

An installed wheel carries them as package data in `kernelscope/_bpf`; a checkout has `bpf/`.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache, lru_cache
from pathlib import Path
from types import MappingProxyType

from kernelscope.errors import ProbeSpecError
from kernelscope.probe import loader
from kernelscope.probe.model import Probe
from kernelscope.probe.unknown_probe import unknown_probe
from kernelscope.protocol.probe_folder import probe_folder

_custom: dict[str, Probe] = {}  # by name, from files that were named before


@lru_cache(maxsize=1)
def _paths() -> Mapping[str, Path]:
    found = {path.stem: path for path in sorted(probe_folder().glob("*/*.toml"))}
    return MappingProxyType(found)


@cache
def _load(path: Path) -> Probe:
    return loader.load(path)


def names() -> list[str]:
    """Return every probe's name, sorted; no file is read."""
    return sorted(_paths())


def catalogue() -> dict[str, Probe]:
    """Return every probe by name, sorted by area and name. Raises ProbeSpecError."""
    loaded = [_load(path) for path in _paths().values()]
    return {probe.name: probe for probe in sorted(loaded, key=lambda p: (p.area, p.name))}


def find(name: str) -> Probe:
    """Return the probe of that name, or of the .toml file at that path.

    A custom probe is known by its name once its file was named; naming the file reads it again.
    Raises ProbeNotFoundError with close matches, ProbeSpecError.
    """
    if name.endswith(".toml"):
        return _read(Path(name))
    path = _paths().get(name)
    if path is not None:
        return _load(path)
    if name in _custom:
        return _custom[name]
    raise unknown_probe(name, names(), lambda: catalogue().values())


def _read(path: Path) -> Probe:
    if path.stem in _paths():
        raise ProbeSpecError(
            f"{path}: {path.stem} is the name of a built-in probe",
            hint="give the two files another name",
            file=str(path),
            key="",
        )
    _custom[path.stem] = loader.load(path, own=True)
    return _custom[path.stem]


@lru_cache(maxsize=1)
def prelude() -> str:
    """Return `include/kernelscope.h`, the macros that precede every program."""
    path = probe_folder() / "include" / "kernelscope.h"
    return path.read_text(encoding="utf-8") if path.is_file() else ""
