"""The status line below a live view. It holds only what is known."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from kernelscope import units
from kernelscope.ui.live.tracer import Tracer

_ENOUGH = 1000  # events for a meaningful mean cost


@dataclass(frozen=True)
class Facts:
    """The state of one run.

    rate: events per second. lost: events that did not arrive. kept: how many records are still kept
    as rows, None for all. ns_per_event, ns_per_run, cpu_share: the cost of tracing, per event shown
    and per run of a BPF program; None if it is not known. pending: the probe that is starting.
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
    pending: str = ""

    def text(self, *, paused: bool = False) -> str:
        """Return the facts in one line."""
        state = "paused (events still count)" if paused and self.state == "running" else self.state
        parts = [f"{self.name} {state}"]
        if self.state not in ("starting", "failed") or self.events:
            parts.append(f"{self.events:,} events")
            if self.state == "running":
                parts.append(f"{units.count_text(round(self.rate))} per second")
            parts.append(f"{self.lost:,} LOST" if self.lost else "0 lost")
        if self.pending and self.state == "running":
            parts.append(f"starting {self.pending}")
        if self.kept is not None:
            parts.append(f"latest {self.kept:,} kept as rows")
        if self.cpu_share is not None:
            each = f"{self.ns_per_run:,.0f} ns per program run, " if self.ns_per_run else ""
            if self.ns_per_event is not None:
                each = f"{self.ns_per_event:,.0f} ns per event, "
            parts.append(f"tracing costs {each}{self.cpu_share:.2%} of one CPU")
        return " · ".join(parts)


def facts(tracer: Tracer) -> Facts:
    """Return the state of a tracer's run now."""
    run, counter = tracer.run, tracer.counter
    if run is None or counter is None:
        return Facts(tracer.name or tracer.pending, tracer.state)
    lost = dict(run.lost)
    dropped = lost.pop("dropped_rows", 0)
    receipt = run.receipt
    share = receipt["cpu_share"]
    # Programs also run for events that a filter or a threshold drops: that is no event's cost.
    each = None
    if share is not None and not tracer.options and counter.counted >= _ENOUGH:
        each = share * 1e9 / (counter.counted / run.elapsed_s)
    recorded = " (RECORDED earlier, not live)" if receipt["recorded"] else ""
    return Facts(
        tracer.name + recorded,
        tracer.state,
        counter.events,
        counter.rate,
        sum(lost.values()),
        (receipt["events"] or 0) - dropped if dropped else None,
        each,
        share,
        receipt["ns_per_run"],
        tracer.pending,
    )


def message(text: str, *, wrong: bool = False) -> str:
    """Return a message as HTML that keeps its line breaks."""
    colour = "#A63D00" if wrong else "#5A5A5A"
    style = f"margin:2px 0;color:{colour};white-space:pre-wrap;line-height:1.3;user-select:text"
    return (
        f'<pre class="kernelscope-message" style="{style}">{html.escape(text)}</pre>'
        if text
        else ""
    )


def frames_text(rate: float, wanted: float, dropped: int) -> str:
    """Return the frame rate, and the frames that were dropped."""
    text = f"{rate:.1f} of {wanted:g} frames per second"
    return f"{text}, {dropped:,} dropped" if dropped else text


def text(found: Sequence[Facts], *, paused: bool, frames: str = "", note: str = "") -> list[str]:
    """Return the lines of a view's status."""
    lines = [each.text(paused=paused) for each in found]
    last = " · ".join(part for part in (frames, note) if part)
    return [*lines, last] if last else lines


# A page cannot know that its kernel has ended. The status of a running view therefore replaces
# itself after a few seconds without a newer one: each new text starts the animation again. So do
# pages that were saved while a view ran.
_STALE_AFTER_S = 6
HEARTBEAT_S = 2.0  # at least this often a running view sends its status
_STALE_STYLE = f"""<style>
@keyframes kernelscope-hide {{ to {{ visibility: hidden; font-size: 0; }} }}
@keyframes kernelscope-show {{ to {{ visibility: visible; font-size: 13px; }} }}
.kernelscope-current {{ animation: kernelscope-hide 1ms linear {_STALE_AFTER_S}s forwards; }}
.kernelscope-stale {{ visibility: hidden; font-size: 0;
  animation: kernelscope-show 1ms linear {_STALE_AFTER_S}s forwards; }}
</style>"""


def as_html(lines: Sequence[str], *, lost: bool, running: bool, at: datetime) -> str:
    """Return the status lines; those of a running view hold for a few seconds after `at` only."""
    body = "<br>".join(html.escape(line) for line in lines)
    style = "padding-left:12px"
    if lost:
        body = body.replace(" LOST", " <b>LOST</b>")
        style = "border-left:4px solid #e6a700;padding-left:8px"
    if running:
        stale = f"not updated since {at:%H:%M:%S}: the kernel of this view has ended"
        body = (
            f'{_STALE_STYLE}<div class="kernelscope-current">{body}</div>'
            f'<div class="kernelscope-stale">{stale}</div>'
        )
    return f'<div class="kernelscope-status" style="{style};line-height:1.4">{body}</div>'
