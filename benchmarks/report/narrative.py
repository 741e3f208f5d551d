"""What RESULTS.md says beside the figures, with the numbers taken from them."""

from __future__ import annotations

import re
from statistics import median
from typing import Any

from benchmarks.measure.measurement import BCC, BPFTRACE, KERNELSCOPE
from benchmarks.measure.results_store import Part
from benchmarks.suites.overhead import FLOOR

TITLES = {
    "start": "Start: from the question to the program attached",
    "events": "Events to a DataFrame",
    "flood": "A long flood, and what the traced program feels of it",
    "maps": "Maps to a DataFrame",
    "count": "A count in a hash",
    "overhead": "The same question asked with each tool",
    "probes": "What each built-in probe costs the traced",
    "live": "Live view",
    "scale": "Many runs at a time, and long ones",
}
NOTES = {
    "start": "Each cell comes 0.3 s after the end of the run before, as a person's does at the"
    " earliest. At once after another run, a tracepoint waits until the kernel has closed that"
    " run's (`event_mutex`). bcc and bpftrace have one way to start, a new process, which stands"
    " in each row.",
    "events": "One load makes write calls for 1 s, 1.5 s in a flood. CPU time is the tool's"
    " own from the moment it is attached to the DataFrame, all of its processes. bcc"
    " has a ring of 16 MiB, as KernelScope, and a callback that keeps each event's"
    " fields in a list; bpftrace prints JSON, which is parsed. Its 256-byte events"
    " hold 200 bytes of text, the most that it can. What a tool does not deliver"
    " costs it nothing: read the CPU time beside the share delivered, and the traced"
    " program's slow-down too.",
    "flood": "Default settings, 40-byte events. `nobody reads`: the run's reader is stopped by a"
    " signal while the load runs. A full ring refuses events, and counts them; the"
    " ring of 256 MiB takes them all, and is the equivalent program."
    " `Each batch decoded as it comes` is all CPU time of both processes beside the flood, a table"
    " made of each batch; the columns alone are the same batches decoded again with nothing beside"
    " it; the agent's read is that of the flood.",
    "maps": "From the wish to the DataFrame, while the program goes on: with KernelScope by"
    " peek(). bpftrace gives a map when it ends. bcc reads with items_lookup_batch()"
    " or items(), whichever is faster (for per-CPU maps it has but the second)."
    " bpftrace's keys come as text.",
    "count": "CPU time of the traced program for each event, less that of one that nothing traces.",
    "overhead": "Each tool traces the whole machine while a load runs on a CPU of its own: write"
    " calls, switches of two processes on one CPU, reads of 4 KiB past the page cache. What is"
    " added is the load's CPU time with the tool, less the mean of that right before and right"
    " after; the tools take turns, attached anew each time. BPF ns are the kernel's own"
    " statistics, taken apart from the times because they cost time themselves; the last line"
    " of each question is what they say of programs that do nothing at the probe's hooks,"
    " which no program there can be below. A missing figure: the distribution's tool does not"
    " attach on this kernel (it wants kernel probes, or does not compile). bpftrace's text is"
    " ours where the distribution's script wants them.",
    "probes": "With its defaults, the whole machine traced. How many times its CPU time a load"
    " takes: each pair of this table was measured without the probe, with it, and without it again,"
    " attached anew, on one CPU; a cell is the pairs' median with their extremes, which are"
    " the median's interval of 94% in the full form. Where it holds 1, nothing was seen. BPF"
    " ns: the kernel's own statistics for an event of the load, taken while no time was; a"
    " probe that the load does not concern has a small figure or none. The lines of `nothing`"
    " are programs that do nothing: a program's call alone, with the comparison that leaves"
    " out KernelScope itself.",
    "live": "A real IPython kernel, its page being this program (suites/live_cost.py).",
    "scale": "The same program many times over one load of 10,000 events/s, which each sees whole.",
}


def introduction(machine: dict[str, Any], parts: dict[str, Part]) -> str:
    """Say on what, how, and with what was measured."""
    headers = next((part.headers for part in parts.values()), "")
    return "\n\n".join(
        [
            "# Benchmarks",
            f"Made by `script/bench`: Linux {machine['kernel']} on {machine['machine']},"
            f" {machine['cpus']} {'virtual ' if machine['hypervisor'] else ''}CPUs"
            f" ({machine['cpu']}),"
            f" {machine['memory_gib']} GiB, Python {machine['python']}, bpftrace"
            f" {machine['bpftrace']}, bcc {machine['bcc']} with {headers}.",
            "The tools are measured one after the other in each round. A cell is the rounds'"
            " median, in brackets the smallest and the largest; `ahead` is how many times as good"
            " KernelScope is, the geometric mean of the rounds' ratios with its 95% interval"
            " (Student's t). Each part bears the time of its own run: `script/bench --only PART`"
            " replaces one. Loads are the project's own ([load.c](../workloads/bench/load.c)) and"
            " say how many events they made. bcc and KernelScope run the same C.",
            "pylibbpf and Python-BPF (PyPI) are not in the tables, because they did not run here:"
            " Python-BPF 0.1.7 on Python 3.11 fails within llvmlite (`unknown attr 'nocapture'`),"
            " 0.2.0 is a syntax error on Python 3.11 and on 3.12 makes code that the distribution's"
            " LLVM 14 refuses (`opt` exits with 1). pylibbpf loads objects and has no compiler.",
        ]
    )


def goals(name: str, part: Part) -> str:
    """Say how the part stands to what was set out to be reached."""
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
    row = "traced program's ns an event in a flood"
    ours = part.values(row, "ns", "KernelScope, ring of 256 MiB")
    default = part.values(row, "ns", "KernelScope, ring of 16 MiB")
    unread = part.values(row, "ns", "nobody reads 256 MiB")
    if not (ours and unread and default):
        return ""
    more = median(a / b - 1 for a, b in zip(ours, unread, strict=True))
    usual = median(a / b - 1 for a, b in zip(default, unread, strict=True))
    met = "met" if usual <= 0.05 else "**missed**"
    return (
        "- Goal: the traced program at most 5% slower than under the same program whose ring nobody"
        f" reads. {usual:+.1%} with the default ring: {met} ({more:+.1%} with one of 256 MiB too)."
    )


# (part, row, measure, other tool) as patterns, and the reason.
_WHY = (
    ("start", "first cell.*", ".*", ".*",
     "The agent's Python starts, and is started once; %load_ext starts it ahead of need."),
    ("start", "the command.*", ".*", ".*",
     "Two Pythons start, side by side, and a table is made; pandas is imported while the program"
     " runs. bpftrace is one program in C++. bcc's script is over when it has attached, and makes"
     " no table."),
    ("start", ".*import", ".*", ".*", "pandas is imported when a result is first decoded."),
    ("events", ".*", "CPU s per M", ".*",
     "At a low rate the time is that of waking: the ring is looked at 20 to 500 times a second"
     " whatever is in it, the end of the run and the table cost some 30 ms, and a second's events"
     " are few to share them."),
    ("events", ".*flood.*|1,000,000/s.*", "traced.*", BCC,
     "The same C. KernelScope puts before it what leaves out its own processes, and counts what is"
     " lost; and its reader, which keeps up with all of it, shares the core and its cache with the"
     " traced program, where bcc's loses events (see the share delivered). The long flood has bcc's"
     " ns with a ring that takes all, and where the rest of the time goes says what differs."),
    ("events", ".*", "traced.*", ".*",
     "KernelScope leaves out its own processes and counts what is lost, which is some ns before and"
     " in the program; at low rates the load's waking is most of its CPU time, and scatters."),
    ("maps", "100 .*", ".*", BCC,
     "bcc reads within its own process. KernelScope asks the agent, which reads, and makes typed"
     " columns: two messages, two wake-ups and a table, which hardly depend on the size up to some"
     " 10,000 keys. Most of both is the kernel's walk through a million buckets."),
    ("maps", "10,000 .*", ".*", BCC,
     "As with 100 keys: two messages and a table are more than reading."),
    ("maps", "1,000,000 .*", ".*", BCC,
     "The copy over the process boundary, which bcc has not."),
    ("count", ".*", ".*", BCC,
     "The same program, before which KernelScope puts the comparisons that leave out its own"
     " processes: a helper's call and some ns."),
    ("overhead", ".*", ".*", BCC,
     "The probe keeps calls or times by process and a finer histogram of them, with errors and"
     " extremes, and counts what it loses; the tool keeps one total or one histogram."),
    ("overhead", ".*", ".*", BPFTRACE,
     "The probe's histogram is finer and has a key, and what is lost is counted; bpftrace's maps"
     " are per CPU, which is cheaper to add to and dearer to read."),
)  # fmt: skip


def why(part: str, row: str, measure: str, other: str) -> str:
    """Say why KernelScope is not ahead in a row."""
    for of, rows, measures, others, reason in _WHY:
        patterns = ((rows, row), (measures, measure), (others, other))
        if of == part and all(re.fullmatch(pattern, text) for pattern, text in patterns):
            return reason
    return "Not explained yet."


def rest(parts: dict[str, Part]) -> str:
    """Say where the rest of the time goes, and how near the limit it is."""
    pieces = [_rest_of_start(parts.get("start")), _rest_of_maps(parts.get("maps"))]
    pieces.append(_rest_of_events(parts))
    pieces.append(_rest_of_overhead(parts))
    return "## Where the rest of the time goes\n\n" + "\n\n".join(
        piece for piece in pieces if piece
    )


def _rest_of_start(part: Part | None) -> str:
    if part is None:
        return ""
    told = []
    for row in ("a new cell (cold)", "the cell again (warm)"):
        steps = [
            f"{measure.removeprefix('of which ms: ')} {median(values):.1f}"
            for measure in part.measures(row)
            if measure.startswith("of which") and (values := part.values(row, measure, KERNELSCOPE))
        ]
        if steps:
            told.append(f"{row}: {', '.join(steps)} ms")
    return (
        f"**Start.** By the agent's own clock: {'; '.join(told)}. Compiling is clang's and LLVM's"
        " own time (`clang` is theirs alone) for a header of 200 lines made of BTF: libbcc takes"
        " half of that for an empty function too, whose helpers it reads in three passes. The"
        " cache spares it. Loading is the kernel's verifier and JIT, which no tool can spare;"
        " attaching is the kernel's too (`perf_event_open`, RCU). What remains of a warm start is"
        " the fork of the agent's server and two messages. The first start is two Pythons': the"
        " agent's starts and imports some hundred modules, and nothing is compiled where the"
        " bytecode is there. A command adds its own imports, beside which the agent starts, the"
        " table, and Python's end; pandas is imported while the program runs."
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
    told = ""
    if detached:
        told = (
            f" Of the {median(ended):.0f} ms to the end of a run with 100 keys,"
            f" {median(detached):.0f} are the kernel's, which waits until no CPU can still be in"
            " the program."
        )
    return (
        "**Maps.** Reading a hash is a walk through its buckets: for 100 keys in a map with room"
        " for a million, 0.8 to 0.9 ms in the kernel, for every tool. Two wake-ups and two"
        " messages take some 0.2 ms, a table 0.15 ms where the processor's caches know the code"
        f" and 0.5 ms where they do not, most of it pandas'.{told} The result is read after that"
        " wait and not before it: it is whole then, and nothing is attached any more."
    )


def _rest_of_events(parts: dict[str, Part]) -> str:
    events, flood = parts.get("events"), parts.get("flood")
    if events is None or flood is None:
        return ""
    each = {size: _each_event(events, f"flood, {size} bytes") for size in (40, 256)}
    limits = [
        _middle(flood, f"limit: {name}", "ns for 48 bytes") for name in ("a copy", _TOUCH, _HOST)
    ]
    told = [
        f"**Events.** Of a 40-byte event (48 in the ring) in a short flood kept whole, the agent"
        f" takes {each[40]['agent']:.0f} ns (finding the records in C by libbpf, one copy into the"
        f" socket), the notebook's reader {each[40]['receive']:.0f} ns (one copy out of it, into"
        f" memory that nobody has touched yet), and the columns {each[40]['decode']:.0f} ns."
        f" Copying 48 bytes costs this machine {limits[0]:.1f} ns, and touching 48 bytes of memory"
        f" for the first time {limits[1]:.1f} ns: page faults."
    ]
    if limits[2] + each[40][_AGAIN] + each[256][_AGAIN] > 0:  # all of them were measured
        told.append(
            f"Of memory that the host of this virtual machine has taken back it is {limits[2]:.0f}"
            " ns, as the host faults too; huge pages make that no less. So the columns of a flood"
            " that was kept cost what their memory costs: decoded again in memory used before, a"
            f" 40-byte event takes {each[40][_AGAIN]:.0f} ns instead of {each[40]['decode']:.0f},"
            f" one of 256 bytes {each[256][_AGAIN]:.0f} instead of {each[256]['decode']:.0f}."
        )
    told.append(
        "Where each batch is decoded as it comes, memory is used again, and that part falls away:"
        " three copies and a pass over each column stay. Text is decoded once for each distinct"
        " value of a block. A table costs some 0.15 ms whatever is in it, which is what a small"
        " batch costs; a flood's have 40,000 rows and more."
    )
    return " ".join([*told, _beside(flood)]).strip() + _rest_of_the_traced(flood, events)


_TOUCH = "a first touch of memory"
_HOST = "the same, of memory that the host has taken back"
_AGAIN = "decode again, in memory used before"


def _each_event(part: Part, row: str) -> dict[str, float]:
    return {
        name: _middle(part, row, f"ns an event: {name}")
        for name in ("agent", "receive", "decode", _AGAIN)
    }


def _middle(part: Part, row: str, measure: str, tool: str = KERNELSCOPE) -> float:
    return median(part.values(row, measure, tool) or [float("nan")])


def _beside(flood: Part) -> str:
    """Say what sharing a core with the flood costs the columns."""
    beside, alone = (
        1e3 / _middle(flood, f"of that, the columns{when}", "M events per CPU s")
        for when in (", beside the flood", " alone")
    )
    if beside != beside:
        return ""
    return (
        f"The columns alone take {alone:.0f} ns an event with nothing beside them and {beside:.0f}"
        " beside the flood, which keeps the other CPU busy and has the caches in common, and on a"
        " virtual machine often the core: the strict figure holds that."
    )


def _rest_of_the_traced(flood: Part, events: Part) -> str:
    """Say what the traced program feels, with bcc's ring large enough for everything beside it."""
    row = "traced program's ns an event in a flood"
    small, large = (
        _middle(flood, row, "ns", f"bcc, ring of {size}")
        for size in ("16 MiB", "256 MiB, which takes all")
    )
    ours, unread, refused = (
        _middle(flood, row, "ns", name)
        for name in (
            "KernelScope, ring of 16 MiB",
            "nobody reads 256 MiB",
            "nobody reads 16 MiB, which are soon full",
        )
    )
    if small != small:
        return ""
    lost = 1 - _middle(events, "flood, 40 bytes", "share delivered", BCC)
    return (
        "\n\n**The traced program in a flood.** The same C costs it"
        f" {ours:.0f} ns an event under KernelScope, every event delivered; {large:.0f} under bcc"
        f" with a ring that takes all of them, {small:.0f} with one of 16 MiB, where bcc loses"
        f" {lost:.0%}. A ring of 256 MiB that nobody reads makes it {unread:.0f}: it spares the"
        " traced program the reader, but each record goes to memory that probably no cache holds,"
        f" where a ring of 16 MiB is used again; a full one makes it {refused:.0f}, as each refusal"
        " is counted."
        " What remains against bcc is the comparison"
        " that leaves out KernelScope's own processes and the look at what the output said."
        " The agent looks by the clock; no event of a flood wakes it."
    )


def _rest_of_overhead(parts: dict[str, Part]) -> str:
    asked, probes = parts.get("overhead"), parts.get("probes")
    if asked is None or probes is None:
        return ""
    near = []
    for row in asked.rows:
        ours, floor = (
            asked.values(row, measure, KERNELSCOPE) for measure in ("BPF ns an event", FLOOR)
        )
        if ours and floor:
            near.append(f"{row.partition(':')[0]} {median(ours):.0f} of which {median(floor):.0f}")
    alone = {
        name: median(probes.values(row, "calls: BPF ns an event", KERNELSCOPE) or [float("nan")])
        for name, row in (("one", "nothing, at sys_exit"), ("both", _BOTH))
    }
    return (
        "**Overhead.** A program that does nothing costs a system call"
        f" {alone['one']:.0f} ns by the kernel's own statistics, two of them {alone['both']:.0f}:"
        " the call through a raw tracepoint, the kernel's clock for the statistics, and the"
        " comparison that leaves out KernelScope's own processes. Of a probe's ns an event so much"
        f" is the limit of its hooks: {'; '.join(near)}. Of the rest, a reading of the clock is"
        " some 30 ns and a look into a hash 30 (kernels that guard every return make a helper's"
        " call dear); names, ids and files of the task are read directly. The same program differs"
        " by a fifth from one attaching to the next, by where the kernel puts its code; the pairs"
        " are attached"
        " anew for that."
    )


_BOTH = "nothing, at sys_enter and sys_exit"
