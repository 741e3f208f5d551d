"""The initramfs of a guest: busybox, the modules that mount its root, and init.sh."""

from __future__ import annotations

import hashlib
import lzma
from collections.abc import Iterator
from pathlib import Path

_INIT = Path(__file__).with_name("init.sh")
_MODULES = ("virtio_pci", "virtiofs", "overlay", "virtio_blk", "ext4", "loop")
_DIRECTORIES = ("dev", "bin", "proc", "sys", "m", "host", "memory", "new")
_DEVICES = (("dev/console", 5, 1), ("dev/null", 1, 3))


def fingerprint() -> str:
    """Return a digest of what goes into an initramfs besides the kernel's own files."""
    state = hashlib.sha256(_INIT.read_bytes() + Path(__file__).read_bytes())
    return state.hexdigest()[:12]


def write(target: Path, busybox: Path, modules: Path) -> None:
    """Write the initramfs; `modules` is lib/modules/RELEASE, gone over by depmod."""
    archive = _Archive()
    for name in _DIRECTORIES:
        archive.add(name, 0o040755)
    for name, major, minor in _DEVICES:
        archive.add(name, 0o020600, device=(major, minor))
    archive.add("bin/busybox", 0o100755, busybox.read_bytes())
    order = []
    for path in needed(modules, (modules / "modules.dep").read_text()):
        order.append(path.name.removesuffix(".xz"))
        archive.add(f"m/{order[-1]}", 0o100644, _content(path))
    archive.add("m/order", 0o100644, ("\n".join(order) + "\n").encode())
    archive.add("init", 0o100755, _INIT.read_bytes())
    target.write_bytes(archive.finished())


def needed(modules: Path, dependencies: str) -> list[Path]:
    """Return the files of the modules that a guest needs, each after those it depends on.

    A module that is built into the kernel has no file and is left out. dependencies: modules.dep.
    """
    depends = dict(_dependency_lines(dependencies))
    order: list[str] = []
    for wanted in _MODULES:
        for path in (p for p in depends if Path(p).name.partition(".")[0] == wanted):
            order += [part for part in (*reversed(depends[path]), path) if part not in order]
    return [modules / path for path in order]


def _dependency_lines(text: str) -> Iterator[tuple[str, list[str]]]:
    for line in text.splitlines():
        path, _, rest = line.partition(":")
        yield path, rest.split()


def _content(path: Path) -> bytes:
    data = path.read_bytes()
    return lzma.decompress(data) if path.suffix == ".xz" else data


class _Archive:
    """A cpio archive in the "newc" format (Documentation/driver-api/early-userspace)."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._count = 0

    def add(
        self, name: str, mode: int, content: bytes = b"", device: tuple[int, int] = (0, 0)
    ) -> None:
        self._count += 1
        path = name.encode() + b"\0"
        fields = (self._count, mode, 0, 0, 1, 0, len(content), 0, 0, *device, len(path), 0)
        self._data += b"070701" + "".join(f"{field:08x}" for field in fields).encode() + path
        self._pad()
        self._data += content
        self._pad()

    def finished(self) -> bytes:
        self.add("TRAILER!!!", 0)
        return bytes(self._data)

    def _pad(self) -> None:
        self._data += b"\0" * (-len(self._data) % 4)
