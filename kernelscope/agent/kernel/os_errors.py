"""Turn an OSError into an error that says what failed, why, and what to do next."""

from __future__ import annotations

import errno
import os

from kernelscope.errors import KernelScopeError, RunError

_HINTS = {
    errno.EMFILE: "Attach fewer hooks at once, or raise the limit on open files (ulimit -n).",
    errno.ENFILE: "The whole machine has too many files open.",
    errno.ENOMEM: "Make the maps or the ring buffers (--ring) smaller, or free some memory.",
    errno.EAGAIN: "The machine has no room for another process or locked page: free some.",
    errno.ENOSPC: "A disk is full: look with df -h /var/cache /tmp.",
    errno.EDQUOT: "A disk quota is used up: look with df -h /var/cache /tmp.",
    errno.EROFS: "A folder that the agent writes to is read-only: /var/cache and /tmp.",
    errno.EPERM: "kernelscope doctor shows what this machine lets the agent do.",
    errno.EACCES: "kernelscope doctor shows what this machine lets the agent do.",
}


def as_error(error: KernelScopeError | OSError, doing: str) -> KernelScopeError:
    """Return a KernelScopeError as it is, and an OSError as a RunError that says what failed.

    details: errno, doing.
    """
    if isinstance(error, KernelScopeError):
        return error
    code = error.errno or 0
    reason = os.strerror(code).lower() if code else str(error) or type(error).__name__
    name = f" ({errno.errorcode[code]})" if code in errno.errorcode else ""
    place = f", at {error.filename}" if error.filename else ""
    return RunError(
        f"{doing} failed: {reason}{name}{place}", hint=_HINTS.get(code), errno=code, doing=doing
    )
