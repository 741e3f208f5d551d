from __future__ import annotations

import os
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from kernelscope.agent.symbols import jit_map


@given(st.text())
def test_no_text_in_a_jit_map_is_an_error(text: str) -> None:
    for start, size, name in jit_map.parse(text):
        assert start >= 0
        assert size >= 0
        assert name.isprintable()


def test_skips_malformed_lines_of_a_jit_map() -> None:
    text = "7f00 20 main.go: hot path\n0x7f20 0x10 py::run\nbad\n7f40 xyz no\n7f50 10 \x1b[31m\n"
    assert jit_map.parse(text) == [
        (0x7F00, 0x20, "main.go: hot path"),
        (0x7F20, 0x10, "py::run"),
    ]


def test_the_latest_line_of_an_address_holds() -> None:
    lines = [(0x100, 0x20, "old_fn"), (0x200, 8, "other"), (0x100, 0x20, "the_later_function")]
    assert jit_map.latest(lines) == [(0x100, 0x20, "the_later_function"), (0x200, 8, "other")]


def test_a_later_line_replaces_all_that_it_overlaps() -> None:
    lines = [(0x100, 0x10, "a"), (0x110, 0x10, "b"), (0x130, 0x10, "c"), (0x108, 0x20, "new")]
    assert jit_map.latest(lines) == [(0x108, 0x20, "new"), (0x130, 0x10, "c")]


def test_reads_only_what_was_added(tmp_path: Path) -> None:
    path = tmp_path / "perf-1.map"
    path.write_text("100 10 first\n200 10 sec")
    found = jit_map.JitMap(os.open(path, os.O_RDONLY))
    found.read()
    assert found.find(0x105) == ("first", 5)
    assert found.find(0x205) is None
    with path.open("a") as file:
        file.write("ond\n100 10 again\n")
    found.read()
    assert found.find(0x205) == ("second", 5)
    assert found.find(0x105) == ("again", 5)


@given(st.lists(st.tuples(st.integers(0, 200), st.integers(0, 40), st.text("ab", min_size=1))))
def test_lines_added_one_by_one_give_the_latest_functions(
    lines: list[tuple[int, int, str]],
) -> None:
    found = jit_map.JitMap(os.open(os.devnull, os.O_RDONLY))
    for line in lines:
        found._insert(line)
    os.close(found._fd)
    ends = [jit_map._end(line) for line in found._functions]
    starts = [start for start, _, _ in found._functions]
    assert starts == sorted(starts) == found._starts
    assert all(end <= start for end, start in zip(ends, starts[1:], strict=False))
    if lines:
        assert lines[-1] in found._functions
