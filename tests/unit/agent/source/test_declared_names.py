from __future__ import annotations

import pytest

from kernelscope.agent.source import declared_names
from kernelscope.protocol.c_tokens import scan


@pytest.mark.parametrize(
    "source",
    [
        "struct e { u16 sk_family; };",
        "struct e { u16 sk_family:3; };",
        "struct e { struct x *sk_family; };",
        "int f(void) { int sk_family = 3; }",
        "int f(u64 sk_family, int b) { }",
        "static inline u64 sk_family(u64 a) { return a; }",
        "typedef_t sk_family[4];",
    ],
)
def test_finds_names_that_the_text_declares(source: str) -> None:
    assert "sk_family" in declared_names.variables(scan(source))


@pytest.mark.parametrize(
    "source",
    [
        "int f(void) { return sk_family; }",
        "int f(void) { return sk->sk_family; }",
        "int f(void) { x = a * sk_family; }",
        "int f(void) { return min(sk_family, 3); }",
        "int f(void) { u64 a = sk_family(3); }",
    ],
)
def test_does_not_take_a_use_for_a_declaration(source: str) -> None:
    assert "sk_family" not in declared_names.variables(scan(source))


def test_finds_tags_types_and_macros() -> None:
    tokens = scan(
        "#define SIZE 4\nstruct a { int b; };\ntypedef struct { int c; } d_t;\n"
        "enum e { ONE, TWO };\ntypedef char text_t[SIZE];\n"
    )
    assert declared_names.macros(tokens) == {"SIZE"}
    assert declared_names.tags(tokens) == {"a", "e"}
    assert declared_names.types(tokens) >= {"d_t", "ONE", "TWO", "text_t"}
    assert declared_names.file_scope_types(tokens) == {"struct a", "d_t", "text_t"}


def test_finds_global_variables() -> None:
    tokens = scan(
        "BPF_HASH(seen, u32);\nstatic u64 total = 0;\nconst char name[] = \"x\";\nu32 a, b;\n"
        "struct k { u32 member; };\ntypedef u32 t;\nint f(void *ctx) { u32 local; return 0; }\n"
        "int declared(void);\n"
    )  # fmt: skip
    assert declared_names.global_variables(tokens) >= {"total", "name"}
    assert not declared_names.global_variables(tokens) & {"seen", "member", "local", "t", "f"}


def test_finds_the_types_that_are_stored() -> None:
    tokens = scan(
        "BPF_HASH(m, u32, struct iphdr);\n"
        "struct e { struct tcphdr t; struct sock *sk; ktime_t at; };"
        "int f(void) { struct udphdr u; }"
    )
    assert declared_names.stored_types(tokens) == {"iphdr", "tcphdr", "ktime_t"}
