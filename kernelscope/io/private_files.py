"""Files for traced data: readable by their owner alone, and never through another user's link.

In a folder that everybody may write to (/tmp), another user can put a link or a file in the place
where a result is to be written. The kernel refuses to open those where fs.protected_symlinks and
fs.protected_regular are set; here they are refused in any case.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import IO

MODE = 0o600
# Files are read and written on other systems, too, which lack some of it.
_WRITE = os.O_WRONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
_MOST_LINKS = 40  # as the kernel's, include/linux/namei.h


class ForeignFileError(PermissionError):
    """A link or a file of another user, in a folder that everybody may write to."""


def resolved(path: Path) -> Path:
    """Return a path without symbolic links. Raises OSError for another user's link in /tmp."""
    left = list(path.absolute().parts)
    here = Path(left.pop(0))
    links = 0
    while left:
        name = left.pop(0)
        here = here.parent if name == ".." else here / name
        if not here.is_symlink():
            continue
        if here.is_relative_to("/proc"):  # its links are the kernel's: /proc/self/fd/1
            file = Path(os.path.realpath(here))
            here = file if file.exists() else here
            continue
        target = here.readlink()
        _check_owner(here)
        links += 1
        if links > _MOST_LINKS:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))
        parts = list(target.parts)
        here = Path(parts.pop(0)) if target.is_absolute() else here.parent
        left = parts + left
    return here


def create(path: Path) -> IO[bytes]:
    """Open a file for writing from its start, owner-only where it is new. Raises OSError."""
    target = resolved(path)
    if target.exists() and not target.is_file():
        return target.open("wb")  # a device or a pipe
    try:
        file = os.open(target, _WRITE | os.O_CREAT | os.O_EXCL, MODE)
    except FileExistsError:
        _check_owner(target)
        file = os.open(target, _WRITE | os.O_TRUNC)
    return os.fdopen(file, "wb")


def mode_of(path: Path) -> int:
    """Return the mode for a new version of a file: that of the file it replaces, if it is ours."""
    try:
        found = path.lstat()
    except OSError:
        return MODE
    ours = stat.S_ISREG(found.st_mode) and found.st_uid == _user()
    return stat.S_IMODE(found.st_mode) if ours else MODE


def _user() -> int:
    return os.geteuid() if hasattr(os, "geteuid") else 0


def _check_owner(path: Path) -> None:
    """Raise PermissionError for a link or file of another user in a folder of everybody's."""
    folder = path.parent.stat()
    shared = folder.st_mode & stat.S_ISVTX and folder.st_mode & stat.S_IWOTH
    if shared and path.lstat().st_uid not in (_user(), folder.st_uid):
        raise ForeignFileError(errno.EACCES, f"{path} belongs to another user")
