"""Macros that call a table's methods are plain text before BCC looks for such calls."""

from __future__ import annotations

import re

import pytest

from kernelscope.agent.source.table_macros import expand
from kernelscope.probe import catalogue
from kernelscope.protocol.c_tokens import scan, spelling

PRELUDE = """
#define KS_ADD(table, key, amount) \\
    ({ \\
        u64 *ks_sum = table.lookup(key); /* may be 0 */ \\
        if (ks_sum) \\
            lock_xadd(ks_sum, (u64)(amount)); \\
    })
#define KS_COUNT(table, key) KS_ADD(table, key, 1)
#define KS_TWICE(value) ((value) * 2)
#define KS_OF(list, name) list.name(0)
#define KS_NONE() 0
"""


def spelt(text: str) -> str:
    return spelling(scan(text))


def expanded(text: str, prelude: str = PRELUDE) -> str:
    return spelt(expand(text, prelude))


def test_expands_a_macro_that_calls_a_method() -> None:
    assert expanded("KS_ADD(bytes, &k, size);") == spelt(
        "({ u64 *ks_sum = bytes.lookup(&k); if (ks_sum) lock_xadd(ks_sum, (u64)(size)); });"
    )


def test_expands_nested_macros_completely() -> None:
    assert expanded("KS_COUNT(calls, &call);") == expanded("KS_ADD(calls, &call, 1);")
    assert "KS_" not in expand("KS_COUNT(calls, &call);", PRELUDE)


def test_leaves_other_macros_to_the_preprocessor() -> None:
    text = "int x = KS_TWICE(2) + KS_NONE();"
    assert expand(text, PRELUDE) == text


def test_a_method_may_be_a_parameter() -> None:
    assert expanded("KS_OF(tasks, delete);") == spelt("tasks.delete(0);")


def test_an_argument_may_be_a_table_macro() -> None:
    inner = expanded("KS_OF(tasks, lookup)")
    assert expanded("KS_ADD(t, &k, KS_OF(tasks, lookup));") == expanded(f"KS_ADD(t, &k, {inner});")


def test_expands_two_macros_on_one_line() -> None:
    both = expanded("KS_OF(a, b); KS_OF(c, d);")
    assert both == spelt("a.b(0); c.d(0);")


def test_commas_in_brackets_do_not_separate_arguments() -> None:
    text = "KS_OF(tasks, lookup(&(struct key){1, 2}, f(3, 4)))"
    assert expanded(text) == spelt("tasks.lookup(&(struct key){1, 2}, f(3, 4))(0)")


def test_an_argument_named_like_a_parameter_is_substituted_once() -> None:
    assert expanded("KS_ADD(key, table, amount);") == spelt(
        "({ u64 *ks_sum = key.lookup(table); if (ks_sum) lock_xadd(ks_sum, (u64)(amount)); });"
    )


def test_every_line_keeps_its_number() -> None:
    text = "int a;\nKS_ADD(t,\n  &k,\n  1);\nint b;\nKS_COUNT(t, &k);\nint c;\n"
    lines = expand(text, PRELUDE).split("\n")
    assert [lines.index(f"int {name};") for name in "abc"] == [0, 4, 6]
    assert len(lines) == len(text.split("\n"))


def test_a_comment_in_the_arguments_hides_nothing() -> None:
    text = "KS_ADD(t, &k[0 // the first\n ], /* twice */ 2 * n);"
    assert expanded(text) == expanded("KS_ADD(t, &k[0], 2 * n);")


@pytest.mark.parametrize(
    "text",
    [
        "KS_ADD(t, &k);",  # an argument too few
        "KS_ADD(t, , 1);",
        "KS_ADD(t, &k, 1",  # no end
        "KS_ADD;",
        'char text[] = "KS_ADD(t, &k, 1)";',
        "/* KS_ADD(t, &k, 1) */",
        "int KS_ADDED(int t);",
        "#define MINE(t) KS_ADD(t, &k, 1)\n",
    ],
)
def test_leaves_an_incomplete_call_to_clang(text: str) -> None:
    assert expand(text, PRELUDE) == text


def test_stops_expanding_a_recursive_macro() -> None:
    prelude = "#define KS_LOOP(t) t.next(KS_LOOP(t))\n"
    assert expand("KS_LOOP(a);", prelude).count("a.next(") <= 16


def test_returns_a_text_without_macros_unchanged() -> None:
    text = "int f(void *ctx) { return 0; }"
    assert expand(text, PRELUDE) is text


@pytest.mark.parametrize("name", catalogue.names())
def test_no_probe_keeps_a_table_macro(name: str) -> None:
    """What calls a method in its definition must not be called in what BCC sees."""
    prelude = catalogue.prelude()
    definitions = re.findall(
        r"^#define (KS_\w+)\((\w+)[^)]*\)((?:[^\n]*\\\n)*[^\n]*)", prelude, re.M
    )
    calling = {macro for macro, table, body in definitions if f"{table}.lookup" in body}
    assert "KS_ADD" in calling
    words = {token.text for token in scan(expand(catalogue.find(name).source, prelude))}
    assert not words & calling
