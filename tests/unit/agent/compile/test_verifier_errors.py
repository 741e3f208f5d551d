from __future__ import annotations

import pytest

from kernelscope.agent.compile import verifier_errors
from kernelscope.agent.compile.verifier_errors import Source
from kernelscope.agent.compile.verifier_hints import reason_of

SOURCE = """BPF_HASH(h, u32);
int f(void *ctx) { u32 k = 1;
 u64 *v = h.lookup(&k);
 (*v)++;
 return 0; }"""
PREFIX = 7

# As bcc 0.26 (LLVM 14) lists it with DEBUG_SOURCE.
LISTING = """Disassembly of function f
; int f(void *ctx) { // Line  21
   0:\tb7 01 00 00 01 00 00 00\tr1 = 1
; u32 k = 1; // Line  22
   1:\t63 1a fc ff 00 00 00 00\t*(u32 *)(r10 - 4) = r1
; u64 *v = bpf_map_lookup_elem((void *)bpf_pseudo_fd(1, -2), &k); // Line  23
   2:\t18 11 00 00 fe ff ff ff 00 00 00 00 00 00 00 00\tld_pseudo\tr1, 1, 4294967294
   4:\tbf a2 00 00 00 00 00 00\tr2 = r10
   6:\t85 00 00 00 01 00 00 00\tcall 1
; (*v)++; // Line  24
   7:\t79 01 00 00 00 00 00 00\tr1 = *(u64 *)(r0 + 0)
; return 0; } // Line  25
  10:\tb7 00 00 00 00 00 00 00\tr0 = 0

Disassembly of function g
; (*v)++; // Line  90
   0:\t85 00 00 00 07 00 00 00\tcall 7
"""
END = "\nprocessed 7 insns (limit 1000000) max_states_per_insn 0 total_states 0 peak_states 0\n"
NULL = (
    """0: R1=ctx() R10=fp0
6: (85) call bpf_map_lookup_elem#1    ; R0=map_value_or_null(id=1,map=h,ks=4,vs=8)
7: (79) r1 = *(u64 *)(r0 +0)
R0 invalid mem access 'map_value_or_null'"""
    + END
)


def test_maps_instructions_to_the_users_lines() -> None:
    lines = verifier_errors.instruction_lines(LISTING, "f", SOURCE, PREFIX)
    assert lines[7] == (4, " (*v)++;")
    assert lines[10] == (5, " return 0; }")
    assert lines[1][0] == 2


def test_a_refusal_has_line_reason_and_hint() -> None:
    lines = verifier_errors.instruction_lines(LISTING, "f", SOURCE, PREFIX)
    error = verifier_errors.refusal("f", NULL, Source(lines))
    assert (error.details["line"], error.details["text"]) == (4, " (*v)++;")
    assert error.details["reason"] == "R0 invalid mem access 'map_value_or_null'"
    assert "if (!p)" in (error.hint or "")


def test_does_not_count_the_loaders_instructions() -> None:
    lines = verifier_errors.instruction_lines(LISTING, "f", SOURCE, PREFIX)
    shifted = NULL.replace("7: (79)", "19: (79)")
    assert verifier_errors.refusal("f", shifted, Source(lines), prologue=12).details["line"] == 4
    assert (
        verifier_errors.refusal(
            "f", shifted.replace("19: (79)", "3: (79)"), Source(lines), 12
        ).details["line"]
        is None
    )


def test_a_refusal_without_line_information_has_a_reason() -> None:
    error = verifier_errors.refusal("f", NULL, Source({}))
    assert error.details["line"] is None
    assert "map_value_or_null" in error.message


def test_a_global_variable_is_named_as_the_cause() -> None:
    lines = {7: (4, " total++;")}
    error = verifier_errors.refusal("f", NULL, Source(lines, frozenset({"total", "other"})))
    assert "total is a global variable" in (error.hint or "")


def test_clangs_warning_is_shown_if_it_names_the_cause() -> None:
    warnings = (
        "line 3: incompatible pointer to integer conversion passing 'u32 *' [-Wint-conversion]",
        "line 2: unused variable 'x' [-Wunused-variable]",
    )
    error = verifier_errors.refusal("f", NULL, Source({}, warnings=warnings))
    assert (error.hint or "").startswith("line 3: incompatible pointer")
    assert "unused" not in (error.hint or "")


# The ends of logs that Linux 6.18 wrote, but for those said to be older kernels' words.
@pytest.mark.parametrize(
    ("log", "reason", "hint"),
    [
        (
            "0: (b7) r0 = 0\ninfinite loop detected at insn 1\ncur state: R0=0 R1=ctx()\n"
            "old state: R0=P0",
            "infinite loop detected at insn 1",
            "bound it by a constant",
        ),
        ("back-edge from insn 9 to 3", "back-edge from insn 9 to 3", "bound it by a constant"),
        (
            "7: (55) if r7 != 0x0 goto pc-3 BPF program is too large. Processed 1000001 insn",
            "BPF program is too large. Processed 1000001 insn",
            "too many paths",
        ),
        (
            "1: (61) r0 = *(u32 *)(r0 +8)\nR0 invalid mem access 'scalar'",
            "R0 invalid mem access 'scalar'",
            "bpf_probe_read_kernel",
        ),
        ("R1 invalid mem access 'inv'", "R1 invalid mem access 'inv'", "bpf_probe_read_kernel"),
        (
            "0: (7a) *(u64 *)(r10 -520) = 1\ninvalid write to stack R10 off=-520 size=8",
            "invalid write to stack R10 off=-520 size=8",
            "512 bytes",
        ),
        (
            "28: (95) exit\nUnreleased reference id=2 alloc_insn=4\n"
            "BPF_EXIT instruction in main prog would lead to reference leak",
            "Unreleased reference id=2 alloc_insn=4; "
            "BPF_EXIT instruction in main prog would lead to reference leak",
            "submitted or discarded on every path",
        ),
        (
            "24: (85) call bpf_ringbuf_submit#132\nR1 type=scalar expected=ringbuf_mem",
            "R1 type=scalar expected=ringbuf_mem",
            "only once",
        ),
        ("0: (bf) r0 = r2\nR2 !read_ok", "R2 !read_ok", "initialize"),
        (
            "invalid indirect read from stack R2 off -16+4 size 16",
            "invalid indirect read from stack R2 off -16+4 size 16",
            "initialize",
        ),
        (
            "12: (71) r6 = *(u8 *)(r7 +0)\n"
            "invalid access to map value, value_size=16 off=31 size=1\n"
            "R7 max value is outside of the allowed memory range",
            "invalid access to map value, value_size=16 off=31 size=1; "
            "R7 max value is outside of the allowed memory range",
            "test the index",
        ),
        (
            "invalid access to packet, off=0 size=1, R1(id=0,off=0,r=0)\n"
            "R1 offset is outside of the packet",
            "invalid access to packet, off=0 size=1, R1(id=0,off=0,r=0); "
            "R1 offset is outside of the packet",
            "data_end",
        ),
        (
            "5: (85) call bpf_probe_read_kernel#113\n"
            "R2 min value is negative, either use unsigned or 'var &= const'",
            "R2 min value is negative, either use unsigned or 'var &= const'",
            "unsigned",
        ),
        (
            "cannot call GPL-restricted function from non-GPL compatible program",
            "cannot call GPL-restricted function from non-GPL compatible program",
            "license",
        ),
        (
            "0: (85) call unknown#2147483647\ninvalid func unknown#2147483647",
            "it calls a helper function that this kernel does not have",
            "helper function",
        ),
        ("unknown func bpf_redirect#23", "unknown func bpf_redirect#23", "helper function"),
        ("BPF_STX uses reserved fields", "BPF_STX uses reserved fields", "before Linux 5.12"),
        ("R1 leaks addr into map", "R1 leaks addr into map", "CAP_PERFMON"),
        (
            "1: (27) r0 *= 3\nR0 pointer arithmetic with *= operator prohibited",
            "R0 pointer arithmetic with *= operator prohibited",
            "arithmetic",
        ),
        (
            "invalid bpf_context access off=100 size=8",
            "invalid bpf_context access off=100 size=8",
            "context",
        ),
        ("last insn is not an exit or jmp", "last insn is not an exit or jmp", "return"),
    ],
)
def test_explains_the_verifiers_reason(log: str, reason: str, hint: str) -> None:
    error = verifier_errors.refusal("f", "0: R1=ctx() R10=fp0\n" + log + END, Source({}))
    assert error.details["reason"] == reason
    assert hint in (error.hint or "")


def test_an_empty_log_gives_no_reason() -> None:
    assert reason_of("") == "it gave no reason"


def test_a_long_log_keeps_its_end() -> None:
    log = "1: (b7) r0 = 0\n" * 20000 + "R2 !read_ok" + END
    kept = verifier_errors.refusal("f", log, Source({})).details["log"]
    assert len(kept) <= 64 << 10
    assert kept.endswith(END)
