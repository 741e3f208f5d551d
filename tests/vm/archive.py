"""Find a stock kernel in the distribution's archive, download it and make it bootable.

Nothing is installed: packages are downloaded and taken apart. What a guest needs of a kernel (its
image and an initramfs) is kept in the user's cache folder, so that only a newer kernel is fetched.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from vm import initramfs

NEWEST = "newest"  # the newest kernel that Debian's stable release can run: a backport
_BACKPORTS = "trixie-backports"
_OTHER_SUITES = ("bookworm-security", "bullseye-security", _BACKPORTS)
_MIRRORS = {
    "debian": "http://deb.debian.org/debian",
    "debian-security": "http://deb.debian.org/debian-security",
}
_KEYRINGS = Path("/usr/share/keyrings")
_TOOLS = ("busybox-static", "kmod")


class ArchiveError(Exception):
    """A kernel could not be had; says why and what would help."""


@dataclass(frozen=True)
class Kernel:
    """A kernel that can be booted. series: as it was asked for ("6.12")."""

    series: str
    release: str
    folder: Path

    @property
    def image(self) -> Path:
        """The kernel itself."""
        return self.folder / "vmlinuz"

    @property
    def initrd(self) -> Path:
        """The initramfs that goes with it."""
        return self.folder / f"initrd-{initramfs.fingerprint()}.cpio"

    @property
    def ready(self) -> bool:
        """Whether all of it is there."""
        return self.image.exists() and self.initrd.exists()


def cache_folder() -> Path:
    """Return where kernels are kept between runs."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "kernelscope" / "kernels"


def newest(names: Iterable[str], series: str) -> str | None:
    """Return the newest release of a series, or of any (NEWEST), among package names; or None.

    "6.1" is no prefix of "6.12", and the meta-package "linux-image-6.12-cloud-amd64" is no kernel.
    """
    which = r"\d+\.\d+" if series == NEWEST else re.escape(series)
    pattern = re.compile(rf"linux-image-({which}\.\d\S*-cloud-amd64)\Z")
    found = [match[1] for match in map(pattern.match, names) if match]
    return max(found, key=_age, default=None)


def parts_named(depends: str, release: str) -> list[str]:
    """Return the packages of a kernel's release among what `apt-cache depends` lists."""
    return re.findall(rf"Depends: (\S+-{re.escape(release)})$", depends, re.MULTILINE)


def _age(release: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", release))


def fetch(wanted: str) -> Kernel:
    """Return a kernel, downloading what is missing: of a series ("6.12") the newest, a release, or
    NEWEST of all.

    This machine's own sources come first, then other releases of Debian. Where no archive can be
    asked, the newest that was kept is taken. Raises ArchiveError.
    """
    for archive in _archives(wanted):
        packages = archive.kernels()
        release = wanted if f"linux-image-{wanted}" in packages else newest(packages, wanted)
        if release is not None:
            kernel = _kernel(release)
            if not kernel.ready:
                _make(kernel, archive)
            return kernel
    kept = [f"linux-image-{path.name}" for path in cache_folder().glob("*")]
    release = wanted if f"linux-image-{wanted}" in kept else newest(kept, wanted)
    if release is None or not _kernel(release).ready:
        raise ArchiveError(
            f"no archive has linux-image-{wanted}.*-cloud-amd64: Debian has 5.10, 6.1, 6.12 and, "
            f"among the backports, newer ones ({NEWEST})"
        )
    return _kernel(release)


def _kernel(release: str) -> Kernel:
    series = ".".join(re.findall(r"\d+", release)[:2])
    return Kernel(series, release, cache_folder() / release)


# --- what apt knows -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Archive:
    """What apt can download. options: what makes it ask another suite; this machine's without."""

    options: tuple[str, ...] = ()

    def kernels(self) -> list[str]:
        """Return the names of all kernel packages."""
        if not self.options:
            found = self._search()
            if found:
                return found
        self._run("apt-get", "update")  # offline, what was asked before is still known
        return self._search()

    def download(self, packages: Iterable[str], folder: Path) -> None:
        """Download packages into a folder. Raises ArchiveError."""
        done = self._run("apt-get", "download", *packages, folder=folder)
        if done.returncode:
            named = " ".join(packages)
            raise ArchiveError(f"apt-get download {named} failed:\n{done.stderr.strip()[-1000:]}")

    def parts(self, release: str) -> list[str]:
        """Return the packages of a kernel: its image, and others of its name that this needs."""
        image = f"linux-image-{release}"
        depends = self._run("apt-cache", "depends", "--important", image).stdout
        return [image, *parts_named(depends, release)]

    def _search(self) -> list[str]:
        shown = self._run("apt-cache", "search", "--names-only", r"^linux-image-[0-9]").stdout
        return [line.split()[0] for line in shown.splitlines() if line]

    def _run(
        self, program: str, *arguments: str, folder: Path | None = None
    ) -> subprocess.CompletedProcess[str]:
        command = [program, "-q", *self.options, *arguments]
        return subprocess.run(command, cwd=folder, capture_output=True, text=True)


def _archives(wanted: str) -> Iterator[Archive]:
    if wanted == NEWEST:
        yield _suite(_BACKPORTS)
        return
    yield Archive()
    yield from map(_suite, _OTHER_SUITES)


def _suite(name: str) -> Archive:
    """Return the archive of a suite, with lists of its own: this machine's sources stay as is."""
    folder = cache_folder().with_name("apt") / name
    (folder / "lists" / "partial").mkdir(parents=True, exist_ok=True)
    keyring = next(_KEYRINGS.glob("debian-archive-keyring.[gp]*"), None)
    signed = f" [signed-by={keyring}]" if keyring else ""
    mirror = _mirror("debian-security" if name.endswith("-security") else "debian")
    (folder / "sources.list").write_text(f"deb{signed} {mirror} {name} main\n")
    settings = {"sourcelist": folder / "sources.list", "sourceparts": "-"}
    options = [f"-oDir::Etc::{key}={value}" for key, value in settings.items()]
    return Archive((*options, f"-oDir::State::Lists={folder / 'lists'}"))


def _mirror(name: str) -> str:
    """Return where this machine's sources have Debian's archive of that name."""
    command = ["apt-get", "indextargets", "--format", "$(REPO_URI)"]
    shown = subprocess.run(command, capture_output=True, text=True).stdout.splitlines()
    return next((line for line in shown if line.endswith(f"/{name}/")), _MIRRORS[name])


def _make(kernel: Kernel, archive: Archive) -> None:
    kernel.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=kernel.folder) as temporary:
        work = Path(temporary)
        tree = _unpacked(archive, archive.parts(kernel.release), work / "kernel")
        tools = _unpacked(Archive(), _TOOLS, work / "tools")
        modules = next(tree.glob(f"**/lib/modules/{kernel.release}"))
        kmod = next(tools.glob("**/bin/kmod"))
        depmod = work / "depmod"
        depmod.symlink_to(kmod)
        _run(depmod, "-b", modules.parents[2], kernel.release)  # lib is in /usr since 7.x
        busybox = next(tools.glob("**/bin/busybox"))
        initrd = work / "initrd"
        initramfs.write(initrd, busybox, modules)
        shutil.move(initrd, kernel.initrd)
        shutil.move(next(tree.glob("**/vmlinuz*")), kernel.image)


def _unpacked(archive: Archive, packages: Iterable[str], folder: Path) -> Path:
    folder.mkdir()
    archive.download(packages, folder)
    for package in folder.glob("*.deb"):
        _run("dpkg", "-x", package, folder / "tree")
    return folder / "tree"


def _run(*command: str | Path) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise ArchiveError(f"{' '.join(map(str, command))} failed:\n{done.stderr[-1000:]}")
