"""Why events were lost, and what the user can do about it: one line for each kind of loss."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kernelscope.protocol.losses import Loss

_REASONS = {
    Loss.RING_FULL: "the ring buffer was full",
    Loss.PERF_FULL: "the perf buffer was full",
    Loss.MAP_FULL: "a map was full",
    Loss.SPOOL_FULL: "the agent's send queue was full",
    Loss.DROPPED_ROWS: "only the latest rows were kept",
    Loss.TORN: "they were incomplete when they were read",
    Loss.MISSED_RUNS: "the program still ran on that CPU when its hook fired again",
    Loss.STACK_SLOTS: "another stack had taken the slot",
    Loss.BPFTRACE: "bpftrace's own buffer was full",
}
_ADVICE = {
    Loss.MAP_FULL: "use a larger map: --max-entries 1M, or a size in the C",
    Loss.SPOOL_FULL: "the client is too slow: filter (--pid, --comm) or count in the C",
    Loss.DROPPED_ROWS: "--max-rows raises the limit",
    Loss.STACK_SLOTS: "use more slots: --max-entries 65536",
    Loss.BPFTRACE: "filter in the script (/.../) or count in a map",
}
_LARGEST_RING = 1 << 30


def loss(receipt: Mapping[str, Any]) -> tuple[str, str] | None:
    """Return what was lost and what helps against it ("" if nothing does); None for no loss.

    Problems that cost something else than the result, a recording that is not whole for example,
    come last.
    """
    found, problems = _lost(receipt), receipt.get("problems", [])
    if not problems:
        return found
    parts = [found[0]] if found else []
    text = "; ".join([*parts, f"{receipt['name']}: {', '.join(problems)}"])
    return text, found[1] if found else ""


def _lost(receipt: Mapping[str, Any]) -> tuple[str, str] | None:
    # Rows beyond --max-rows are not lost: the user asked for the latest alone.
    meant = {Loss.DROPPED_ROWS.value} if receipt.get("max_rows") else set()
    lost = {cause: n for cause, n in receipt["lost"].items() if n and cause not in meant}
    if not lost:
        return None
    partial = {cause: number for cause, number in lost.items() if _kept_row(cause)}
    rows = {cause: number for cause, number in lost.items() if cause not in partial}
    found = [f"{receipt['name']} lost {_amount(rows, receipt['events'])}: {_reasons(rows)}"]
    if partial:
        found = found if rows else []
        number = sum(partial.values())
        rows_have = "row has" if number == 1 else "rows have"
        found.append(f"{number:,} {rows_have} no stack: {_reasons(partial)}")
    worst = max(lost, key=lambda cause: lost[cause])
    return "; ".join(found), _advice(worst, receipt)


def _amount(lost: Mapping[str, int], events: int | None) -> str:
    number = sum(lost.values())
    if events is None:
        return f"{number:,} events"
    total = events + number - lost.get(Loss.DROPPED_ROWS, 0)  # those rows did arrive
    return f"{number:,} of {total:,} events ({100 * number / max(total, 1):.3g} %)"


def _reasons(lost: Mapping[str, int]) -> str:
    reasons = [_reason(cause) for cause in lost]
    if len(reasons) == 1:
        return reasons[0]
    counted = zip(lost.values(), reasons, strict=True)
    return ", ".join(f"{count:,} because {reason}" for count, reason in counted)


def loss_message(receipt: Mapping[str, Any]) -> str | None:
    """Return `loss` as one sentence; None for no loss."""
    found = loss(receipt)
    return None if found is None else "; ".join(part for part in found if part)


def _kind(cause: str) -> Loss | None:
    """Return a cause's kind; None for one of a recording that this version does not know."""
    try:
        return Loss(cause)
    except ValueError:
        return None


def _kept_row(cause: str) -> bool:
    kind = _kind(cause)
    return kind is not None and kind.keeps_row


def _reason(cause: str) -> str:
    kind = _kind(cause)
    return cause if kind is None else _REASONS[kind]


def _advice(cause: str, receipt: Mapping[str, Any]) -> str:
    kind = _kind(cause)
    if kind is None:
        return ""
    if kind not in (Loss.RING_FULL, Loss.PERF_FULL):
        return _ADVICE.get(kind, "")
    larger = max(64 << 20, 4 * receipt["ring_bytes"])
    if larger > _LARGEST_RING:
        return "events came faster than they can be read: filter (--pid, --comm) or count in the C"
    return f"--ring {larger >> 20}M holds more of a burst; --pid, --comm or counting in the C help"
