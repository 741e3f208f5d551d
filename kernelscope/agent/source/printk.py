"""Sends the output of bpf_trace_printk through a ring buffer.

The kernel's own channel (the tracepoint bpf_trace:bpf_trace_printk) is shared by every program on
the machine, and is silent for a program that itself runs on a tracepoint: perf does not allow an
event inside another (perf_swevent_get_recursion_context, kernel/events/core.c). So each call whose
format is a literal becomes a record of its arguments, and the client formats it.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence
from contextlib import suppress

from kernelscope.protocol.c_tokens import Token, arguments
from kernelscope.protocol.printk import CONVERSION
from kernelscope.protocol.printk import TABLE as PRINTK_TABLE

RECORD = "struct ks_printk_t"
FUNCTIONS = ("bpf_trace_printk", "bpf_printk")
MAX_ARGUMENTS = 3  # the helper takes no more (include/uapi/linux/bpf.h)

DECLARATIONS = f"""{RECORD} {{
  u64 at_ns; u64 task; u64 args[3]; u32 cpu; u32 site;
  char text0[64]; char text1[64]; char text2[64];
}};
BPF_RINGBUF_OUTPUT({PRINTK_TABLE}, 1);
static inline __attribute__((always_inline)) void ks_printk_begin({RECORD} *line, u32 site) {{
  line->at_ns = bpf_ktime_get_ns();
  line->task = bpf_get_current_pid_tgid();
  line->cpu = bpf_get_smp_processor_id();
  line->site = site;
  line->args[0] = line->args[1] = line->args[2] = 0;
  line->text0[0] = line->text1[0] = line->text2[0] = 0;
}}
static inline __attribute__((always_inline)) void ks_printk_text(char *to, const void *from) {{
  if (bpf_probe_read_kernel_str(to, 64, from) < 0) bpf_probe_read_user_str(to, 64, from);
}}
"""

Edit = tuple[int, int, str]


def substitute(
    text: str, tokens: Sequence[Token], slot: int, inside_calls: set[int]
) -> tuple[list[Edit], list[str]] | None:
    """Return the edits that replace every call, and the formats by site.

    slot: index in `ks_lost` that counts lines lost because the ring was full. None if there is no
    call, or if one of them cannot be replaced: then all use the kernel's channel.
    """
    edits: list[Edit] = []
    formats: list[str] = []
    for i, token in enumerate(tokens):
        if token.kind != "name" or token.text not in FUNCTIONS:
            continue
        call = arguments(tokens, i + 1) if i + 1 < len(tokens) else None
        if call is None or token.directive or i in inside_calls:
            return None
        parts, end = call
        found = _format(parts[0]) if parts else None
        conversions = [] if found is None else _conversions(found)
        if found is None or conversions is None or len(conversions) != len(parts) - 1:
            return None
        values = [text[part[0].start : part[-1].end] for part in parts[1:] if part]
        newlines = text[token.start : tokens[end].end].count("\n")
        new = _record(len(formats), slot, conversions, values)
        edits.append((token.start, tokens[end].end, new + "\n" * (newlines - new.count("\n"))))
        formats.append(found)
    return (edits, formats) if edits else None


def _format(part: Sequence[Token]) -> str | None:
    """Return the text of a string literal, or of adjacent ones."""
    if not part or any(token.kind != "string" or token.text[0] != '"' for token in part):
        return None
    with suppress(SyntaxError, ValueError):
        return "".join(str(ast.literal_eval(token.text)) for token in part)
    return None


def _conversions(format_text: str) -> list[str] | None:
    """Return the letter of each conversion that takes an argument; None if one is unknown."""
    letters = [match.group(1) for match in CONVERSION.finditer(format_text)]
    if "%" in CONVERSION.sub("", format_text) or re.search(r"%p[A-Za-z]", format_text):
        return None  # the kernel's extended pointer formats, %pI4 and others
    consuming = [letter for letter in letters if letter != "%"]
    return consuming if len(consuming) <= MAX_ARGUMENTS else None


def _record(site: int, slot: int, conversions: Sequence[str], values: Sequence[str]) -> str:
    fills = [
        f"ks_printk_text(_ks->text{n}, (void *)({value}));"
        if letter == "s"
        else f"_ks->args[{n}] = (u64)({value});"
        for n, (letter, value) in enumerate(zip(conversions, values))
    ]
    return (
        f"({{ {RECORD} *_ks = {PRINTK_TABLE}.ringbuf_reserve(sizeof({RECORD})); "
        f"if (_ks) {{ ks_printk_begin(_ks, {site}); {' '.join(fills)} "
        f"{PRINTK_TABLE}.ringbuf_submit(_ks, 0); }} else ks_lost_add({slot}); 0; }})"
    )
