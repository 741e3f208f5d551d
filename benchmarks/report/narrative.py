"""The text of RESULTS.md around the tables, with numbers taken from the results."""

from __future__ import annotations

import math
import re
from statistics import median
from typing import Any

from benchmarks.measure.measurement import BCC, BPFTRACE, KERNELSCOPE
from benchmarks.measure.results_store import Part
from benchmarks.suites.overhead import FLOOR

TITLES = {
    "start": "Start: from the question to the attached program",
    "events": "Events to a DataFrame",
    "flood": "A long flood, and its effect on the traced program",
    "maps": "Maps to a DataFrame",
    "count": "Counting in a hash",
    "overhead": "The same question with each tool",
    "probes": "Cost of each built-in probe",
    "live": "Live view",
    "scale": "Many runs at a time, and long ones",
}
NOTES = {
    "start": "Each cell runs 0.3 s after the end of the previous run, about as soon as a person"
    " could start it. Directly after another run, a tracepoint waits until the kernel has closed"
    " the previous one (`event_mutex`). bcc and bpftrace have only one way to start, a new process,"
    " so their figure is repeated in each row.",
    "events": "One load makes write calls for 1 s, in a flood for 1.5 s. CPU time is that of all"
    " processes of the tool, from the moment it is attached to the DataFrame. bcc has a ring of"
    " 16 MiB, like KernelScope, and a callback that stores each event's fields in a list; bpftrace"
    " prints JSON, which is parsed. bpftrace's 256-byte events contain 200 bytes of text, its"
    " maximum. Events that a tool does not deliver cost it nothing: compare the CPU time together"
    " with the share delivered and the slow-down of the traced program.",
    "flood": "Default settings, 40-byte events. `not read`: the run's reader is stopped by a"
    " signal while the load runs. A full ring rejects events, and counts them; the ring of 256 MiB"
    " takes all of them, and is the equivalent program. `Each batch decoded as it comes` is the CPU"
    " time of both processes during the flood, with a table for each batch; the columns alone are"
    " the same batches decoded again on an idle machine; the agent's read is that of the flood.",
    "maps": "From the request to the DataFrame, while the program keeps running: with KernelScope"
    " by peek(). bpftrace prints a map when it ends. bcc reads with items_lookup_batch() or"
    " items(), whichever is faster (for per-CPU maps only the second exists). bpftrace's keys are"
    " text.",
    "count": "CPU time of the traced program per event, minus that of an untraced one.",
    "overhead": "Each tool traces the whole machine while a load runs on a separate CPU: write"
    " calls, switches of two processes on one CPU, reads of 4 KiB that bypass the page cache. The"
    " added time is the load's CPU time with the tool, minus the mean of the runs directly before"
    " and after; the tools take turns, attached again each time. BPF ns are the kernel's own"
    " statistics, measured separately because they cost time themselves; the last line of each"
    " question is the same statistic for programs that do nothing at the probe's hooks, the lower"
    " limit for any program. If a figure is missing, the distribution's tool does not attach on"
    " this kernel (it needs kernel probes, or does not compile). If the distribution's bpftrace"
    " script needs them, a script of this project replaces it.",
    "probes": "With default options, tracing the whole machine: how many times as much CPU time a"
    " load takes. Each pair was measured without the probe, with it, and without it again, attached"
    " again each time, on one CPU; a cell is the pairs' median with their extremes, which are the"
    " median's 94% interval in the full form. If the range contains 1, no effect was seen. BPF ns:"
    " the kernel's own statistics for an event of the load, measured in separate runs; a probe"
    " whose hooks the load does not use has a small figure or none. The lines of `nothing` are"
    " programs that do nothing: only the call of a program, with the comparison that excludes"
    " KernelScope itself.",
    "live": "An IPython kernel, with this program as its page (benchmarks/suites/live_cost.py).",
    "scale": "The same program many times over one load of 10,000 events/s; each copy sees all of"
    " them.",
}


def introduction(machine: dict[str, Any], parts: dict[str, Part]) -> str:
    """Return the introduction: the machine, the method and the tools."""
    headers = next((part.headers for part in parts.values()), "")
    return "\n\n".join(
        [
            "# Benchmarks",
            f"Made by `script/bench`: Linux {machine['kernel']} on {machine['machine']},"
            f" {machine['cpus']} {'virtual ' if machine['hypervisor'] else ''}CPUs"
            f" ({machine['cpu']}),"
            f" {machine['memory_gib']} GiB, Python {machine['python']}, bpftrace"
            f" {machine['bpftrace']}, bcc {machine['bcc']} with {headers}.",
            "In each round the tools are measured one after another. A cell is the median of the"
            " rounds, with the smallest and the largest in brackets; `ahead` is how many times as"
            " good KernelScope is, the geometric mean of the rounds' ratios with its 95% interval"
            " (Student's t). Each part has the time of its own run: `script/bench --only PART`"
            " replaces one. The loads are part of the project"
            " ([load.c](../workloads/bench/load.c)) and report how many events they made. bcc and"
            " KernelScope run the same C.",
            "pylibbpf and Python-BPF (PyPI) are not in the tables, because they did not run here:"
            " Python-BPF 0.1.7 on Python 3.11 fails within llvmlite (`unknown attr 'nocapture'`),"
            " 0.2.0 is a syntax error on Python 3.11 and on 3.12 generates code that the"
            " distribution's LLVM 14 rejects (`opt` exits with 1). pylibbpf loads objects and has"
            " no compiler.",
        ]
    )


def goals(name: str, part: Part) -> str:
    """Return the part's goals, and whether they are met."""
    lines = []
    for of, row, measure, goal, more in _GOALS:
        if of != name:
            continue
        for each in part.rows:
            values = part.values(each, measure, KERNELSCOPE) if re.fullmatch(row, each) else []
            if values:
                middle = median(values)
                met = middle >= goal if more else middle <= goal
                sign = "≥" if more else "≤"
                lines.append(
                    f"- Goal, {each}: {measure} {sign} {goal:g}. {middle:.3g}:"
                    f" {'met' if met else '**missed**'}."
                )
    if name == "flood":
        lines.append(_reading_goal(part))
    return "\n".join(line for line in lines if line)


_GOALS = (
    ("start", r"the cell again \(warm\)", "ms to attached", 20, False),
    ("flood", r"a flood of \d+ s, kept whole", "events lost", 0, False),
    ("flood", "the agent's read and the columns", "M events per CPU s", 15, True),
    ("flood", r"a flood of \d+ s, each batch decoded.*", "M events per CPU s", 15, True),
)


def _reading_goal(part: Part) -> str:
    row = "traced program's ns per event in a flood"
    ours = part.values(row, "ns", "KernelScope, ring of 256 MiB")
    default = part.values(row, "ns", "KernelScope, ring of 16 MiB")
    unread = part.values(row, "ns", "not read, ring of 256 MiB")
    if not (ours and unread and default):
        return ""
    more = median(a / b - 1 for a, b in zip(ours, unread, strict=True))
    usual = median(a / b - 1 for a, b in zip(default, unread, strict=True))
    met = "met" if usual <= 0.05 else "**missed**"
    return (
        "- Goal: the traced program is at most 5% slower than with the same program whose ring is"
        f" not read. {usual:+.1%} with the default ring: {met} ({more:+.1%} with one"
        " of 256 MiB too)."
    )


# (part, row, measure, other tool) as patterns, and the reason.
_WHY = (
    ("start", "first cell.*", ".*", ".*",
     "The agent's Python has to start, once; %load_ext starts it early."),
    ("start", "the command.*", ".*", ".*",
     "Two Pythons start in parallel, and a table is created; pandas is imported while the program"
     " runs. bpftrace is one program in C++. bcc's script ends when it has attached, and creates no"
     " table."),
    ("start", ".*import", ".*", ".*", "pandas is imported when a result is first decoded."),
    ("events", ".*", "CPU s per M", ".*",
     "At a low rate this is the time of wake-ups: the ring is checked 20 to 500 times per second"
     " even if it is empty, and the end of the run and the table cost some 30 ms, shared by only"
     " few events."),
    ("events", ".*flood.*|1,000,000/s.*", "traced.*", BCC,
     "The same C. KernelScope adds a check that excludes its own processes, and counts lost events."
     " Its reader keeps up with all events and shares the core and its cache with the traced"
     " program, while bcc's loses events (see the share delivered). The long flood has bcc's ns"
     " with a ring that takes all events; the last section explains the difference."),
    ("events", ".*", "traced.*", ".*",
     "KernelScope excludes its own processes and counts lost events, which takes some ns before and"
     " in the program; at low rates the load's wake-ups are most of its CPU time, and vary."),
    ("maps", "100 .*", ".*", BCC,
     "bcc reads in its own process. KernelScope asks the agent, which reads, and creates typed"
     " columns: two messages, two wake-ups and a table, which hardly depend on the size up to some"
     " 10,000 keys. Most of the time of both is the kernel's walk through a million buckets."),
    ("maps", "10,000 .*", ".*", BCC,
     "As with 100 keys: two messages and a table take longer than reading."),
    ("maps", "1,000,000 .*", ".*", BCC,
     "The copy across the process boundary, which bcc does not need."),
    ("count", ".*", ".*", BCC,
     "The same program, with KernelScope's check that excludes its own processes: a helper call and"
     " some ns."),
    ("overhead", ".*", ".*", BCC,
     "The probe stores calls or times by process and a finer histogram of them, with errors and"
     " extremes, and counts lost events; the tool stores one total or one histogram."),
    ("overhead", ".*", ".*", BPFTRACE,
     "The probe's histogram is finer and has a key, and lost events are counted; bpftrace's maps"
     " are per CPU, which are cheaper to update and slower to read."),
)  # fmt: skip


def why(part: str, row: str, measure: str, other: str) -> str:
    """Return the reason why KernelScope is not ahead in a row."""
    for of, rows, measures, others, reason in _WHY:
        patterns = ((rows, row), (measures, measure), (others, other))
        if of == part and all(re.fullmatch(pattern, text) for pattern, text in patterns):
            return reason
    return "Not explained yet."


def rest(parts: dict[str, Part]) -> str:
    """Return where the rest of the time goes, and how close to the limit it is."""
    pieces = [_rest_of_start(parts.get("start")), _rest_of_maps(parts.get("maps"))]
    pieces.append(_rest_of_events(parts))
    pieces.append(_rest_of_overhead(parts))
    return "## Where the rest of the time goes\n\n" + "\n\n".join(
        piece for piece in pieces if piece
    )


def _rest_of_start(part: Part | None) -> str:
    if part is None:
        return ""
    times = []
    for row in ("a new cell (cold)", "the cell again (warm)"):
        steps = [
            f"{measure.removeprefix('of which ms: ')} {median(values):.1f}"
            for measure in part.measures(row)
            if measure.startswith("of which") and (values := part.values(row, measure, KERNELSCOPE))
        ]
        if steps:
            times.append(f"{row}: {', '.join(steps)} ms")
    return (
        f"**Start.** By the agent's own clock: {'; '.join(times)}. Compiling is the time of clang"
        " and LLVM (`clang` is only that) for a header of 200 lines generated from BTF: libbcc"
        " takes half of it even for an empty function, because it reads its helpers in three"
        " passes. The cache avoids it. Loading is the kernel's verifier and JIT, which no tool can"
        " avoid; attaching is the kernel's too (`perf_event_open`, RCU). The rest of a warm start"
        " is the fork of the agent's server and two messages. A first start includes two Pythons:"
        " the agent's starts and imports some hundred modules, and nothing is compiled if the"
        " bytecode exists. A command adds its own imports (the agent starts meanwhile), the table,"
        " and the end of Python; pandas is imported while the program runs."
    )


def _rest_of_maps(part: Part | None) -> str:
    if part is None:
        return ""
    ended, detached = (
        [
            value
            for row in part.rows
            if row.startswith("100 ")
            for value in part.values(row, measure, KERNELSCOPE)
        ]
        for measure in ("ms to the end and a DataFrame", "of which ms: detach")
    )
    wait = ""
    if detached:
        wait = (
            f" Of the {median(ended):.0f} ms to the end of a run with 100 keys,"
            f" {median(detached):.0f} are the kernel's, which waits until no CPU can still be in"
            " the program."
        )
    return (
        "**Maps.** Reading a hash is a walk through its buckets: for 100 keys in a map with room"
        " for a million, 0.8 to 0.9 ms in the kernel, for every tool. Two wake-ups and two"
        " messages take some 0.2 ms, a table 0.15 ms if the code is in the processor's caches and"
        f" 0.5 ms if not, most of it in pandas.{wait} The result is read after that wait, not"
        " before it, so it is complete and nothing is attached any more."
    )


def _rest_of_events(parts: dict[str, Part]) -> str:
    events, flood = parts.get("events"), parts.get("flood")
    if events is None or flood is None:
        return ""
    each = {size: _each_event(events, f"flood, {size} bytes") for size in (40, 256)}
    limits = [
        _middle(flood, f"limit: {name}", "ns for 48 bytes") for name in ("a copy", _TOUCH, _HOST)
    ]
    sentences = [
        f"**Events.** For a 40-byte event (48 in the ring) in a short flood without loss, the agent"
        f" takes {each[40]['agent']:.0f} ns (libbpf finds the records in C, one copy into the"
        f" socket), the notebook's reader {each[40]['receive']:.0f} ns (one copy out of it, into"
        f" memory that was not touched before), and the columns {each[40]['decode']:.0f} ns."
        f" On this machine, copying 48 bytes takes {limits[0]:.1f} ns, and touching 48 bytes of"
        f" memory for the first time {limits[1]:.1f} ns: page faults."
    ]
    if limits[2] + each[40][_AGAIN] + each[256][_AGAIN] > 0:  # all of them were measured
        sentences.append(
            f"For memory that the host of this virtual machine has taken back it is {limits[2]:.0f}"
            " ns, because the host faults too; huge pages do not reduce that. So most of the cost"
            " of the columns of a stored flood is memory: decoded again in memory used before, a"
            f" 40-byte event takes {each[40][_AGAIN]:.0f} ns instead of {each[40]['decode']:.0f},"
            f" one of 256 bytes {each[256][_AGAIN]:.0f} instead of {each[256]['decode']:.0f}."
        )
    sentences.append(
        "If each batch is decoded as it arrives, memory is reused, and that part disappears: three"
        " copies and a pass over each column remain. Text is decoded once for each distinct value"
        " of a block. A table costs some 0.15 ms whatever its size, which is the cost of a small"
        " batch; the batches of a flood have 40,000 rows or more."
    )
    return " ".join([*sentences, _shared_core(flood)]).strip() + _rest_of_the_traced(flood, events)


_TOUCH = "a first touch of memory"
_HOST = "the same, of memory that the host has taken back"
_AGAIN = "decode again, in memory used before"


def _each_event(part: Part, row: str) -> dict[str, float]:
    return {
        name: _middle(part, row, f"ns per event: {name}")
        for name in ("agent", "receive", "decode", _AGAIN)
    }


def _middle(part: Part, row: str, measure: str, tool: str = KERNELSCOPE) -> float:
    return median(part.values(row, measure, tool) or [float("nan")])


def _shared_core(flood: Part) -> str:
    """Return what it costs the columns to share a core with the flood."""
    shared, alone = (
        1e3 / _middle(flood, f"of that, the columns{when}", "M events per CPU s")
        for when in (", during the flood", " alone")
    )
    if math.isnan(shared):
        return ""
    return (
        f"The columns take {alone:.0f} ns per event on an idle machine and {shared:.0f} during the"
        " flood, which keeps the other CPU busy and shares the caches, and on a virtual machine"
        " often the core: the stricter figure includes that."
    )


def _rest_of_the_traced(flood: Part, events: Part) -> str:
    """Return the cost for the traced program, compared with bcc."""
    row = "traced program's ns per event in a flood"
    small, large = (
        _middle(flood, row, "ns", f"bcc, ring of {size}")
        for size in ("16 MiB", "256 MiB, which takes all")
    )
    ours, unread, refused = (
        _middle(flood, row, "ns", name)
        for name in (
            "KernelScope, ring of 16 MiB",
            "not read, ring of 256 MiB",
            "not read, ring of 16 MiB (soon full)",
        )
    )
    if math.isnan(small):
        return ""
    lost = 1 - _middle(events, "flood, 40 bytes", "share delivered", BCC)
    return (
        "\n\n**The traced program in a flood.** The same C costs it"
        f" {ours:.0f} ns per event with KernelScope, with every event delivered; {large:.0f} with"
        f" bcc and a ring that takes all of them, {small:.0f} with one of 16 MiB, where bcc loses"
        f" {lost:.0%}. With a ring of 256 MiB that is not read it is {unread:.0f}: there is no"
        " reader, but each record goes to memory that is probably in no cache, while a ring of"
        f" 16 MiB is reused; with a full ring it is {refused:.0f}, because each rejected event is"
        " counted. The remaining difference to bcc is the check that excludes KernelScope's own"
        " processes and the test of the output's result. The agent reads by the clock; no event of"
        " a flood wakes it."
    )


def _rest_of_overhead(parts: dict[str, Part]) -> str:
    asked, probes = parts.get("overhead"), parts.get("probes")
    if asked is None or probes is None:
        return ""
    near = []
    for row in asked.rows:
        ours, floor = (
            asked.values(row, measure, KERNELSCOPE) for measure in ("BPF ns per event", FLOOR)
        )
        if ours and floor:
            near.append(f"{row.partition(':')[0]} {median(ours):.0f} of which {median(floor):.0f}")
    alone = {
        name: median(probes.values(row, "calls: BPF ns per event", KERNELSCOPE) or [float("nan")])
        for name, row in (("one", "nothing, at sys_exit"), ("both", _BOTH))
    }
    return (
        "**Overhead.** A program that does nothing costs a system call"
        f" {alone['one']:.0f} ns according to the kernel's own statistics, two of them"
        f" {alone['both']:.0f}: the call through a raw tracepoint, the kernel's clock for the"
        " statistics, and the check that excludes KernelScope's own processes. This much of a"
        f" probe's ns per event is the limit of its hooks: {'; '.join(near)}. Of the rest, reading"
        " the clock takes some 30 ns and a hash look-up 30 (kernels that guard every return make a"
        " helper call expensive); names, ids and files of the task are read directly. The same"
        " program differs by a fifth between two attachments, depending on where the kernel puts"
        " its code; therefore the pairs are attached again each time."
    )


_BOTH = "nothing, at sys_enter and sys_exit"
