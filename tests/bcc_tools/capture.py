"""Runs one of bcc's own tools with a BPF class that writes down what it is asked and loads nothing.

    python3 capture.py OUTPUT TOOL [ARGUMENT...]

OUTPUT gets one JSON object: `text` and `cflags` of the last program that the tool made, `calls`
(each attach call: its name and arguments), `usdt` (the probes of its USDT contexts) and `writes`
(tables that it filled itself before it began to read).

Everything else of bcc is real: which tracepoints and symbols there are decides what a tool does.
Runs under the distribution's Python, which has bcc; standard library and bcc only.
"""

from __future__ import annotations

import atexit
import ctypes
import json
import os
import runpy
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

HARDWARE = 0  # PERF_TYPE_HARDWARE
CLONE_NEWNS, MS_REC, MS_SLAVE = 0x20000, 0x4000, 0x80000
ATTACHES = (
    "attach_kprobe", "attach_kretprobe", "attach_kfunc", "attach_kretfunc", "attach_lsm",
    "attach_tracepoint", "attach_raw_tracepoint", "attach_perf_event", "attach_perf_event_raw",
    "attach_uprobe", "attach_uretprobe", "attach_xdp", "attach_raw_socket", "attach_func",
)  # fmt: skip
READS = (
    "perf_buffer_poll", "perf_buffer_consume", "ring_buffer_poll", "ring_buffer_consume",
    "kprobe_poll", "trace_open", "trace_fields", "trace_readline", "trace_print",
)  # fmt: skip


class Recorder:
    """What the tool asked for so far; `finish` writes it down and ends the process."""

    def __init__(self, output: str) -> None:
        self.output = Path(output)
        self.found: dict[str, Any] = {}
        self.writes: list[str] = []

    def create(self, text: Any, cflags: Any, usdt_contexts: Any) -> None:
        self.found = {
            "text": _text(text),
            "cflags": [_text(flag) for flag in cflags],
            "calls": [],
            "usdt": [probe for context in usdt_contexts for probe in context.enabled],
        }
        self.writes = []

    def call(self, name: str, arguments: dict[str, Any]) -> None:
        self.found["calls"].append([name, {key: _text(value) for key, value in arguments.items()}])

    def finish(self, *_: Any, **__: Any) -> None:
        self.output.write_text(json.dumps({**self.found, "writes": self.writes}))
        os._exit(0)


def _text(value: Any) -> Any:
    return value.decode() if isinstance(value, bytes) else value


def see_tracepoints() -> None:
    """Mount debugfs and tracefs for this process alone; bcc looks there when it is imported."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNS) or libc.mount(b"none", b"/", None, MS_REC | MS_SLAVE, None):
        raise OSError(ctypes.get_errno(), "no mount namespace of its own")
    libc.mount(b"debugfs", b"/sys/kernel/debug", b"debugfs", 0, None)
    libc.mount(b"tracefs", b"/sys/kernel/tracing", b"tracefs", 0, None)


def replace_bpf(bcc: Any, recorder: Recorder) -> None:
    """Make bcc.BPF and bcc.USDT write to `recorder`."""
    bpf = bcc.BPF

    def create(
        self: Any,
        src_file: Any = b"",
        hdr_file: Any = b"",
        text: Any = None,
        debug: int = 0,
        cflags: Any = (),
        usdt_contexts: Any = (),
        **_: Any,
    ) -> None:
        if src_file:
            text = Path(os.fsdecode(bpf._find_file(os.fsencode(src_file)))).read_bytes()
        recorder.create(text or b"", cflags, usdt_contexts)

    def table(self: Any, name: Any, *_: Any, **__: Any) -> Any:
        made = MagicMock()
        made.__setitem__.side_effect = lambda *_: recorder.writes.append(_text(name))
        return made

    def attach(name: str) -> Any:
        names = {"attach_tracepoint": ("tp", "tp_re", "fn_name"), "attach_kfunc": ("fn_name",)}

        def record(self: Any, *values: Any, **named: Any) -> Any:
            positional = dict(zip(names.get(name, ()), values))  # noqa: B905 (Python 3.9)
            arguments = {**positional, **named}
            if name == "attach_perf_event" and arguments.get("ev_type") == HARDWARE:
                raise OSError("no hardware counters")  # tools that can do without do so
            for each in each_symbol(bpf, name, arguments):
                recorder.call(name, each)
            return self

        return record

    def number(self: Any) -> int:
        return 1

    def load(self: Any, name: Any, *_: Any, **__: Any) -> Any:
        return bpf.Function(self, name, -1)

    bpf.__init__, bpf.__getitem__, bpf.get_table, bpf.load_func = create, table, table, load
    bpf.__iter__, bpf.cleanup, bpf.close = (MagicMock() for _ in range(3))
    bpf.num_open_kprobes = bpf.num_open_uprobes = bpf.num_open_tracepoints = number
    for name in ATTACHES:
        setattr(bpf, name, attach(name))
    for name in READS:
        setattr(bpf, name, recorder.finish)


def replace_usdt(bcc: Any) -> None:
    """Make each bcc.USDT remember the probes that were enabled in it."""
    usdt = bcc.USDT
    enable, create = usdt.enable_probe, usdt.__init__

    def remember(self: Any, pid: Any = None, path: Any = None) -> None:
        create(self, pid, path)
        self.target, self.enabled = f"pid:{pid}" if pid and pid != -1 else path, []

    def enable_probe(self: Any, probe: str, fn_name: str) -> None:
        enable(self, probe, fn_name)
        self.enabled.append([self.target, probe, fn_name])

    usdt.__init__, usdt.enable_probe = remember, enable_probe


def each_symbol(bpf: Any, name: str, arguments: dict[str, Any]) -> list[dict[str, Any]]:
    """Replace a pattern of symbols by its matches, one name for each address.

    Raises as bcc does where the symbol is not in the file: tools try one library, then another.
    """
    if name not in ("attach_uprobe", "attach_uretprobe"):
        return [arguments]
    file = os.fsencode(arguments.get("name", ""))
    if arguments.get("sym_re"):
        pattern = os.fsencode(arguments["sym_re"])
        path = bpf.find_library(file) or file
        found = bpf.get_user_functions_and_addresses(path, pattern)
        names = {address: symbol for symbol, address in sorted(found, reverse=True)}
        return [{**arguments, "sym": symbol} for symbol in names.values()]
    symbol = os.fsencode(arguments.get("sym", ""))
    bpf._check_path_symbol(file, symbol, arguments.get("addr"), arguments.get("pid", -1))
    return [arguments]


def main() -> None:
    """Record what the tool named on the command line asks of bcc."""
    output, *command = sys.argv[1:]
    recorder = Recorder(output)
    see_tracepoints()
    import bcc

    replace_bpf(bcc, recorder)
    replace_usdt(bcc)
    for waiting, name in ((time, "sleep"), (threading.Event, "wait")):
        setattr(waiting, name, recorder.finish)
    atexit.register(lambda: recorder.finish() if recorder.found else None)
    signal.signal(signal.SIGALRM, recorder.finish)
    signal.alarm(10)
    sys.argv = command
    runpy.run_path(command[0], run_name="__main__")


if __name__ == "__main__":
    main()
