"""Stack traces as folded text: the root first, ";" between frames, as flame graphs read them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

_NO_STACK = -14  # EFAULT: no stack; a kernel thread has no user stack


class Stacks:
    """The resolved stacks of a run, by process and stack id.

    frames: {"PID:ID": [[symbol, offset, module], ...leaf first]}, PID 0 for the kernel's part.
    offsets: write "function+0x1a [module]" instead of "function", and "[module]+0x1a" instead of
        "[module]" where the function is not known.
    """

    def __init__(self, frames: Mapping[str, Any] | None = None, *, offsets: bool = False) -> None:
        self.offsets = offsets
        self._frames: dict[str, Any] = {}
        self._owners: dict[int, list[str]] = {}
        self.add(frames or {})

    def add(self, frames: Mapping[str, Any]) -> None:
        """Add resolved stacks; a later one replaces an earlier one of the same name."""
        for key, stack in frames.items():
            if key not in self._frames:
                self._owners.setdefault(int(key.rpartition(":")[2]), []).append(key)
            self._frames[key] = stack

    def folded(self, process: int, stack: int) -> str:
        """Return a stack's folded text.

        process: 0 for the kernel. A stack unknown for that process but known for exactly one other
        is taken from there. "" without a stack; "[lost]" where the kernel could not keep it;
        "[stack ID]" where it has not been resolved.
        """
        if stack < 0:
            return "" if stack == _NO_STACK else "[lost]"
        frames = self._frames.get(f"{process}:{stack}")
        if frames is None:
            owners = self._owners.get(stack, [])
            if len(owners) != 1:
                return f"[stack {stack}]"
            frames = self._frames[owners[0]]
        return ";".join(self._frame(frame) for frame in reversed(frames))

    def _frame(self, frame: Sequence[Any]) -> str:
        symbol, offset, module = frame
        if not symbol:
            where = f"[{module}]" if module else "[unknown]"
            return f"{where}+{offset:#x}" if self.offsets else where
        text = str(symbol).replace(";", ":")
        if not self.offsets:
            return text
        return f"{text}+{offset:#x} [{module}]" if module else f"{text}+{offset:#x}"
