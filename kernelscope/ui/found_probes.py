"""What a search shows: the probes found, and what to type next."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass

from kernelscope.probe.search import Match, Matches
from kernelscope.text import printable


@dataclass(frozen=True)
class FoundProbes(Sequence[Match]):
    """The matches of a search, the best first. run, show: the commands that take a name."""

    matches: Matches
    run: str
    show: str

    def __getitem__(self, index: int) -> Match:  # type: ignore[override]
        return self.matches[index]

    def __len__(self) -> int:
        return len(self.matches)

    def _next_step(self) -> str:
        if not self.matches:
            return ""
        best = self.matches[0].name
        return f"Start with: {self.run} {best} ({self.show} {best} describes it)."

    def __repr__(self) -> str:
        text = "\n\n".join(filter(None, (repr(self.matches), self._next_step())))
        return printable(text, keep="\n")

    def _repr_html_(self) -> str:
        return f"{self.matches._repr_html_()}<p>{html.escape(self._next_step())}</p>"
