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
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from vm import initramfs

_NAME = "linux-image-{release}"
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
    """Return the newest release of a series among package names, None where there is none.

    "6.1" is no prefix of "6.12", and the meta-package "linux-image-6.12-cloud-amd64" is no kernel.
    """
    pattern = re.compile(rf"linux-image-({re.escape(series)}\.\d\S*-cloud-amd64)\Z")
    found = [match[1] for match in map(pattern.match, names) if match]
    return max(found, key=_age, default=None)


def _age(release: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", release))


def fetch(wanted: str) -> Kernel:
    """Return the newest kernel of a series ("6.12"), or one release, downloading what is missing.

    Where the archive cannot be asked, the newest that was kept is taken. Raises ArchiveError.
    """
    folder = cache_folder()
    is_release = wanted.endswith("-amd64")
    series = ".".join(wanted.split("-")[0].split(".")[:2]) if is_release else wanted
    release = wanted if is_release else newest(_known_packages(series), series)
    if release is None:
        release = newest((f"linux-image-{path.name}" for path in folder.glob("*")), series)
    if release is None:
        raise ArchiveError(
            f"the distribution's archive has no linux-image-{series}.*-cloud-amd64: "
            "Debian 12 has 6.1 and 6.12; apt-get update may be needed"
        )
    kernel = Kernel(series, release, folder / release)
    if not kernel.ready:
        _make(kernel)
    return kernel


def _known_packages(series: str) -> list[str]:
    command = ["apt-cache", "search", "--names-only", f"^linux-image-{re.escape(series)}\\."]
    for attempt in ("as it is", "updated"):
        if attempt == "updated":
            subprocess.run(["apt-get", "-q", "update"], capture_output=True)
        done = subprocess.run(command, capture_output=True, text=True)
        names = [line.split()[0] for line in done.stdout.splitlines() if line]
        if newest(names, series):
            return names
    return []


def _make(kernel: Kernel) -> None:
    kernel.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=kernel.folder) as temporary:
        work = Path(temporary)
        _download((_NAME.format(release=kernel.release), *_TOOLS), work)
        tree, tools = work / "tree", work / "tools"
        for package in work.glob("*.deb"):
            is_kernel = package.name.startswith("linux-image-")
            _run("dpkg", "-x", package, tree if is_kernel else tools)
        kmod = next(tools.glob("**/bin/kmod"))
        depmod = work / "depmod"
        depmod.symlink_to(kmod)
        _run(depmod, "-b", tree, kernel.release)
        busybox = next(tools.glob("**/bin/busybox"))
        modules = next(tree.glob(f"**/lib/modules/{kernel.release}"))
        initrd = work / "initrd"
        initramfs.write(initrd, busybox, modules)
        shutil.move(initrd, kernel.initrd)
        shutil.move(tree / "boot" / f"vmlinuz-{kernel.release}", kernel.image)


def _download(packages: Iterable[str], folder: Path) -> None:
    command = ["apt-get", "-q", "download", *packages]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if done.returncode:
        raise ArchiveError(f"{' '.join(command)} failed:\n{done.stderr.strip()[-1000:]}")


def _run(*command: str | Path) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise ArchiveError(f"{' '.join(map(str, command))} failed:\n{done.stderr[-1000:]}")
