"""A differential flame graph shows what is new, gone and unchanged."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pandas as pd
import pytest

from kernelscope import accessor
from kernelscope.analysis import stack_tree
from kernelscope.errors import AnalysisError
from kernelscope.plotting import flamegraph_diff
from kernelscope.plotting.flamegraph import share_of_change


def stacks(seconds: float, **counts: int) -> pd.DataFrame:
    frame = pd.DataFrame(
        {"user_stack": [f"main;{name}" for name in counts], "count": list(counts.values())}
    )
    frame.attrs["kernelscope"] = {"name": "profile", "duration_s": seconds}
    return frame


accessor.register()
BEFORE, AFTER = stacks(1, same=100, gone=30, fewer=40), stacks(2, same=200, new=60, fewer=40)


def test_compares_rates_of_captures_of_different_lengths() -> None:
    main = stack_tree.difference(BEFORE, AFTER).children["user_stack", "main"]
    rates = {name: node.rates for (_, name), node in main.children.items()}

    assert rates == {"same": (100, 100), "gone": (30, 0), "fewer": (40, 20), "new": (0, 30)}
    assert main.rates == (170, 150)
    assert main.count == sum(child.count for child in main.children.values())


def test_scales_the_change_from_gone_to_new() -> None:
    assert [share_of_change(*pair) for pair in [(3, 0), (3, 1), (2, 2), (0, 5), (0, 0)]] == [
        -1, -0.5, 0, 1, 0,
    ]  # fmt: skip


def test_draws_both_and_explains_the_colours(tmp_path: Path) -> None:
    figure = BEFORE.ks.flame_difference(AFTER, save=tmp_path / "d.svg")

    texts = [text.get_text() for text in figure.axes[0].texts]
    assert {"same", "gone", "new"} <= set(texts)
    assert any(text.startswith("all: 170 per second before, 150 after") for text in texts)
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["fewer", "more"]
    assert (tmp_path / "d.svg").read_bytes().startswith(b"<?xml")


def test_writes_the_total_in_the_columns_unit() -> None:
    before, after = (table.rename(columns={"count": "total_us"}) for table in (BEFORE, AFTER))

    figure = flamegraph_diff.draw(before, after, "total_us")

    texts = [text.get_text() for text in figure.axes[0].texts]
    assert any(text.startswith("all: 170 µs per second before, 150 µs after") for text in texts)


def test_page_holds_the_rates_of_each_box(tmp_path: Path) -> None:
    BEFORE.ks.flame_difference(AFTER, save=tmp_path / "d.html")

    text = (tmp_path / "d.html").read_text()
    found = re.search(r'<script id="data" type="application/json">(.*?)</script>', text)
    assert found is not None
    root = json.loads(found[1])
    assert root[4:] == [170, 150]
    assert {leaf[0]: leaf[4:] for leaf in root[3][0][3]}["new"] == [0, 30]


def test_refuses_an_unknown_extension_and_a_table_without_stacks(tmp_path: Path) -> None:
    with pytest.raises(AnalysisError, match=r"d\.folded: unsupported flame graph format"):
        BEFORE.ks.flame_difference(AFTER, save=tmp_path / "d.folded")
    with pytest.raises(AnalysisError, match="no stacks"):
        flamegraph_diff.draw(BEFORE, pd.DataFrame({"count": [1]}))
