"""Files kept between runs: bytecode, the BTF index, the include tree.

Files that another user could have written are not trusted: the folder and every file in it must
belong to this user and be writable only by this user, and no link is followed. Each file carries a
checksum. A file that is damaged, cut short or not this user's counts as absent.
"""

from __future__ import annotations

import hashlib
import json
import os
import pwd
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

LIMIT = 64 << 20
_ROOT_FOLDER = Path("/var/cache/kernelscope")
_STALE_S = 60.0
_TEMPORARY = ".new-"
_DIGEST = 32


class Cache:
    """One folder of checked files."""

    def __init__(self, folder: Path, limit: int = LIMIT) -> None:
        """Use `folder`, created with mode 0700 if missing. Raises OSError.

        limit: bytes; beyond it, `tidy` removes the oldest files.
        """
        self.folder = folder
        self.limit = limit
        folder.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        with suppress(FileExistsError):
            folder.mkdir(mode=0o700)
        self._check_folder()
        self._wrote = False

    @classmethod
    def open(cls, folder: Path | None = None) -> Cache | None:
        """Return the user's cache, or None if there is no safe folder."""
        try:
            return cls(folder or default_folder())
        except OSError:
            return None

    def get(self, key: str) -> dict[str, Any] | None:
        """Return the entry that `put` stored, None if there is no valid one."""
        data = self.read(f"{key}.json")
        if data is None:
            return None
        try:
            entry = json.loads(data)
        except ValueError:
            return None
        return entry if isinstance(entry, dict) else None

    def put(self, key: str, entry: dict[str, Any]) -> None:
        """Store an entry. On a full or read-only disk nothing is kept, without an error."""
        self.write(f"{key}.json", json.dumps(entry, separators=(",", ":")).encode())

    def read(self, name: str) -> bytes | None:
        """Return a file's bytes, None where it is absent, damaged or not this user's."""
        try:
            with self._folder() as at:
                fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=at)
        except OSError:
            return None
        with os.fdopen(fd, "rb") as file:
            if not _is_own(os.fstat(fd), stat.S_ISREG):
                return None
            data = file.read()
        body = data[_DIGEST:]
        if len(data) < _DIGEST or hashlib.sha256(body).digest() != data[:_DIGEST]:
            return None
        with suppress(OSError):
            os.utime(self.folder / name)
        return body

    def write(self, name: str, data: bytes, *, plain: bool = False) -> Path | None:
        """Store a file atomically; return its path, None where that failed.

        plain: without the checksum, for files that clang reads by path.
        """
        temporary = f"{_TEMPORARY}{os.getpid()}-{time.monotonic_ns()}"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            with self._folder() as at:
                fd = os.open(temporary, flags, 0o600, dir_fd=at)
                try:
                    with os.fdopen(fd, "wb") as file:
                        file.write(data if plain else hashlib.sha256(data).digest() + data)
                    os.rename(temporary, name, src_dir_fd=at, dst_dir_fd=at)
                except OSError:
                    os.unlink(temporary, dir_fd=at)
                    raise
        except OSError:
            return None
        self._wrote = True
        return self.folder / name

    def tidy(self) -> None:
        """Remove the oldest files beyond the limit, and unfinished ones. Reads the whole folder."""
        self._sweep()
        self._shrink()
        self._wrote = False

    def tidy_if_written(self) -> None:
        """Tidy up if something was stored since the last time."""
        if self._wrote:
            self.tidy()

    def _check_folder(self) -> None:
        if not _is_own(os.lstat(self.folder), stat.S_ISDIR):
            raise PermissionError(f"{self.folder} is not a folder that only this user can write")

    @contextmanager
    def _folder(self) -> Iterator[int]:
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
        fd = os.open(self.folder, flags)
        try:
            if not _is_own(os.fstat(fd), stat.S_ISDIR):
                raise PermissionError(f"{self.folder} changed hands")
            yield fd
        finally:
            os.close(fd)

    def _files(self) -> list[tuple[float, int, Path]]:
        found = []
        with suppress(OSError), os.scandir(self.folder) as entries:
            for entry in entries:
                with suppress(OSError):
                    info = entry.stat(follow_symlinks=False)
                    if stat.S_ISREG(info.st_mode):
                        found.append((info.st_mtime, info.st_size, Path(entry.path)))
        return sorted(found)

    def _shrink(self) -> None:
        files = self._files()
        total = sum(size for _, size, _ in files)
        for _, size, path in files:
            if total <= self.limit:
                break
            with suppress(OSError):
                path.unlink()
                total -= size

    def _sweep(self) -> None:
        """Remove files that a killed process left unfinished."""
        before = time.time() - _STALE_S
        for modified, _, path in self._files():
            if path.name.startswith(_TEMPORARY) and modified < before:
                with suppress(OSError):
                    path.unlink()


def default_folder() -> Path:
    """Return this user's cache folder. It comes from the password file, never from a variable."""
    if os.geteuid() == 0:
        return _ROOT_FOLDER
    return Path(pwd.getpwuid(os.geteuid()).pw_dir) / ".cache" / "kernelscope"


def _is_own(info: os.stat_result, kind: Any) -> bool:
    return kind(info.st_mode) and info.st_uid == os.geteuid() and not info.st_mode & 0o022
