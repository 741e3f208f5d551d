"""What bpftrace -f json prints, as typed tables: one for each map, and one for printed lines.

A map's keys become columns named for what the script's brackets contain (`@reads[comm, pid]`: comm,
pid). A histogram has the same shape as KernelScope's own: value_low, value_high (exclusive) and
count.

Source: docs/output_json.md and src/output.cpp of bpftrace.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

import pandas as pd

from kernelscope.protocol.c_tokens import scan
from kernelscope.tracing.bpftrace import formats, keys, lines, maps, messages
from kernelscope.tracing.bpftrace.messages import Message, Pairs
from kernelscope.tracing.bpftrace.process import Line


@dataclass
class Output:
    """What a script printed: its tables by name, lost events, and lines that were not understood.

    attached: the number of probes, 0 if bpftrace printed none. banners: lines like
    "Tracing... Hit Ctrl-C to end.", in addition to maps.
    """

    tables: dict[str, pd.DataFrame] = field(default_factory=dict)
    lost: int = 0
    attached: int = 0
    unread: Counter[str] = field(default_factory=Counter)
    banners: list[str] = field(default_factory=list)

    @property
    def warnings(self) -> list[str]:
        """What of the output is missing from the tables."""
        return [
            f"{number:,} lines of bpftrace's output{f' about {name}' if name else ''} were not read"
            for name, number in self.unread.items()
        ]


def read(printed: Iterable[Line], script: str) -> Output:
    """Make tables of bpftrace's output."""
    output = Output()
    tokens = scan(script)
    found: dict[str, maps.Map] = {}
    pieces: list[lines.Piece] = []
    for line in printed:
        message = _message(line, output)
        if message is None:
            continue
        if message.kind in lines.KINDS:
            pieces.append(lines.piece(message.kind, message.data))
        elif isinstance(message.data, Pairs):
            if message.kind in maps.KINDS and pieces and not pieces[-1].text.endswith("\n"):
                pieces.append(lines.line_end())
            _take(message, message.data, output, found)
    parts, growing = keys.of_script(tokens), keys.growing(tokens)
    bare = keys.without_keys(tokens)
    for name, each in found.items():
        table = each.table(parts.get(name, []), growing.get(name), keyed=name not in bare)
        output.tables[name.removeprefix("@") or "map"] = table
    printfs = formats.of_script(tokens)
    if output.tables and lines.are_constant(pieces, printfs):
        output.banners = [each.text for each in pieces]
    elif pieces:
        name, table = lines.table(pieces, printfs)
        output.tables[name if name not in output.tables else f"{name}_lines"] = table
    return output


def _message(line: Line, output: Output) -> Message | None:
    try:
        return messages.parse(line.text, line.at_ns)
    except ValueError:
        output.unread[messages.subject(line.text)] += 1
        return None


def _take(message: Message, data: Pairs, output: Output, found: dict[str, maps.Map]) -> None:
    if message.kind == "attached_probes":
        output.attached = int(data.first("probes", 0))
    elif message.kind == "lost_events":
        output.lost += int(data.first("events", 0))
    elif message.kind in maps.KINDS:
        for name, value in data:
            found.setdefault(name, maps.Map(name)).add(message.kind, value, message.at_ns)
    else:
        output.unread[f"{message.kind!r}"] += 1
