"""The receipt of a run: what was measured, where, at what cost, and what was lost.

It is plain JSON, so that it fits into `df.attrs["kernelscope"]` and into every export.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from kernelscope.tracing.request import Request
from kernelscope.version import __version__


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
    None where all tables are maps, which do not count events.
    """
    duration = float(ended.get("duration_s", elapsed_s))
    plots = {} if request.plots is None else {"plots": request.plots_json()}
    return {
        **plots,
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
        "max_rows": request.max_rows,
        "ring_bytes": request.program.ring_bytes,
        "ns_per_run": _ns_per_run(ended.get("runs", {})),
        "cpu_share": _cpu_share(ended.get("runs", {})),
        "runs": ended.get("runs", {}),
        "timings": attached.get("timings", {}),
        "cached": attached.get("cached", False),
        "header": attached.get("header", ""),
        "hooks": [f"{hook['spec']}={hook['function']}" for hook in attached.get("hooks", ())],
        "warnings": [
            *attached.get("warnings", ()),
            *_unattached(request, attached),
            *_without_effect(request, attached),
            *ended.get("warnings", ()),
        ],
        "interrupted": interrupted,
        "recorded": recorded,
    }


def _without_effect(request: Request, attached: Mapping[str, Any]) -> list[str]:
    """Return warnings of options that do nothing in this run."""
    layouts = attached.get("layouts", ())
    if request.program.per_cpu and layouts and not any(item.get("cpus") for item in layouts):
        return ["--per-cpu has no effect: the program has no per-CPU map"]
    return []


def _unattached(request: Request, attached: Mapping[str, Any]) -> list[str]:
    """Return warnings of functions without a hook; a probe may have optional ones."""
    return [
        f"{name}() is attached nowhere, so it never runs: name its hook in C or with --attach"
        for name in attached.get("unattached", ())
        if not request.probe
    ]


def spans(request: Request, table: str) -> dict[str, str]:
    """Return of a table's durations whether each began at the row's time ("after") or ended then.

    Exports for timelines need it to place them.
    """
    columns = [column for spec in request.tables if spec.name == table for column in spec.columns]
    return {
        column.name: "before" if column.until_time else "after"
        for column in columns
        if column.kind == "duration"
    }


def joint(receipts: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Sum up the receipts of probes that ran together, as plain JSON values.

    skew_ms: between the first start and the last.
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
    """Return the start in UTC, ISO 8601: the monotonic time converted to the wall clock."""
    clock = attached.get("clock")
    if not clock:
        return ""
    start_ns = ended.get("started_ns", clock["monotonic_ns"])
    wall_ns = clock["realtime_ns"] - (clock["monotonic_ns"] - start_ns)
    return datetime.fromtimestamp(wall_ns / 1e9, UTC).isoformat(timespec="milliseconds")


def _ns_per_run(runs: Mapping[str, Any]) -> float | None:
    """Return the mean time of one run of the programs, weighted by how often each ran."""
    sampled = [p for p in runs.get("programs", {}).values() if p.get("sampled_runs")]
    total = sum(p["sampled_runs"] for p in sampled)
    spent = sum(p["sampled_runs"] * p["ns_per_run"] for p in sampled)
    return round(spent / total, 1) if total else None


def _cpu_share(runs: Mapping[str, Any]) -> float | None:
    """Return the share of one CPU that the programs took while statistics were on."""
    shares = [p.get("cpu_share") for p in runs.get("programs", {}).values()]
    known = [share for share in shares if share is not None]
    return round(sum(known), 6) if known else None
