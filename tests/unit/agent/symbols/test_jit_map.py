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
