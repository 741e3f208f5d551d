from __future__ import annotations

import pytest

from kernelscope.agent.source.functions import functions, return_edits
from kernelscope.protocol.c_tokens import scan


def returning(source: str) -> str:
    for start, end, text in sorted(return_edits(scan(source)), reverse=True):
        source = source[:start] + text + source[end:]
    return source


@pytest.mark.parametrize(
    ("source", "result"),
    [
        ("void f(void *ctx) { g(); }", "int f(void *ctx) { g(); return 0; }"),
        ("int f(void *ctx) { g(); }", "int f(void *ctx) { g(); return 0; }"),
        (
            "void f(void *ctx) { if (a) return; g(); }",
            "int f(void *ctx) { if (a) return 0; g(); return 0; }",
        ),
        ("int f(a) { if (a) { return 1; } }", "int f(a) { if (a) { return 1; } return 0; }"),
        (
            "void f(void *ctx) { if (a) return g(1); h(); }",
            "int f(void *ctx) { if (a) { g(1); return 0; } h(); return 0; }",
        ),
        (
            "__attribute__((used)) void f(void *ctx) { g(); }",
            "__attribute__((used)) int f(void *ctx) { g(); return 0; }",
        ),
        ("TRACEPOINT_PROBE(a, b) { g(); }", "TRACEPOINT_PROBE(a, b) { g(); return 0; }"),
        ("int f(struct x *s) { }", "int f(struct x *s) { return 0; }"),
    ],
)  # fmt: skip
def test_a_program_without_a_return_returns_0(source: str, result: str) -> None:
    assert returning(source) == result


@pytest.mark.parametrize(
    "source",
    [
        "int f(void *ctx) { g(); return 3; }",
        "static void g(u32 k) { if (k) return; }",
        "static inline int g(u32 k) { }",
        "struct e f(void) { }",
        "struct e { u32 a; };",
        "#define F int f(void *ctx) { g(); }\n",
        "int f(void *ctx) {",
    ],
)
def test_other_text_stays(source: str) -> None:
    assert returning(source) == source


def test_finds_functions_and_not_initializers() -> None:
    tokens = scan("struct s { int a; };\nint t[] = { 1 };\nint f(int a) { if (a) { } }\n")
    assert [(tokens[f.head].text, tokens[f.head + 1].text) for f in functions(tokens)] == [
        ("int", "f")
    ]
