"""Texts that are safe to print, and tables of them."""

from __future__ import annotations

import pytest

from kernelscope.text import html_table, printable, shortened, table


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain, café, 日本", "plain, café, 日本"),
        ("\x1b]0;title\x07", "\\x1b]0;title\\x07"),
        ("a\x9b2Jb\x7f", "a\\x9b2Jb\\x7f"),
        ("exe\u202ecod.sh", "exe\\u202ecod.sh"),
        ("two\nlines\ttab\rback", "two\\nlines\\ttab\\rback"),
        ("bad \udcff byte", "bad \\udcff byte"),
        ("line\u2028paragraph\u2029", "line\\u2028paragraph\\u2029"),
        ("tag \U000e0041", "tag \\U000e0041"),
    ],
)
def test_characters_that_a_terminal_acts_on_are_escaped(text: str, shown: str) -> None:
    assert printable(text) == shown
    assert printable(text).isprintable()


def test_a_text_of_several_lines_keeps_its_line_ends() -> None:
    assert printable("one\n\ttwo\x1b[2J\n", keep="\n\t") == "one\n\ttwo\\x1b[2J\n"


def test_the_last_column_is_folded_under_itself() -> None:
    text = table(("name", "meaning"), [("a", "word " * 10)], width=40)
    assert [line[:6] for line in text.splitlines()] == ["name  ", "a     ", "      "]
    assert max(map(len, text.splitlines())) <= 40


def test_headings_of_an_html_table_are_escaped() -> None:
    assert "<b>" not in html_table(("<b>",), [["1"]])


def test_a_cut_text_ends_with_a_mark() -> None:
    assert shortened("abcdef", 4) == "abc…"
    assert shortened("abcd", 4) == "abcd"
