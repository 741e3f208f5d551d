"""What to do about clang's messages: the likely cause of each, and the dialect of a pasted text."""

from __future__ import annotations

import re
from difflib import get_close_matches

from kernelscope.agent.source.table_declarations import MACROS
from kernelscope.protocol.c_tokens import scan

_C_LIBRARY = (
    "str(?:n?cmp|n?cpy|n?cat|str|r?chr|dup|len|tok|case\\w*)|mem(?:chr|mem)|s?n?printf|malloc|free"
    "|calloc|puts|atoi|strto\\w+|exit|getpid|time|sleep|fopen|fclose|read|write|open"
)
_LIBBPF = (
    "SEC|BPF_CORE_READ\\w*|BPF_PROG|BPF_KPROBE|BPF_KRETPROBE|BPF_KSYSCALL|bpf_core_\\w+|__uint"
    "|__type|__ulong|bpf_get_prandom_u32_core|PT_REGS_PARM\\w+_CORE\\w*"
)
_INSTEAD = {
    "BPF_CORE_READ": "write p->a->b: BCC reads members with bpf_probe_read_kernel where needed",
    "SEC": "name the hook by the function (TRACEPOINT_PROBE(category, event), kprobe__name) or with"
    " --attach",
    "pr_info": "call bpf_trace_printk",
    "printk": "call bpf_trace_printk",
}

_HINTS = (
    (
        rf"(?:function|identifier) '({_C_LIBRARY})'",
        "there is no C library in the kernel, so no {0}: compare bytes in a loop,"
        " use __builtin_memcmp or bpf_strncmp, or filter with --comm and --pid",
    ),
    (rf"'({_LIBBPF})'", "{0} is libbpf's; cells are written in BCC's C"),
    (
        r"incomplete (?:definition of )?type 'struct tracepoint__(\w+?)__(\w+)'",
        "there is no tracepoint {0}:{1} here, or tracefs cannot be read",
    ),
    (
        r"incomplete (?:definition of )?type 'struct (\w+)'",
        "this kernel's type information has no struct {0}",
    ),
    (r"no member named '(\w+)' in '([^']+)'", "{1} has no {0} on this kernel"),
    (r"undeclared identifier '(\w+)'", "is {0} misspelt, or a macro that this kernel lacks?"),
    (r"unknown type name '(\w+)'", "this kernel's type information has no {0}"),
    (
        r"(?:implicit(?:ly)? declar\w+ of|implicitly declaring library|call to undeclared"
        r"(?: library)?) function '(\w+)'",
        "no BPF helper or inline function is called {0}",
    ),
    (
        r"BPF stack limit|stack limit of \d+|bytes of stack",
        "keep large structs in a BPF_PERCPU_ARRAY, or fill a record reserved in a ring buffer",
    ),
    (
        r"could not open bpf map: \w+, error: (?:Argument list too long|Cannot allocate memory)"
        r"|refused the map .*(?:Argument list too long|Cannot allocate memory)",
        "make it smaller: it exceeds the kernel's limit or this machine's memory",
    ),
    (r"no signed division", "divide unsigned numbers: (u32)a / b, or declare them as u32 or u64"),
    (
        r"more than 3 conversion specifiers",
        "bpf_trace_printk prints at most three values: call it twice, or send a record through"
        " BPF_PERF_OUTPUT",
    ),
    (r"at most five arguments", "pass a pointer to a struct instead"),
    (r"unroll|loop not unrolled", "bound the loop by a constant, so that clang can unroll it"),
    (r"missing terminating '\"'", 'close the string with "'),
)

# What a pasted text is, and where it belongs. The first match wins.
_DIALECTS = (
    (
        r"^[ \t]*(?:```|~~~)",
        "this line is Markdown: paste only the C between the fences",
    ),
    (
        r"^[ \t]*(?:from [\w.]+ import |import \w+|def \w+\(.*\):|\w+ *= *(?:r|f)?(?:\"\"\"|''')"
        r"|(?:\"\"\"|''')|print\(|b *= *BPF\(|#! */.*python)",
        "this line is Python: a cell takes only the C, which bcc's tools keep in a string",
    ),
    (
        r"^[ \t]*(?:(?:probe|global|function)\s+\w[\w.]*(?:\(\"[^\"]*\"\))?[\w.]*\s*(?:[{=,!?]|$)"
        r"|#! */.*\bstap\b)",
        "this line is SystemTap, which cells do not take: look for a probe with %ebpf list, or"
        " write BCC's C",
    ),
    (
        r"^[ \t]*(?:(?:tracepoint|t|kprobe|k|kretprobe|kr|kfunc|fentry|kretfunc|fexit|uprobe|u|"
        r"uretprobe|ur|usdt|U|profile|p|interval|i|software|s|hardware|h|rawtracepoint|rt|iter|it)"
        r":[^\s;{}]+[^;{}]*(?:\{|$)|(?:BEGIN|END)\s*\{|@\w*(?:\[.*\])? *=|#! */.*bpftrace)",
        "this line is bpftrace: put the script into a %%bpftrace cell",
    ),
    (
        r"^[ \t]*(?:SEC\s*\(|.*\bSEC\s*\(\"|#[ \t]*include[ \t]*[<\"](?:vmlinux\.h|bpf/bpf_)"
        r"|.*\b__uint\s*\(|.*\bBPF_CORE_READ|.*\bbpf_core_read\s*\()",
        "this line is libbpf's C; cells take BCC's: maps are BPF_HASH(name, key, value), functions"
        " are named by their hook (TRACEPOINT_PROBE(syscalls, sys_enter_openat), kprobe__vfs_read)"
        " or attached with --attach, and p->member replaces BPF_CORE_READ",
    ),
)


def hint_for(message: str, source: str = "", near: str = "") -> str | None:
    """Return how to fix what clang reported, None where no hint is known.

    near: the line of the user's text at which it was reported.
    """
    pasted = dialect(source)
    if pasted:
        return pasted
    for name, instead in _INSTEAD.items():
        if re.search(rf"'{name}'", message):
            return f"{name} is not available here: {instead}"
    misspelt = _macro_hint(near)
    if misspelt:
        return misspelt
    for pattern, hint in _HINTS:
        match = re.search(pattern, message)
        if match:
            return hint.format(*match.groups())
    return None


def dialect(source: str) -> str | None:
    """Return what to do with a text that is not BCC's C, and the line that shows it."""
    lines = source.splitlines()
    code = _outside_comments_and_strings(source)
    for pattern, hint in _DIALECTS:
        for number, line in enumerate(lines, 1):
            if number in code and re.search(pattern, line):
                return f"line {number}: {hint}"
    return None


def _outside_comments_and_strings(source: str) -> set[int]:
    """Return the numbers of the lines on which a token begins."""
    starts = [0]
    starts += [match.end() for match in re.finditer("\n", source)]
    found: set[int] = set()
    line = 0
    for token in scan(source):
        while line < len(starts) and starts[line] <= token.start:
            line += 1
        found.add(line)
    return found


def _macro_hint(near: str) -> str | None:
    """Explain a map macro that does not exist, on the line at which clang stopped."""
    for name in re.findall(r"\b(BPF_[A-Z_]+)\s*\(", near):
        if name in MACROS or name in _OTHER_MACROS:
            continue
        close = get_close_matches(name, [*MACROS, *_OTHER_MACROS], 1, 0.75)
        table = _TABLE_TYPES.get(name)
        if table:
            return f'there is no macro {name}: write BPF_TABLE("{table}", key, value, name, size)'
        meant = f"; did you mean {close[0]}?" if close else ""
        return f"there is no macro {name}{meant}"
    return None


_OTHER_MACROS = frozenset(
    ("BPF_HASH_OF_MAPS", "BPF_ARRAY_OF_MAPS", "BPF_CORE_READ", "BPF_CORE_READ_INTO", "BPF_ANY")
)
_TABLE_TYPES = {
    "BPF_LRU_HASH": "lru_hash",
    "BPF_LRU_PERCPU_HASH": "lru_percpu_hash",
    "BPF_PERCPU_LRU_HASH": "lru_percpu_hash",
    "BPF_HASHMAP": "hash",
    "BPF_PERCPU_HASHMAP": "percpu_hash",
}
