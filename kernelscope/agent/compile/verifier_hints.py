"""The reason in a verifier log, and a hint for it (messages: kernel/bpf/verifier.c)."""

from __future__ import annotations

import re

# Lines that trace the verifier's path; the remaining lines state why it stopped.
_NOISE = re.compile(
    r"processed \d+ insns|verification time|stack depth|\s*$|;|\d+: |from \d+ to \d+|R\d+\w*="
    r"|.*;\s+R\d+\w*=|last_idx|regs=|mark_precise|parent |func#|arg#|propagating|Live regs"
    r"|cur state|old state|caller|fp-?\d|-- BEGIN|-- END|verifying|Validating"
    r"|callee:|returning from"
)
# Reasons that the verifier appends to an instruction's line.
_INLINE = re.compile(
    r"(BPF program is too large.*|infinite loop detected.*|The sequence of \d+ jumps.*"
    r"|the call stack of \d+ frames is too deep.*|R\d+ !read_ok.*)"
)

# What the verifier says of a helper that the running kernel lacks: kernel_header.py numbers it so.
_ABSENT = "invalid func unknown#2147483647"

# The first match is used, so specific patterns come before general ones.
_HINTS: tuple[tuple[str, str], ...] = (
    (
        r"map_value_or_null|mem_or_null|_or_null'|invalid mem access '\w*null'",
        "a lookup can find nothing: test the pointer (if (!p) return 0;) before using it",
    ),
    (
        r"back-edge|infinite loop|loop detected",
        "the verifier cannot see that the loop ends: bound it by a constant"
        " (for (int i = 0; i < 16; i++)), or unroll it with #pragma unroll",
    ),
    (
        r"too many instructions|too complex|BPF program is too large|sequence of \d+ jumps"
        r"|program is too large|exceeds? .*insn",
        "there are too many paths through the program: shorten its loops, or do less per event",
    ),
    (
        r"combined stack size|stack limit"
        r"|invalid .*stack.*off=-(?:5[2-9]\d|51[3-9]|[6-9]\d\d|\d{4,})",
        "a program has 512 bytes of stack: keep large structs in a BPF_PERCPU_ARRAY of one entry",
    ),
    (
        r"Unreleased reference|reference leak",
        "a ring buffer record that was reserved must be submitted or discarded on every path",
    ),
    (
        r"reference has not been acquired|expected=ringbuf_mem|release unowned",
        "a record may be submitted or discarded only once, and only if its reservation succeeded",
    ),
    (
        r"invalid access to packet|invalid access to map value|invalid access to memory"
        r"|outside of the allowed memory range|outside of the (?:packet|map value)"
        r"|value is outside|out of bounds|R\d+ offset is outside",
        "an access may reach beyond its object: test the index or length against the size first"
        " (packets: if ((void *)(p + 1) > data_end) return)",
    ),
    (
        r"unbounded memory access|min value is negative|unbounded min value|unbounded variable"
        r"|R\d+ max value is outside|invalid zero-sized|invalid indirect access to stack.*size"
        r"|variable stack|negative",
        "a length or index has no proven bounds: make it unsigned and limit it"
        " (n &= 63; or if (n > 64) n = 64;)",
    ),
    (
        r"R0 !read_ok",
        "a path through the program ends without return: end the function with return 0;",
    ),
    (
        r"!read_ok|invalid (?:indirect )?read from stack|uninitialized|misaligned stack access"
        r"|invalid size of register",
        "something is read before it was written: initialize it (struct data_t d = {};)"
        " - padding between members counts",
    ),
    (
        r"cannot call GPL|GPL.?compatible|GPL-restricted|from proprietary",
        "this helper is for GPL programs only: leave the license to KernelScope's default",
    ),
    (
        r"unknown func|invalid func|calls a helper|helper call is not allowed|cannot use helper"
        r"|not allowed in probe|func .* not allowed",
        "this kernel, or this kind of hook, does not have that helper function",
    ),
    (
        r"BPF_STX uses reserved fields|BPF_ATOMIC uses invalid",
        "this kernel has no such atomic operation: before Linux 5.12 there is only addition whose"
        " result is not used",
    ),
    (
        r"leak|R\d+ .*pointer comparison prohibited|pointer arithmetic .* prohibited for",
        "without CAP_PERFMON a program may not store or return kernel addresses",
    ),
    (
        r"pointer arithmetic|pointer operation prohibited|prohibited",
        "arithmetic on this pointer is not allowed: copy what it points to with"
        " bpf_probe_read_kernel",
    ),
    (
        r"invalid mem access '(?:scalar|inv|untrusted_ptr_|rdonly_untrusted)|invalid mem access",
        "the program may not follow that pointer: test it first (if (!p) return 0;) if a lookup"
        " or ringbuf_reserve returned it, else read through it with bpf_probe_read_kernel or _user",
    ),
    (
        r"invalid bpf_context access|dereference of modified ctx",
        "the hook's context has no such member at that place and size",
    ),
    (
        r"R\d+ type=\w+ expected=",
        "a helper was given the wrong type of argument: check the order of its arguments",
    ),
    (
        r"unreachable insn|jump out of range|last insn is not an exit|fell through",
        "every path must end in return",
    ),
    (
        r"At program exit the register R0|R0 .*should have been",
        "this hook accepts only some return values: return 0",
    ),
    (
        r"trusted_ptr|must be referenced|must be a known",
        "the helper needs a pointer that the hook itself provided",
    ),
    (
        r"[Pp]ermission denied|[Oo]peration not permitted|EPERM",
        "loading BPF programs needs root, or CAP_BPF and CAP_PERFMON",
    ),
)


def hint_for(reason: str) -> str | None:
    """Return how to fix a refusal, None where no hint is known."""
    for pattern, hint in _HINTS:
        if re.search(pattern, reason):
            return hint
    return None


def reason_of(log: str) -> str:
    """Return the last lines of the log that state a reason: one line, or a few in a row."""
    reasons: list[str] = []
    for line in (line.strip() for line in reversed(log.splitlines())):
        inline = _INLINE.search(line)
        if inline and not reasons:
            return inline.group(1)
        if not _NOISE.match(line):
            reasons.insert(0, line)
        elif reasons:
            break
    reason = "; ".join(reasons[-3:]) if reasons else "it gave no reason"
    return reason.replace(_ABSENT, "it calls a helper function that this kernel does not have")
