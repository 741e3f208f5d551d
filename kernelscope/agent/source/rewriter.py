"""Rewrites a program's C before BCC sees it; every line stays on its line.

- `#include` of kernel headers is blanked: the header generated from BTF replaces them all.
- BPF_PERF_OUTPUT becomes a ring buffer if every use of the table allows it.
- Writes to a ring buffer count lost records in `ks_lost`, and get_stackid lost stacks.
- bpf_trace_printk writes to a ring buffer.
- The prelude's macros that call a table's methods are expanded.
- Unused parts of the prelude are removed.
- A program whose text returns nothing returns 0.
- KS_PARAM(name) becomes a 64-bit constant that the loader finds and replaces.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from kernelscope.agent.source import printk, table_macros
from kernelscope.agent.source.array_members import ArrayMember, array_members
from kernelscope.agent.source.functions import functions, return_edits
from kernelscope.agent.source.key_origins import (
    Key,
    is_log2,
    is_stack_id,
    looked_up,
    unclear_function,
)
from kernelscope.agent.source.prelude_trim import needed
from kernelscope.agent.source.record_types import TEXT, RecordType, record_type
from kernelscope.agent.source.table_declarations import Table, declared_tables
from kernelscope.agent.source.table_uses import Use, inside_calls, uses_of
from kernelscope.protocol.c_tokens import Token, names, scan
from kernelscope.protocol.printk import TABLE as PRINTK_TABLE

PARAM_MAGIC = 0x4B53_5041_5241_0000  # "KSPARA", then 16 bits of index
MAX_RINGS = 62  # ks_lost has a slot for full maps, 63 for these and printk, one for stacks
STACK_SLOT = 64
LAYOUT_PREFIX = "ks_layout_"
TYPE_PREFIX = "ks_type_"
FIRST_LINE = 1_000_001  # number of the user's first line in clang's messages, see _line_marks

_KEPT_INCLUDES = re.compile(r"bcc/")
_INCLUDE = re.compile(r"[ \t]*#[ \t]*include\b[ \t]*[<\"]([^>\"\n]*)[>\"][^\n]*", re.M)
_PARAM = re.compile(r"\bKS_PARAM\s*\(\s*([A-Za-z_]\w*)\s*\)")

_LOST = """BPF_PERCPU_ARRAY(ks_lost, u64, 65);
static inline __attribute__((always_inline)) void ks_lost_add(u32 slot) {
  u64 *count = ks_lost.lookup(&slot);
  if (count) (*count)++;
}
"""


@dataclass
class Rewritten:
    """A program's text as BCC gets it, and what was found in it.

    text: the prefix, then the user's text from line `prefix_lines` + 1.
    suffix: declarations to append; BCC then describes the records' types.
    rings: ring buffer tables, in the order of their slots in `ks_lost` (from 1).
    substituted: the rings that the source declares with BPF_PERF_OUTPUT.
    params: the index of each KS_PARAM.
    records: the type of the records of each table that takes records.
    histograms: the scale of each histogram's slots (see protocol.Layout).
    stack_keys: tables whose keys are ids of stacks.
    scratch: per-CPU arrays in which records are built before they are sent.
    array_members: arrays of arrays in structs, each by the name of its hidden map.
    arrays_of_arrays: the text has any.
    warnings: what the text does not make clear.
    printk_formats: formats of the bpf_trace_printk calls that write to a ring buffer, by site.
    printk: they use the kernel's channel instead.
    """

    text: str
    prefix_lines: int
    tables: dict[str, Table]
    rings: tuple[str, ...]
    substituted: tuple[str, ...]
    params: dict[str, int]
    records: dict[str, RecordType] = field(default_factory=dict)
    histograms: dict[str, str] = field(default_factory=dict)
    stack_keys: frozenset[str] = frozenset()
    scratch: frozenset[str] = frozenset()
    array_members: dict[str, ArrayMember] = field(default_factory=dict)
    arrays_of_arrays: bool = False
    warnings: tuple[str, ...] = ()
    printk: bool = False
    printk_formats: tuple[str, ...] = ()
    counts_losses: bool = True
    suffix: str = ""

    def forget_records(self) -> None:
        """Continue without the types of records, which are then raw bytes."""
        self.suffix = ""
        self.array_members = {}
        self.records = dict.fromkeys(self.records, RecordType("", False))


def rewrite(
    source: str, prelude: str = "", *, ring_buffers: bool = True, line_marks: bool = False
) -> Rewritten:
    """Prepare a program for BCC.

    ring_buffers: perf buffers may become ring buffers.
    line_marks: number the user's lines from FIRST_LINE in clang's messages.
    """
    body = table_macros.expand(blank_includes(source), prelude)
    tokens = scan(body)
    tables = declared_tables(tokens)
    uses, whole = uses_of(tokens, tables)
    substituted = _substitutable(tables, uses, whole) if ring_buffers else []
    rings = [n for n, t in tables.items() if t.macro == "BPF_RINGBUF_OUTPUT" or n in substituted]
    rings, substituted = rings[:MAX_RINGS], [n for n in substituted if n in rings[:MAX_RINGS]]
    inside = inside_calls(tokens)
    lines = printk.substitute(body, tokens, len(rings) + 1, inside) if ring_buffers else None
    params = _params(prelude + "\n" + body)
    prefix = _prefix(needed(prelude, body), params) + (printk.DECLARATIONS if lines else "")
    edits = [_declaration_edit(tables[name]) for name in substituted]
    slots = {name: i + 1 for i, name in enumerate(rings)}
    ring_uses = [u for u in uses if u.table in slots]
    stack_uses = [u for u in uses if u.method == "get_stackid"]
    counted = [(u, slots[u.table]) for u in ring_uses] + [(u, STACK_SLOT) for u in stack_uses]
    edits += [e for use, slot in counted for e in [_use_edit(body, use, slot)] if e]
    edits += return_edits(tokens)
    if line_marks:
        edits += _line_marks(body, tokens)
        prefix += f"# {FIRST_LINE}\n"
    rewritten = Rewritten(
        text=prefix + _apply(body, edits + (lines[0] if lines else [])),
        prefix_lines=prefix.count("\n"),
        tables=tables,
        rings=(*rings, PRINTK_TABLE) if lines else tuple(rings),
        substituted=tuple(substituted),
        params=params,
        printk=not lines and bool(names(tokens) & set(printk.FUNCTIONS)),
        printk_formats=tuple(lines[1]) if lines else (),
        counts_losses=all(u.wrappable for u in ring_uses) and set(rings) <= whole,
    )
    _describe(rewritten, tokens, uses)
    return rewritten


def _describe(rewritten: Rewritten, tokens: list[Token], uses: list[Use]) -> None:
    """Add what the text shows of its tables' contents."""
    tables = rewritten.tables
    records = {
        name: record_type(tokens, [(u.method, u.at, u.arguments) for u in uses if u.table == name])
        for name, table in tables.items()
        if table.macro in ("BPF_RINGBUF_OUTPUT", "BPF_PERF_OUTPUT")
    }
    if PRINTK_TABLE in rewritten.rings:
        records[PRINTK_TABLE] = RecordType(printk.RECORD, True)
    rewritten.records = records
    rewritten.histograms = {name: histogram_kind(tokens, table) for name, table in tables.items()}
    rewritten.stack_keys = frozenset(
        name for name, table in tables.items() if is_stack_id(tokens, _keys(tokens, table))
    )
    rewritten.scratch = _scratch(tokens, tables, uses)
    rewritten.array_members = _hidden_arrays(tokens, records)
    pairs = zip(tokens, tokens[1:])
    rewritten.arrays_of_arrays = any(a.text == "]" and b.text == "[" for a, b in pairs)
    rewritten.suffix = _suffix(records, rewritten.array_members)
    rewritten.warnings = tuple(_doubts(tokens, rewritten))


def blank_includes(text: str) -> str:
    """Blank the includes of kernel headers; BCC's own (bcc/...) stay."""

    def blank(match: re.Match[str]) -> str:
        return match.group() if _KEPT_INCLUDES.match(match.group(1)) else ""

    return _INCLUDE.sub(blank, text)


def _params(text: str) -> dict[str, int]:
    used = [m.group(1) for m in _PARAM.finditer(text) if not _is_macro_parameter(text, m)]
    return {name: index for index, name in enumerate(dict.fromkeys(used))}


def _is_macro_parameter(text: str, match: re.Match[str]) -> bool:
    """Return whether a KS_PARAM is part of the macro's own definition."""
    line = text[text.rfind("\n", 0, match.start()) + 1 : match.start()]
    return re.match(r"\s*#\s*define\s+$", line) is not None


def _prefix(prelude: str, params: dict[str, int]) -> str:
    lines = ["#define KS_PARAM(name) KS_PARAM_##name\n"]
    lines += [
        f'#define KS_PARAM_{name} ({{ u64 _value; asm("%0 = {PARAM_MAGIC | index:#x} ll"'
        ' : "=r"(_value)); _value; })\n'
        for name, index in params.items()
    ]
    text = blank_includes(prelude)
    return _LOST + "".join(lines) + text + ("" if not text or text.endswith("\n") else "\n")


def _hidden_arrays(
    tokens: list[Token], records: Mapping[str, RecordType]
) -> dict[str, ArrayMember]:
    definitions = {f"{TYPE_PREFIX}{name}": record.type for name, record in records.items()}
    found = array_members(tokens, definitions)
    return {f"{LAYOUT_PREFIX}{number}": member for number, member in enumerate(found)}


def _suffix(records: Mapping[str, RecordType], members: Mapping[str, ArrayMember]) -> str:
    """Declare hidden arrays of records' types, so that BCC describes the layouts."""
    lines = []
    for name, record in records.items():
        if record.type and record.type != TEXT:
            base, _, dimensions = record.type.partition(" [")
            if "{" in record.type:  # brackets in a definition are its members'
                base, dimensions = record.type, ""
            dimensions = f" [{dimensions}" if dimensions else ""
            lines.append(f"typedef {base} {TYPE_PREFIX}{name}{dimensions};\n")
            lines.append(f"BPF_ARRAY({LAYOUT_PREFIX}{name}, {TYPE_PREFIX}{name}, 1);\n")
    for table, member in members.items():
        lines.append(f"BPF_ARRAY({table}, {member.element}, 1);\n")
    return "\n" + "".join(lines) if lines else ""


# --- perf buffers -------------------------------------------------------------------------------


def _substitutable(tables: dict[str, Table], uses: list[Use], whole: set[str]) -> list[str]:
    """Return the perf buffers whose every use is a plain perf_submit."""
    found = []
    for name, table in tables.items():
        own_uses = [u for u in uses if u.table == name]
        plain = all(
            u.method == "perf_submit" and len(u.arguments) == 3 and u.wrappable for u in own_uses
        )
        if table.macro == "BPF_PERF_OUTPUT" and name in whole and own_uses and plain:
            found.append(name)
    return found


# --- edits ---------------------------------------------------------------------------------------


def _declaration_edit(table: Table) -> tuple[int, int, str]:
    # One page: the loader sets the run's size.
    return table.start, table.end, f"BPF_RINGBUF_OUTPUT({table.name}, 1)"


def _use_edit(body: str, use: Use, slot: int) -> tuple[int, int, str] | None:
    if not use.wrappable:
        return None
    call = body[use.start : use.end]
    if use.method == "ringbuf_output" and use.arguments and use.arguments[0]:
        start, end = use.arguments[0][0].start, use.arguments[0][-1].end
        call = body[use.start : start] + _pointer(body[start:end]) + body[end : use.end]
    if use.method == "perf_submit":
        data, size = (body[part[0].start : part[-1].end] for part in use.arguments[1:])
        gap = body[use.start : use.arguments[1][0].start].count("\n")
        rest = body[use.arguments[1][-1].end : use.arguments[2][0].start].count("\n")
        tail = body[use.arguments[2][-1].end : use.end].count("\n")
        call = (
            f"{use.table}.ringbuf_output({'' if not gap else chr(10) * gap}{_pointer(data)},"
            f"{chr(10) * rest} {size}, 0{chr(10) * tail})"
        )
    if use.method in ("perf_submit", "ringbuf_output"):
        counted = f"({{ int _ks = {call}; if (_ks) ks_lost_add({slot}); _ks; }})"
    elif use.method == "get_stackid":  # -EEXIST: another stack has the slot; -ENOMEM: no room
        lost = f"if (_ks == -17 || _ks == -12) ks_lost_add({slot});"
        counted = f"({{ int _ks = {call}; {lost} _ks; }})"
    elif use.method == "ringbuf_reserve":
        counted = f"({{ void *_ks = {call}; if (!_ks) ks_lost_add({slot}); _ks; }})"
    else:
        return None
    return use.start, use.end, counted


def _pointer(data: str) -> str:
    """Return an expression as a pointer: BCC crashes at the name of an array in ringbuf_output."""
    return f"({data}) + 0"


def _line_marks(body: str, tokens: list[Token]) -> list[tuple[int, int, str]]:
    """Return edits that state the line after each function's "{".

    BCC inserts lines before functions. Without marks, messages of its later passes, and of clang's
    back end, name lines that the user's text does not have.
    """
    edits = []
    for function in functions(tokens):
        at = tokens[function.opening].end
        column = re.sub(r"[^\t]", " ", body[body.rfind("\n", 0, at) + 1 : at])
        edits.append((at, at, f"\n# {FIRST_LINE + body.count(chr(10), 0, at)}\n{column}"))
    return edits


def _apply(text: str, edits: list[tuple[int, int, str]]) -> str:
    for start, end, replacement in sorted(edits, reverse=True):
        text = text[:start] + replacement + text[end:]
    return text


# --- what the tables hold ------------------------------------------------------------------------


def _keys(tokens: list[Token], table: Table) -> list[Key]:
    """Return the keys in the calls of a table's methods: their first arguments."""
    uses, _ = uses_of(tokens, {table.name: table})
    return [(use.at, use.arguments[0]) for use in uses if use.arguments]


def histogram_kind(tokens: list[Token], table: Table) -> str:
    """Return the scale of a histogram's slots: log2, linear, log_linear ("" for other tables)."""
    if table.macro == "KS_HISTOGRAM":
        return "log_linear"
    if table.macro != "BPF_HISTOGRAM":
        return ""
    return "log2" if is_log2(tokens, _keys(tokens, table)) else "linear"


def _scratch(tokens: list[Token], tables: dict[str, Table], uses: list[Use]) -> frozenset[str]:
    """Return the per-CPU arrays whose entry is sent as a record: nothing else is kept there."""
    found: set[str] = set()
    for use in uses:
        place = {"perf_submit": 1, "ringbuf_output": 0}.get(use.method)
        if place is not None and place < len(use.arguments):
            found |= looked_up(tokens, use.at, use.arguments[place])
    return frozenset(n for n in found if n in tables and tables[n].macro == "BPF_PERCPU_ARRAY")


def _doubts(tokens: list[Token], rewritten: Rewritten) -> list[str]:
    """Return warnings of what the text does not make clear."""
    found = []
    for name, kind in rewritten.histograms.items():
        function = unclear_function(tokens, _keys(tokens, rewritten.tables[name]))
        if kind == "linear" and function:
            found.append(
                f"{name}: its slots, which {function}() computes, are read as plain numbers; if"
                " they are powers of two, let the function's name contain log2"
            )
    for name, record in rewritten.records.items():
        if len(record.several) > 1:
            found.append(
                f"{name}: its records have several types ({', '.join(record.several)}), so they"
                " are shown as bytes; give each type its own output"
            )
        elif record.sent and not record.type:
            found.append(
                f"{name}: the type of its records is not clear, so they are shown as bytes; send a"
                " variable of a struct, with sizeof of it"
            )
    return found
