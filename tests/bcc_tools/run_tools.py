"""Runs the C text of bcc's own tools through KernelScope and reports how each fared.

The tools are read from where the distribution's package put them, when this runs. Each makes its
program under a `bcc` that only writes it down (capture.py); that text and the attach calls then
go through `kernelscope.start`, as a cell's would, under a load that makes events (tool_loads.py).
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tool_loads  # type: ignore[import-not-found]

HERE = Path(__file__).resolve().parent
PYTHON = "/usr/bin/python3"
NEEDS_KPROBE = re.compile(r"kprobe|kretprobe|kfunc|kretfunc|lsm")
TEXT_NEEDS_KPROBE = re.compile(
    r"\b(kprobe__|kretprobe__|kfunc__|kretfunc__|(KFUNC|KRETFUNC|LSM)_PROBE\b)"
)
SOFTWARE_EVENTS = {0: "cpu-clock", 1: "task-clock", 2: "page-faults", 3: "context-switches"}


@dataclass
class Outcome:
    """How one tool's program fared."""

    tool: str
    compiled: bool = False
    loaded: bool = False
    rows: int = 0
    lost: int = 0
    header: str = ""
    cached: bool = False
    attached_s: float = 0.0
    plain: str = ""
    why: str = ""

    @property
    def good(self) -> bool:
        """It compiled, loaded and gave rows."""
        return self.compiled and self.loaded and self.rows > 0


# --- what the tool asks for ----------------------------------------------------------------------


def captured(tool: tool_loads.Tool, arguments: list[str]) -> dict[str, Any]:
    """Run the tool under capture.py and return what it recorded. Raises RuntimeError."""
    with tempfile.TemporaryDirectory() as directory:
        output = Path(directory) / "recorded"
        command = [PYTHON, str(HERE / "capture.py"), str(output), str(tool.path), *arguments]
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30
        )
        recorded = json.loads(output.read_text()) if output.exists() else {}
    if not recorded.get("text"):
        raise RuntimeError((done.stderr.strip() or "the tool made no program").splitlines()[-1])
    return dict(recorded)


def needs_kprobe(recorded: Mapping[str, Any]) -> bool:
    """Whether the recorded program attaches to a kernel function."""
    called = any(NEEDS_KPROBE.search(name) for name, _ in recorded["calls"])
    return called or bool(TEXT_NEEDS_KPROBE.search(recorded["text"]))


def attachments(recorded: Mapping[str, Any]) -> list[str]:
    """Return the recorded attach calls as KernelScope's `HOOK=FUNCTION`."""
    found = [f"usdt:{target}:{probe}={function}" for target, probe, function in recorded["usdt"]]
    for name, arguments in recorded["calls"]:
        found += [f"{hook}={arguments['fn_name']}" for hook in _hooks(name, arguments)]
    return list(dict.fromkeys(found))


def _hooks(call: str, arguments: Mapping[str, Any]) -> list[str]:
    kind = call.removeprefix("attach_")
    if kind in ("uprobe", "uretprobe"):
        return _user_hooks(kind, arguments)
    if kind == "tracepoint":
        if arguments.get("tp_re"):
            return [f"tracepoint:{name}" for name in _tracepoints(arguments["tp_re"])]
        return [f"tracepoint:{arguments['tp']}"]
    if kind == "raw_tracepoint":
        return [f"rawtracepoint:{arguments['tp']}"]
    if kind == "perf_event":
        return [_sampling_hook(arguments)]
    raise RuntimeError(f"no hook stands for {call}")


def _user_hooks(kind: str, arguments: Mapping[str, Any]) -> list[str]:
    name = arguments["name"]
    if arguments.get("addr") is not None:
        return [f"{kind}:{name}:0x{arguments['addr']:x}"]
    return [f"{kind}:{name}:{arguments['sym']}"]


def _sampling_hook(arguments: Mapping[str, Any]) -> str:
    if arguments["ev_type"] != 1:
        raise RuntimeError("it samples a hardware counter")
    if arguments.get("sample_freq"):
        return f"profile:hz:{arguments['sample_freq']}"
    return f"software:{SOFTWARE_EVENTS[arguments['ev_config']]}:{arguments['sample_period']}"


def _tracepoints(pattern: str) -> list[str]:
    script = (
        "import sys, capture; capture.see_tracepoints(); import bcc; "
        "print('\\n'.join(sorted(bcc.BPF.get_tracepoints(sys.argv[1].encode()))))"
    )
    listing = subprocess.run(
        [PYTHON, "-c", script, pattern], cwd=HERE, capture_output=True, text=True, check=True
    )
    return listing.stdout.split()


# --- the load ------------------------------------------------------------------------------------


@contextlib.contextmanager
def load_process(name: str) -> Iterator[subprocess.Popen[str]]:
    """Start the process that will make a load; it waits until `make_load`."""
    command = [PYTHON, str(HERE / "tool_loads.py"), name]
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        try:
            yield process
        finally:
            process.kill()


def make_load(process: subprocess.Popen[str]) -> None:
    """Let the process make its load, and wait until it has."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write("go\n")
    process.stdin.flush()
    process.stdout.readline()


def arguments_for(tool: tool_loads.Tool, pid: int) -> list[str]:
    """Fill in the load's process id and the name of a disk."""
    return [part.format(pid=pid, disk=_disk()) for part in tool.arguments]


def _disk() -> str:
    device = Path("/var/tmp").stat().st_dev
    block = Path(f"/sys/dev/block/{os.major(device)}:{os.minor(device)}")
    if block.exists():
        return block.resolve().name
    names = sorted(block.name for block in Path("/sys/block").iterdir())
    return next(name for name in names if name[:2] in ("vd", "sd", "nv"))


# --- running -------------------------------------------------------------------------------------


def run_tool(tool: tool_loads.Tool, tree: str | None) -> Outcome:
    """Run one tool's program through KernelScope (and as it is, where `tree` is given)."""
    outcome = Outcome(tool.name)
    with load_process(tool.load) as process:
        try:
            recorded = captured(tool, arguments_for(tool, process.pid))
            if needs_kprobe(recorded):
                raise RuntimeError("it needs a kprobe")
            _through_kernelscope(outcome, recorded, process)
        except RuntimeError as error:
            outcome.why = str(error)
    if not outcome.good:
        outcome.why = "; ".join(filter(None, (tool.lacks, outcome.why)))
    if tree:
        with load_process(tool.load) as process:
            outcome.plain = run_plain(tool, process, tree)
    return outcome


def _through_kernelscope(
    outcome: Outcome, recorded: Mapping[str, Any], process: subprocess.Popen[str]
) -> None:
    import kernelscope
    from kernelscope import errors

    begun = time.monotonic()
    try:
        with kernelscope.start(
            source=_source(recorded), attach=attachments(recorded), defines=_defines(recorded)
        ) as run:
            outcome.compiled = outcome.loaded = True
            outcome.attached_s = time.monotonic() - begun
            make_load(process)
            run.stop()
            result = run.result(warn=False)
    except errors.KernelScopeError as error:
        outcome.compiled = not isinstance(error, errors.CompileError)
        outcome.why = f"{type(error).__name__}: {error.message.splitlines()[0]}"
        return
    tables = result if isinstance(result, Mapping) else {"": result}
    receipt = next(iter(tables.values())).attrs["kernelscope"]
    outcome.rows = sum(_rows(table) for table in tables.values())
    outcome.header, outcome.cached = receipt.get("header", ""), bool(receipt.get("cached"))
    outcome.lost = sum(receipt.get("lost", {}).values())


def _rows(table: Any) -> int:
    """Count the rows that say something: an array that nothing was put in has rows of zeros."""
    values = table.drop(columns="key") if "key" in table and len(table.columns) > 1 else table
    return int((values.astype(bool)).any(axis=1).sum())


def _defines(recorded: Mapping[str, Any]) -> dict[str, str]:
    pairs = [flag[2:].partition("=") for flag in recorded["cflags"] if flag.startswith("-D")]
    return {name: value if equals else "1" for name, equals, value in pairs}


def _source(recorded: Mapping[str, Any]) -> str:
    other = [flag for flag in recorded["cflags"] if not flag.startswith("-D")]
    if other:
        raise RuntimeError(f"no option stands for {other[0]}")
    return str(recorded["text"])


def run_plain(tool: tool_loads.Tool, process: subprocess.Popen[str], tree: str) -> str:
    """Run the tool itself for the load's time; "rows", "no rows", or what went wrong."""
    with tempfile.TemporaryDirectory() as directory:
        ready = Path(directory) / "ready"
        command = [PYTHON, str(HERE / "plain.py"), str(ready), str(tool.path)]
        with subprocess.Popen(
            [*command, *arguments_for(tool, process.pid)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "BCC_KERNEL_SOURCE": tree, "PYTHONUNBUFFERED": "1"},
        ) as running:
            _wait_for(ready, running)
            attached = ready.exists()
            if attached:
                make_load(process)
                time.sleep(1.2)  # tools that print every second print once more
                running.send_signal(signal.SIGINT)
            try:
                output, complaints = running.communicate(timeout=5)
            except subprocess.TimeoutExpired:
                running.kill()
                output, complaints = running.communicate()
    if not attached:
        return (complaints.strip() or output.strip() or "nothing").splitlines()[-1]
    return "rows" if _lines_of_data(output) else "no rows"


def _lines_of_data(output: str) -> int:
    header = re.compile(r"^(Tracing|Sampling|Sampled|Attaching|Detaching|Monitoring)|^\s*$|Ctrl-C")
    kept = [line for line in output.splitlines() if not header.search(line)]
    return sum(1 for line in kept if any(character.isdigit() for character in line))


def _wait_for(ready: Path, running: subprocess.Popen[str]) -> None:
    end = time.monotonic() + 20
    while not ready.exists() and running.poll() is None and time.monotonic() < end:
        time.sleep(0.02)
    time.sleep(0.1)


# --- reporting -----------------------------------------------------------------------------------

COLUMNS = ("tool", "compiled", "loaded", "rows", "lost", "header", "cached", "attached", "plain")


def _line(values: tuple[str, ...], why: str = "") -> str:
    widths = (15, 9, 7, 8, 6, 7, 7, 9, 8)
    return "".join(f"{value:<{width}}" for value, width in zip(values, widths, strict=True)) + why


def report(outcome: Outcome) -> str:
    """One line of the table."""
    yes = {True: "yes", False: "no"}
    return _line(
        (
            outcome.tool,
            yes[outcome.compiled],
            yes[outcome.loaded],
            str(outcome.rows),
            str(outcome.lost),
            outcome.header,
            yes[outcome.cached],
            f"{outcome.attached_s:.3f}s",
            outcome.plain if outcome.plain in ("rows", "no rows", "") else "fails",
        ),
        outcome.why or (outcome.plain if outcome.plain not in ("rows", "no rows", "") else ""),
    )


def main() -> int:
    """Run the tools that the command line names, or all; exit 1 when too few were good."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("tools", nargs="*", help="names of tools; all without any")
    parser.add_argument("--plain", metavar="TREE", help="also run each as it is, headers in TREE")
    parser.add_argument("--at-least", type=int, default=0, help="fail with fewer good than this")
    options = parser.parse_args()
    chosen = [t for t in tool_loads.TOOLS if not options.tools or t.name in options.tools]
    sys.stdout.write(_line(COLUMNS, "why") + "\n")
    good = 0
    for tool in chosen:
        if not tool.path.exists():
            sys.stdout.write(f"{tool.name:<15}not installed\n")
            continue
        outcome = run_tool(tool, options.plain)
        good += outcome.good
        sys.stdout.write(report(outcome) + "\n")
        sys.stdout.flush()
    sys.stdout.write(f"{good} of {len(chosen)} compiled, loaded and gave rows\n")
    return 0 if good >= options.at_least else 1


if __name__ == "__main__":
    sys.exit(main())
