"""What does not work in a program, although it runs, is reported with its result."""

from __future__ import annotations

import os
import time
import warnings

import pytest

from kernelscope.errors import ProgramWarning
from kernelscope.tracing.session import Session

pytestmark = pytest.mark.kernel

CALL = "TRACEPOINT_PROBE(syscalls, sys_enter_getppid)"


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (
            "int on_return(void *ctx) { return 0; }\n" + CALL + " { return 0; }",
            "on_return() is attached nowhere",
        ),
        ("BPF_QUEUE(q, u64, 16);\n" + CALL + " { return 0; }", "q: a BPF_QUEUE is not shown"),
        ("BPF_PROG_ARRAY(p, 4);\n" + CALL + " { p.call(args, 2); return 0; }", "slots stay empty"),
        (
            "BPF_HASH(m, u32);\n" + CALL + " { u32 k = 1; u64 v = m.lookup(&k); return v; }",
            "line 2: incompatible pointer to integer conversion",
        ),
        (
            "struct k_t { u32 pid; u64 inode; };\nBPF_HASH(hits, struct k_t);\n" + CALL
            + " { struct k_t k = {}; *(u32 *)((char *)&k + 4) = bpf_get_prandom_u32(); k.pid = 5;"
            " hits.increment(k); return 0; }",
            "differ in their padding",
        ),
    ],
    ids=["function", "queue", "tail call", "clang", "padding"],
)  # fmt: skip
def test_warns(source: str, words: str) -> None:
    with warnings.catch_warnings(record=True) as caught, Session() as session:
        warnings.simplefilter("always")
        with session.start(source=source, duration=20, pid=os.getpid()) as run:
            for _ in range(11):
                os.getppid()
            time.sleep(0.2)
            run.stop()
            run.result()
    assert [w for w in caught if w.category is ProgramWarning and words in str(w.message)]
