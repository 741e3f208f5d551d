"""The receipt of a run: what was measured, where, at what cost, and what was lost.

It is plain JSON, so that it can ride on `df.attrs["kernelscope"]` and in every export.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from kernelscope.tracing.request import Request
from kernelscope.version import __version__

_WHY = {
    "ring_full": "the ring buffer was full",
    "perf": "the perf buffer was full",
    "map_full": "a map was full",
    "spool_full": "the agent's spool was full",
    "dropped_rows": "only the latest rows were kept",
    "torn": "they were read half written",
    "missed_runs": "the program still ran on that CPU when its hook fired again",
}
_ADVICE = {
    "map_full": "a larger map holds them: --max-entries 1M, or a size in the C",
    "spool_full": "the notebook's side was too slow: filter (--pid, --comm) or count in the C",
    "dropped_rows": "--max-rows raises the bound",
}
_LARGEST_RING = 1 << 30


def build(
    request: Request,
    attached: Mapping[str, Any],
    ended: Mapping[str, Any],
    lost: Mapping[str, int],
    rows: Mapping[str, int],
    events: int | None,
    *,
    elapsed_s: float,
    interrupted: bool,
    recorded: bool,
) -> dict[str, Any]:
    """Return the receipt as plain JSON values.

    attached, ended: the agent's "attached" and "receipt" frames (the latter empty while it runs).
    rows: how many rows each table of the result has. events: records that arrived, kept or not;
    None where all tables are maps, which do not tell how many events made them.
    """
    duration = float(ended.get("duration_s", elapsed_s))
    return {
        "version": __version__,
        "probe": request.probe,
        "name": request.name,
        "parameters": dict(request.parameters),
        "filters": {k: v for k, v in vars(request.program.filters).items() if v is not None},
        "program": request.digest(),
        "host": attached.get("host", ""),
        "kernel": attached.get("kernel", {}),
        "cpus": attached.get("cpus"),
        "started": _started(attached, ended),
        "duration_s": round(duration, 6),
        "asked_s": None if math.isinf(request.duration_s) else request.duration_s,
        "events": events,
        "rows": dict(rows),
        "lost": dict(lost),
        "lost_counted": attached.get("lost_counted", True),
        "ring_bytes": request.program.ring_bytes,
        "ns_per_run": _ns_per_run(ended.get("runs", {})),
        "cpu_share": _cpu_share(ended.get("runs", {})),
        "runs": ended.get("runs", {}),
        "timings": attached.get("timings", {}),
        "cached": attached.get("cached", False),
        "header": attached.get("header", ""),
        "hooks": [f"{hook['spec']}={hook['function']}" for hook in attached.get("hooks", ())],
        "warnings": list(attached.get("warnings", ())),
        "interrupted": interrupted,
        "recorded": recorded,
    }


def joint(receipts: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Sum up the receipts of probes that ran together, as plain JSON values.

    skew_ms: between the first one's start and the last one's.
    """
    first = min(receipts.values(), key=lambda each: each["started"])
    shares = [each["cpu_share"] for each in receipts.values() if each["cpu_share"] is not None]
    return {
        "version": __version__,
        "probes": list(receipts),
        "host": first["host"],
        "kernel": first["kernel"],
        "started": first["started"],
        "duration_s": max(each["duration_s"] for each in receipts.values()),
        "skew_ms": first.get("beside", {}).get("skew_ms"),
        "rows": {name: sum(each["rows"].values()) for name, each in receipts.items()},
        "lost": {name: dict(each["lost"]) for name, each in receipts.items() if each["lost"]},
        "cpu_share": round(sum(shares), 6) if shares else None,
        "interrupted": any(each["interrupted"] for each in receipts.values()),
        "recorded": any(each["recorded"] for each in receipts.values()),
    }


def _started(attached: Mapping[str, Any], ended: Mapping[str, Any]) -> str:
    """Return the start in UTC, ISO 8601: the monotonic clock's moved to the wall's."""
    clock = attached.get("clock")
    if not clock:
        return ""
    begun = ended.get("started_ns", clock["monotonic_ns"])
    wall_ns = clock["realtime_ns"] - (clock["monotonic_ns"] - begun)
    return datetime.fromtimestamp(wall_ns / 1e9, UTC).isoformat(timespec="milliseconds")


def _ns_per_run(runs: Mapping[str, Any]) -> float | None:
    """Return the mean time of one run of the programs, weighted by how often each ran."""
    sampled = [p for p in runs.get("programs", {}).values() if p.get("sampled_runs")]
    total = sum(p["sampled_runs"] for p in sampled)
    spent = sum(p["sampled_runs"] * p["ns_per_run"] for p in sampled)
    return round(spent / total, 1) if total else None


def _cpu_share(runs: Mapping[str, Any]) -> float | None:
    """Return the share of one CPU that the programs took while that was measured."""
    shares = [p.get("cpu_share") for p in runs.get("programs", {}).values()]
    known = [share for share in shares if share is not None]
    return round(sum(known), 6) if known else None


def loss(receipt: Mapping[str, Any]) -> tuple[str, str] | None:
    """Return what was lost and what would help ("" where nothing would); None for no loss."""
    lost = {cause: number for cause, number in receipt["lost"].items() if number}
    if not lost:
        return None
    number, events = sum(lost.values()), receipt["events"]
    if events is None:
        said = f"{number:,} events"
    else:
        whole = events + number - lost.get("dropped_rows", 0)  # those rows did arrive
        said = f"{number:,} of {whole:,} events ({100 * number / whole:.3g} %)"
    reasons = [_WHY.get(cause, cause) for cause in lost]
    if len(reasons) > 1:
        counted = zip(lost.values(), reasons, strict=True)
        reasons = [f"{count:,} because {reason}" for count, reason in counted]
    worst = max(lost, key=lambda cause: lost[cause])
    return f"{receipt['name']} lost {said}: {', '.join(reasons)}", _advice(worst, receipt)


def _advice(cause: str, receipt: Mapping[str, Any]) -> str:
    if cause not in ("ring_full", "perf"):
        return _ADVICE.get(cause, "")
    larger = max(64 << 20, 4 * receipt["ring_bytes"])
    if larger > _LARGEST_RING:
        return "they came faster than they can be read: filter (--pid, --comm) or count in the C"
    return f"--ring {larger >> 20}M holds more of a burst; --pid, --comm or counting in the C help"


def loss_message(receipt: Mapping[str, Any]) -> str | None:
    """Return what `loss` says in one sentence; None for no loss."""
    found = loss(receipt)
    return None if found is None else "; ".join(part for part in found if part)
