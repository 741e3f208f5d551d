"""Rewrites a program's C before BCC sees it; every line stays on its line.

- `#include` of kernel headers is blanked: the header generated from BTF replaces them all.
- BPF_PERF_OUTPUT becomes a ring buffer if every use of the table allows it.
- Writes to a ring buffer count lost records in `ks_lost`.
- bpf_trace_printk writes to a ring buffer.
- The prelude's macros that call a table's methods are expanded.
- Unused parts of the prelude are removed.
- A program whose text returns nothing returns 0.
- KS_PARAM(name) becomes a 64-bit constant that the loader finds and replaces.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from kernelscope.agent.source import printk, table_macros
from kernelscope.agent.source.functions import functions, return_edits
from kernelscope.agent.source.prelude_trim import needed
from kernelscope.agent.source.record_types import record_type
from kernelscope.agent.source.table_declarations import Table, declared_tables, function_around
from kernelscope.protocol.c_tokens import Token, arguments, names, scan
from kernelscope.protocol.printk import TABLE as PRINTK_TABLE

PARAM_MAGIC = 0x4B53_5041_5241_0000  # "KSPARA", then 16 bits of index
MAX_RINGS = 62  # ks_lost has 64 slots: one is for full maps, one for printk
LAYOUT_PREFIX = "ks_layout_"
FIRST_LINE = 1_000_001  # number of the user's first line in clang's messages, see _line_marks

_KEPT_INCLUDES = re.compile(r"bcc/")
_INCLUDE = re.compile(r"[ \t]*#[ \t]*include\b[ \t]*[<\"]([^>\"\n]*)[>\"][^\n]*", re.M)
_PARAM = re.compile(r"\bKS_PARAM\s*\(\s*([A-Za-z_]\w*)\s*\)")

_LOST = """BPF_PERCPU_ARRAY(ks_lost, u64, 64);
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
    records: for each table that takes records, their C type ("" if unknown), and whether all
        have its size.
    histograms: the scale of each histogram's slots (see protocol.Layout).
    grids: there is an array of arrays.
    printk_formats: formats of the bpf_trace_printk calls that write to a ring buffer, by site.
    printk: they use the kernel's channel instead.
    """

    text: str
    prefix_lines: int
    tables: dict[str, Table]
    rings: tuple[str, ...]
    substituted: tuple[str, ...]
    params: dict[str, int]
    records: dict[str, tuple[str, bool]] = field(default_factory=dict)
    histograms: dict[str, str] = field(default_factory=dict)
    grids: bool = False
    printk: bool = False
    printk_formats: tuple[str, ...] = ()
    counts_losses: bool = True
    suffix: str = ""

    def forget_records(self) -> None:
        """Continue without the types of records, which are then raw bytes."""
        self.suffix = ""
        self.records = dict.fromkeys(self.records, ("", False))


@dataclass
class _Use:
    """One call of a table's method: `x.method(arguments)`."""

    table: str
    method: str
    at: int
    start: int
    end: int
    arguments: list[Sequence[Token]]
    wrappable: bool


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
    uses, whole = _uses(tokens, tables)
    substituted = _substitutable(tables, uses, whole) if ring_buffers else []
    rings = [n for n, t in tables.items() if t.macro == "BPF_RINGBUF_OUTPUT" or n in substituted]
    rings, substituted = rings[:MAX_RINGS], [n for n in substituted if n in rings[:MAX_RINGS]]
    slots = {name: i + 1 for i, name in enumerate(rings)}
    edits = [_declaration_edit(tables[name]) for name in substituted]
    ring_uses = [u for u in uses if u.table in slots]
    edits += [e for u in ring_uses for e in [_use_edit(body, u, slots[u.table])] if e]
    params = _params(prelude + "\n" + body)
    inside = _inside_calls(tokens)
    lines = printk.substitute(body, tokens, len(rings) + 1, inside) if ring_buffers else None
    wanted = needed(prelude, body)
    prefix = _prefix(wanted, params) + (printk.DECLARATIONS if lines else "")
    records = {
        name: record_type(tokens, [(u.method, u.at, u.arguments) for u in uses if u.table == name])
        for name, table in tables.items()
        if table.macro in ("BPF_RINGBUF_OUTPUT", "BPF_PERF_OUTPUT")
    }
    formats: list[str] = []
    if lines:
        edits, formats = edits + lines[0], lines[1]
        rings = [*rings, PRINTK_TABLE]
        records[PRINTK_TABLE] = (printk.RECORD, True)
    edits += return_edits(tokens)
    if line_marks:
        edits += _line_marks(body, tokens)
        prefix += f"# {FIRST_LINE}\n"
    return Rewritten(
        text=prefix + _apply(body, edits),
        prefix_lines=prefix.count("\n"),
        tables=tables,
        rings=tuple(rings),
        substituted=tuple(substituted),
        params=params,
        records=records,
        histograms={name: histogram_kind(tokens, table) for name, table in tables.items()},
        grids=any(a.text == "]" and b.text == "[" for a, b in zip(tokens, tokens[1:])),
        printk=not lines and bool(names(tokens) & set(printk.FUNCTIONS)),
        printk_formats=tuple(formats),
        counts_losses=all(u.wrappable for u in ring_uses) and set(rings) <= whole,
        suffix=_suffix(records),
    )


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


def _suffix(records: dict[str, tuple[str, bool]]) -> str:
    """Declare a hidden array of each record type, so that BCC describes its layout."""
    lines = [
        f"BPF_ARRAY({LAYOUT_PREFIX}{name}, {kind}, 1);\n"
        for name, (kind, _) in records.items()
        if kind
    ]
    return "\n" + "".join(lines) if lines else ""


# --- uses of tables ------------------------------------------------------------------------------


def _uses(tokens: list[Token], tables: dict[str, Table]) -> tuple[list[_Use], set[str]]:
    """Find the calls of tables' methods, and the tables whose every mention is such a call."""
    uses: list[_Use] = []
    unsure: set[str] = set()
    inside_calls = _inside_calls(tokens)
    for i, token in enumerate(tokens):
        if token.kind != "name" or token.text not in tables or i == tables[token.text].at:
            continue
        if i and (tokens[i - 1].text in (".", "->", "struct") or _declares(tokens, i)):
            continue  # a member or a tag of the same name
        use = _use(tokens, i, i not in inside_calls)
        if use is None or token.directive:
            unsure.add(token.text)
        else:
            uses.append(use)
    return uses, {name for name, table in tables.items() if not table.directive} - unsure


def _declares(tokens: list[Token], i: int) -> bool:
    """Return whether token `i` is the name in `u32 name;`, a struct's member."""
    kind, following = tokens[i - 1], [token.text for token in tokens[i + 1 : i + 2]]
    return kind.kind == "name" and kind.text != "return" and following == [";"]


def _use(tokens: list[Token], i: int, wrappable: bool) -> _Use | None:
    following = [t.text for t in tokens[i + 1 : i + 4]]
    if len(following) < 3 or following[0] != "." or following[2] != "(":
        return None
    found = arguments(tokens, i + 3)
    if found is None:
        return None
    parts, end = found
    return _Use(
        table=tokens[i].text,
        method=following[1],
        at=i,
        start=tokens[i].start,
        end=tokens[end].end,
        arguments=parts,
        wrappable=wrappable,
    )


def _inside_calls(tokens: list[Token]) -> set[int]:
    """Return the tokens that are arguments of a call or macro.

    BCC replaces a macro's whole expansion when it rewrites a call among its arguments, so a
    wrapper around that call would be lost.
    """
    control = {"if", "while", "for", "switch", "return", "sizeof"}
    inside: set[int] = set()
    stack: list[bool] = []
    for i, token in enumerate(tokens):
        text = token.text if token.kind == "punct" else ""
        if text == "(":
            before = tokens[i - 1] if i else None
            is_call = before is not None and before.kind == "name" and before.text not in control
            stack.append(is_call or bool(stack and stack[-1]))
        elif text == "{":
            stack.append(bool(stack and stack[-1] and tokens[i - 1].text == "("))
        elif text in (")", "}") and stack:
            stack.pop()
        if stack and stack[-1]:
            inside.add(i)
    return inside


def _substitutable(tables: dict[str, Table], uses: list[_Use], whole: set[str]) -> list[str]:
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


def _use_edit(body: str, use: _Use, slot: int) -> tuple[int, int, str] | None:
    if not use.wrappable:
        return None
    call = body[use.start : use.end]
    if use.method == "perf_submit":
        data, size = (body[part[0].start : part[-1].end] for part in use.arguments[1:])
        gap = body[use.start : use.arguments[1][0].start].count("\n")
        rest = body[use.arguments[1][-1].end : use.arguments[2][0].start].count("\n")
        tail = body[use.arguments[2][-1].end : use.end].count("\n")
        call = (
            f"{use.table}.ringbuf_output({'' if not gap else chr(10) * gap}{data},"
            f"{chr(10) * rest} {size}, 0{chr(10) * tail})"
        )
    if use.method in ("perf_submit", "ringbuf_output"):
        counted = f"({{ int _ks = {call}; if (_ks) ks_lost_add({slot}); _ks; }})"
    elif use.method == "ringbuf_reserve":
        counted = f"({{ void *_ks = {call}; if (!_ks) ks_lost_add({slot}); _ks; }})"
    else:
        return None
    return use.start, use.end, counted


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


def histogram_kind(tokens: list[Token], table: Table) -> str:
    """Return the scale of a histogram's slots: log2, linear, log_linear ("" for other tables)."""
    if table.macro == "KS_HISTOGRAM":
        return "log_linear"
    if table.macro != "BPF_HISTOGRAM":
        return ""
    uses, _ = _uses(tokens, {table.name: table})
    for use in uses:
        key = use.arguments[0] if use.arguments else []
        if _uses_log2(names(key), tokens, use.at):
            return "log2"
    return "linear"


def _uses_log2(key: set[str], tokens: list[Token], at: int) -> bool:
    """Return whether a key comes from bpf_log2l, directly or through a local variable."""
    log2 = {"bpf_log2l", "bpf_log2"}
    if key & log2:
        return True
    statement: list[Token] = []
    for token in function_around(tokens, at):
        if token.text == ";":
            seen = names(statement)
            if seen & log2 and seen & key:
                return True
            statement = []
        else:
            statement.append(token)
    return False
