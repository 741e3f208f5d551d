"""Words to avoid are found in prose and nowhere else."""

from __future__ import annotations

import json

import pytest

from tools.words import check_words

RULES = check_words.read()


def hits(path: str, text: str) -> list[str]:
    return [line.split(": ")[1] for line in check_words.found(path, text, RULES)]


def test_a_word_is_reported_with_its_line_and_a_better_one() -> None:
    assert list(check_words.found("x.md", "One.\nHow to mend it.\n", RULES)) == [
        "x.md:2: 'mend': write fix"
    ]


@pytest.mark.parametrize("text", ["Recommend it.", "amended", "Inside the box.", "10 s per second"])
def test_parts_of_other_words_are_not_reported(text: str) -> None:
    assert hits("x.md", text) == []


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("x.md", "in the\nplace of it"),
        ("x.c", "/* in the\n * place of it */"),
        ("x.py", "# in the\n# place of it\n"),
    ],
)
def test_a_phrase_is_found_across_lines(path: str, text: str) -> None:
    assert len(hits(path, text)) == 1


def test_code_is_not_prose() -> None:
    assert hits("x.py", "anew = beside(whoever)\n") == []
    assert hits("x.c", "int anew = beside(whoever);\n") == []
    assert hits("x.toml", "example = '''\nanew beside whoever\n'''\n") == []


def test_comments_docstrings_and_messages_of_python_are_prose() -> None:
    text = '"""Do it anew."""\n\nraise ValueError(f"{whoever} beside {y}")  # of late\n'
    assert hits("x.py", text) == ["'anew'", "'beside'", "'of late'"]


def test_notebooks_are_checked_in_markdown_and_comments_only() -> None:
    cells = [
        {"cell_type": "markdown", "source": ["do it anew"]},
        {"cell_type": "code", "source": ["anew = 1  # of late"]},
    ]
    assert hits("x.ipynb", json.dumps({"cells": cells})) == ["'anew'", "'of late'"]


def test_an_exception_allows_a_text_in_its_files_alone() -> None:
    rules = check_words.Rules(
        RULES.words, ("*",), (), (check_words.Exemption("mend nets", "a.md"),)
    )
    assert list(check_words.found("a.md", "They mend nets.", rules)) == []
    assert len(list(check_words.found("a.md", "They mend ships.", rules))) == 1
    assert len(list(check_words.found("b.md", "They mend nets.", rules))) == 1


def test_generated_and_excluded_files_are_not_covered() -> None:
    assert RULES.covers("docs/live.md")
    assert RULES.covers("bpf/cpu/runqlat.toml")
    assert not RULES.covers("docs/probes/cpu.md")
