"""The prelude without what a program does not use."""

from __future__ import annotations

import pytest

from kernelscope.agent.source import prelude_trim
from kernelscope.probe import catalogue

PRELUDE = """\
/* what OTHER is */
#define SIZE 4
#define OTHER(x)                                                                       \\
    ((x) + SIZE)
struct pair {
    u32 a[SIZE];
};

KS_INLINE u32 first(struct pair *pair)
{
    return pair->a[0]; /* second */
}

KS_INLINE u32 second(void)
{
    return OTHER(1);
}
"""


def kept(body: str) -> str:
    return prelude_trim.needed(PRELUDE, body)


@pytest.mark.parametrize(
    ("body", "there", "gone"),
    [
        ("int x;", [], ["SIZE 4", "OTHER(x)", "struct pair {", "first(", "second("]),
        ("int x = SIZE;", ["SIZE 4"], ["OTHER(x)", "struct pair {"]),
        ("first(0);", ["SIZE 4", "struct pair {", "u32 first("], ["OTHER(x)", "u32 second("]),
        ("second();", ["SIZE 4", "((x) + SIZE)", "u32 second("], ["struct pair {"]),
    ],
)
def test_keeps_only_what_the_program_reaches(body: str, there: list[str], gone: list[str]) -> None:
    text = kept(body)

    assert all(part in text for part in there)
    assert not any(part in text for part in gone)


def test_every_line_keeps_its_number() -> None:
    before, after = PRELUDE.splitlines(), kept("second();").splitlines()

    assert len(before) == len(after)
    assert all(new in (old, "") for old, new in zip(before, after, strict=True))


def test_keeps_other_text_and_what_it_mentions() -> None:
    text = prelude_trim.needed(PRELUDE + "u32 count = SIZE;\n", "int x;")

    assert "u32 count = SIZE;" in text
    assert "#define SIZE 4" in text


def test_a_program_that_uses_nothing_gets_an_empty_prelude() -> None:
    text = prelude_trim.needed(catalogue.prelude(), "int x;")

    assert not [line for line in text.splitlines() if line.startswith(("#define", "struct", "KS_"))]
