"""The line below a live view. It is always true: what is not known is not in it."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass

from kernelscope.plotting import figure
from kernelscope.ui.live.tracer import Tracer

_ENOUGH = 1000  # events, for a mean to say something


@dataclass(frozen=True)
class Facts:
    """How one run fares.

    lost: events that did not arrive. kept: how many of the records there still are as rows, None
    for all of them. ns_per_event, ns_per_run, cpu_share: what tracing costs, of an event that is
    shown and each time a program runs; None where that is not known.
    """

    name: str
    state: str
    events: int = 0
    rate: float = 0.0
    lost: int = 0
    kept: int | None = None
    ns_per_event: float | None = None
    cpu_share: float | None = None
    ns_per_run: float | None = None

    def text(self, *, paused: bool = False) -> str:
        """Return the facts in one line."""
        state = "paused (events still count)" if paused and self.state == "running" else self.state
        parts = [f"{self.name} {state}"]
        if self.state not in ("starting", "failed") or self.events:
            parts.append(f"{self.events:,} events")
            if self.state == "running":
                parts.append(f"{figure.count_text(round(self.rate))} a second")
            parts.append(f"{self.lost:,} LOST" if self.lost else "0 lost")
        if self.kept is not None:
            parts.append(f"the latest {self.kept:,} kept as rows")
        if self.cpu_share is not None:
            each = f"{self.ns_per_run:,.0f} ns a run of its programs, " if self.ns_per_run else ""
            if self.ns_per_event is not None:
                each = f"{self.ns_per_event:,.0f} ns an event, "
            parts.append(f"tracing costs {each}{self.cpu_share:.2%} of one CPU")
        return " · ".join(parts)


def facts(tracer: Tracer) -> Facts:
    """Return how a tracer's run fares now."""
    run, engine = tracer.run, tracer.engine
    if run is None or engine is None:
        return Facts(tracer.name, tracer.state)
    lost = dict(run.lost)
    dropped = lost.pop("dropped_rows", 0)
    made = run.receipt
    share = made["cpu_share"]
    # Programs also run for what a filter or a threshold leaves out: that is no event's cost.
    each = None
    if share is not None and not tracer.given and engine.counted >= _ENOUGH:
        each = share * 1e9 / (engine.counted / run.elapsed_s)
    recorded = " (RECORDED earlier, not live)" if made["recorded"] else ""
    return Facts(
        tracer.name + recorded,
        tracer.state,
        engine.events,
        engine.rate,
        sum(lost.values()),
        (made["events"] or 0) - dropped if dropped else None,
        each,
        share,
        made["ns_per_run"],
    )


def message(text: str, *, wrong: bool = False) -> str:
    """Return a message as HTML that keeps its lines."""
    colour = "#A63D00" if wrong else "#5A5A5A"
    style = f"margin:2px 0;color:{colour};white-space:pre-wrap;line-height:1.3;user-select:text"
    return (
        f'<pre class="kernelscope-said" style="{style}">{html.escape(text)}</pre>' if text else ""
    )


def frames_text(reached: float, wanted: float, dropped: int) -> str:
    """Return how smooth the view is."""
    text = f"{reached:.1f} of {wanted:g} frames a second"
    return f"{text}, {dropped:,} dropped" if dropped else text


def text(found: Sequence[Facts], *, paused: bool, frames: str = "", note: str = "") -> list[str]:
    """Return the lines of a view's status."""
    lines = [each.text(paused=paused) for each in found]
    last = " · ".join(part for part in (frames, note) if part)
    return [*lines, last] if last else lines
