"""Names of the kernel's addresses, from /proc/kallsyms."""

from __future__ import annotations

from bisect import bisect_right
from functools import cached_property
from operator import itemgetter
from pathlib import Path

Frame = tuple[str, int, str]  # symbol, offset in it, module
KERNEL_HALF = 1 << 63
_ADDRESS = itemgetter(slice(16))
_FARTHEST = 16 << 20  # no function is longer: an address this far behind a symbol is not in it


class KernelSymbols:
    """/proc/kallsyms, read on first use: while the run's own programs are still in it.

    A line's address has 16 digits, so lines sort as their numbers do, and only the lines that are
    needed are split. If the kernel hides its symbols, nothing has a name.
    """

    def __init__(self, path: Path = Path("/proc/kallsyms")) -> None:
        self._path = path

    @cached_property
    def _lines(self) -> list[str]:
        try:
            lines = self._path.read_text(encoding="ascii", errors="replace").splitlines()
        except OSError:
            return []
        return sorted(lines, key=_ADDRESS)  # the first name of an address is the kernel's own

    def resolve(self, address: int) -> Frame:
        """Return the function at an address, ("", address, "") if none is known.

        module: "[kernel]", or the kernel module's name in brackets.
        """
        line = self._function_line(bisect_right(self._lines, f"{address:016x}~"))
        start, _, name, *module = line.split() if line else ("0", "", "")
        offset = address - int(start, 16)
        if not line or int(start, 16) < KERNEL_HALF or offset > _FARTHEST:
            return "", address, ""
        return name, offset, module[0] if module else "[kernel]"

    def _function_line(self, end: int) -> str:
        """Return the first line of the last code address before line `end`."""
        found = ""
        for index in range(end - 1, -1, -1):
            line = self._lines[index]
            if found and line[:16] != found[:16]:
                break
            if line[17:18] in "tTwW":
                found = line
        return found
