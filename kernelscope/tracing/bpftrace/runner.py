"""Runs a bpftrace script for a set time and returns its maps and lines as DataFrames.

bpftrace is its own program with its own privilege: it runs as root, or through `sudo -n`. It ends
with the notebook, in whatever way that ends.
"""

from __future__ import annotations

import math
import platform
import re
import socket
import warnings
from typing import TYPE_CHECKING, Any, cast

from kernelscope import converters
from kernelscope.errors import (
    AttachError,
    CompileError,
    KernelScopeError,
    LostEventsWarning,
    ParameterError,
    RunError,
)
from kernelscope.protocol.c_tokens import scan
from kernelscope.protocol.losses import Loss
from kernelscope.tables.attrs import KEY, receipt_of
from kernelscope.tables.results import Tables
from kernelscope.tracing import losses
from kernelscope.tracing.bpftrace import attach_points
from kernelscope.tracing.bpftrace import output as outputs
from kernelscope.tracing.bpftrace.process import Process, no_privilege
from kernelscope.tracing.progress import Progress
from kernelscope.tracing.request import unknown_table

if TYPE_CHECKING:
    from kernelscope.accessor import Table

DURATION_S = 10.0
_PLACE = re.compile(r"^\S+:(\d+):(\d+)(?:-(\d+))?: (?:ERROR: )?(?!WARNING: )(.*)")
_NOT_ATTACHED = re.compile(
    r"error attaching|(unable|failed|could not|cannot|can't) (to )?attach|could not be attached"
    r"|no probes to attach|failed to probe|unable to probe",
    re.IGNORECASE,
)
# One of several probes of a block, where bpftrace continues with the others.
_SKIPPED = re.compile(r"could not attach probe (\S+), skipping", re.IGNORECASE)
# Warnings about the machine that come with every run and concern no probe of the script.
_USUAL = ("RLIMIT_MEMLOCK", "available_filter_functions")


def run(
    script: str,
    *,
    duration: float | str = DURATION_S,
    pid: int | None = None,
    table: str | None = None,
    progress: Progress | None = None,
    warn: bool = True,
) -> Table | Tables:
    """Run a bpftrace script for `duration` seconds, or until it exits; Ctrl-C ends it early.

    pid: bpftrace's -p, for probes of one process. table: return only this table.
    The result has one table for each map, named as the map without its @ ("map" where it has no
    name), "printf" for lines and "print" for values; a single one is a DataFrame. A map that is
    printed more than once has all readings, with "time". `attrs["kernelscope"]` is the receipt,
    with the events that bpftrace lost.

    Raises RequirementError without bpftrace or privilege, CompileError at the script's line,
    AttachError where a probe could not be attached, RunError; warns with LostEventsWarning.
    """
    if not script.strip():
        raise ParameterError(
            "there is no script to run", hint="write bpftrace below the line", name="script"
        )
    seconds = converters.run_time(duration)
    if math.isinf(seconds):
        raise ParameterError(
            "bpftrace needs an end", hint="give a duration, such as -d 1h", name="duration"
        )
    process = Process(script, seconds, pid)
    process.wait(progress)
    tables = _tables(script, process, warn=warn)
    if table is not None and table not in tables:
        raise unknown_table(table, list(tables))
    if table is not None:
        return cast("Table", tables[table])
    return cast("Table", next(iter(tables.values()))) if len(tables) == 1 else tables


def _tables(script: str, process: Process, *, warn: bool) -> Tables:
    output = outputs.read(process.lines, script)
    errors = _without_usual(process.errors)
    error = _failure(script, process, errors, output)
    if error is not None:
        raise error
    output.lost += sum(int(number) for number in re.findall(r"Lost (\d+) events", errors))
    complaints = re.findall(r"^(?:\S+: )?WARNING: (.*)", errors, re.MULTILINE)
    problems = [*(c for c in complaints if _SKIPPED.search(c)), *output.warnings]
    receipt = {
        **_receipt(script, process, output),
        "warnings": [*complaints, *output.warnings],
        **({"problems": problems} if problems else {}),
    }
    for name, each in output.tables.items():
        each.attrs[KEY] = {**receipt, **receipt_of(each), "table": name}
    message = losses.loss_message(receipt)
    if warn and message is not None:
        warnings.warn(message, LostEventsWarning, stacklevel=3)
    return Tables(output.tables, receipt)


def _receipt(script: str, process: Process, output: outputs.Output) -> dict[str, Any]:
    return {
        "name": "bpftrace",
        "probe": None,
        "script": script,
        "host": socket.gethostname(),
        "kernel": {"release": platform.release(), "machine": platform.machine()},
        "started": process.started.isoformat(timespec="milliseconds"),
        "duration_s": round(process.elapsed_s, 6),
        "asked_s": process.seconds,
        "probes_attached": output.attached,
        "rows": {name: len(table) for name, table in output.tables.items()},
        "events": None,
        "lost": {Loss.BPFTRACE.value: output.lost} if output.lost else {},
        "printed": output.banners,
        "interrupted": process.interrupted,
        "recorded": False,
    }


# --- failures -------------------------------------------------------------------------------------


def _without_usual(errors: str) -> str:
    lines = [line for line in errors.splitlines() if not any(text in line for text in _USUAL)]
    return "\n".join(lines)


def _failure(
    script: str, process: Process, errors: str, output: outputs.Output
) -> KernelScopeError | None:
    """Return why bpftrace failed, at the script's own line where it names one; None if it did not.

    A probe that could not be attached is a failure, unless another one of the same block was: many
    scripts name a function by its names in several kernels.
    """
    printed = "\n".join([errors, *(line.text for line in process.lines[:50])])
    skipped = _SKIPPED.findall(printed)
    needed = set(attach_points.missing(script, skipped, output.attached))
    unattached = [
        line
        for line in printed.splitlines()
        if _NOT_ATTACHED.search(line)
        and ((found := _SKIPPED.search(line)) is None or found[1] in needed)
    ]
    failed = process.status != 0 and not (process.interrupted or _exits_with_status(script))
    if not failed and output.attached and not unattached:
        return None
    if not output.attached and (error := _at_its_line(script, errors)) is not None:
        return error
    if unattached:
        words = re.sub(r"^(ERROR|WARNING): ", "", unattached[0])
        hint = "remove that probe, or spell it as bpftrace -l lists it"
        return AttachError(f"bpftrace: {words}", hint=hint, log=errors)
    if (error := _at_its_line(script, errors)) is not None:
        return error
    lines = [line for line in errors.splitlines() if line.strip()]
    words = re.sub(r"^(ERROR|WARNING): ", "", lines[-1] if lines else "")
    if "root" in words.lower():
        return no_privilege(words)
    reason = words or f"it ended with status {process.status} and printed no error"
    return RunError(f"bpftrace: {reason}", log=errors)


def _exits_with_status(script: str) -> bool:
    """Return whether the script ends itself with a status of its own: exit(3)."""
    tokens = scan(script)
    return any(
        token.text == "exit" and tokens[i + 1].text == "(" and tokens[i + 2].text != ")"
        for i, token in enumerate(tokens[:-2])
    )


def _at_its_line(script: str, errors: str) -> CompileError | None:
    """Return the first error of bpftrace that names a line of the script."""
    for line in errors.splitlines():
        place = _PLACE.match(line)
        if place is not None:
            number, column = int(place[1]), int(place[2])
            lines = script.splitlines()
            text = lines[number - 1] if 0 < number <= len(lines) else ""
            return CompileError(place[4], line=number, column=column, text=text)
    return None
