"""Write a file whole or not at all, and explain why one could not be written or read."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

from kernelscope.errors import ExportError, KernelScopeError
from kernelscope.io.private_files import ForeignFileError, create, mode_of, resolved

PathLike = str | os.PathLike[str]

# What an error of the system means, and what to do about it.
_CAUSES = {
    errno.ENOENT: ("there is no such directory or file", "create the directory, or check the name"),
    errno.ENOTDIR: ("a part of the path is a file", "check the path"),
    errno.EACCES: ("permission denied", "choose a directory that you may write to"),
    errno.EPERM: ("permission denied", "choose a directory that you may write to"),
    errno.EROFS: ("the file system is read-only", "choose a directory that you may write to"),
    errno.EISDIR: ("it is a directory", "add a file's name to it"),
    errno.ENOSPC: ("the disk is full", "free some space, or write to another disk"),
    errno.EDQUOT: ("the disk quota is used up", "free some space, or write to another disk"),
    errno.ENAMETOOLONG: ("the name is too long", "choose a shorter one"),
}


def write_bytes(path: PathLike, content: bytes) -> Path:
    """Write a file whole or not at all. Returns the path. Raises ExportError."""
    return write_whole(path, lambda file: file.write(content))


def write_whole(path: PathLike, fill: Callable[[IO[bytes]], Any]) -> Path:
    """Have `fill` write a file, whole or not at all; a device or a pipe is written to directly.

    Returns the path. Raises ExportError.
    """
    target = Path(path)
    with explained(path, "write"):
        if target.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(target))
        final = resolved(target)
        if final.exists() and not final.is_file():
            with final.open("wb") as file:
                fill(file)
            return target
        temporary = final.with_name(f".{final.name}.{secrets.token_hex(4)}.tmp")
        try:
            with create(temporary) as file:
                fill(file)
                file.flush()
                if hasattr(os, "fchmod"):
                    os.fchmod(file.fileno(), mode_of(final))
                os.fsync(file.fileno())
            temporary.replace(final)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    return target


@contextlib.contextmanager
def explained(
    path: PathLike, action: str, *errors: type[Exception], hint: str | None = None
) -> Iterator[None]:
    """Turn an OSError into an ExportError with a next step; other `errors` get the hint."""
    try:
        yield
    except KernelScopeError:
        raise
    except ForeignFileError as error:
        raise ExportError(
            f"cannot {action} {path}: {error.strerror}",
            hint="choose a folder of your own",
            path=str(path),
        ) from error
    except OSError as error:
        why, step = _CAUSES.get(error.errno or 0, (error.strerror or str(error), None))
        raise ExportError(f"cannot {action} {path}: {why}", hint=step, path=str(path)) from error
    except errors as error:
        raise ExportError(f"cannot {action} {path}: {error}", hint=hint, path=str(path)) from error
