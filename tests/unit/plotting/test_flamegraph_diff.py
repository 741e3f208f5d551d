"""A differential flame graph shows what is new, what is gone and what is as before."""

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


BEFORE, AFTER = stacks(1, same=100, gone=30, fewer=40), stacks(2, same=200, new=60, fewer=40)


def test_rates_are_compared_whatever_the_captures_lengths() -> None:
    main = stack_tree.difference(BEFORE, AFTER).children["user_stack", "main"]
    rates = {name: node.rates for (_, name), node in main.children.items()}

    assert rates == {"same": (100, 100), "gone": (30, 0), "fewer": (40, 20), "new": (0, 30)}
    assert main.rates == (170, 150)
    assert main.count == sum(child.count for child in main.children.values())


def test_the_colours_scale_goes_from_gone_to_new() -> None:
    assert [share_of_change(*pair) for pair in [(3, 0), (3, 1), (2, 2), (0, 5), (0, 0)]] == [
        -1, -0.5, 0, 1, 0,
    ]  # fmt: skip


def test_the_picture_shows_both_and_says_what_the_colours_are(tmp_path: Path) -> None:
    figure = flamegraph_diff.difference(BEFORE, AFTER, save=tmp_path / "d.svg")

    texts = [text.get_text() for text in figure.axes[0].texts]
    assert {"same", "gone", "new"} <= set(texts)
    assert any(text.startswith("all: 170 a second before, 150 after") for text in texts)
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["fewer", "more"]
    assert (tmp_path / "d.svg").read_bytes().startswith(b"<?xml")


def test_the_whole_is_told_in_the_columns_own_unit() -> None:
    before, after = (table.rename(columns={"count": "total_us"}) for table in (BEFORE, AFTER))

    figure = flamegraph_diff.difference(before, after, "total_us")

    texts = [text.get_text() for text in figure.axes[0].texts]
    assert any(text.startswith("all: 170 µs a second before, 150 µs after") for text in texts)


def test_the_page_has_each_boxs_rates(tmp_path: Path) -> None:
    accessor.register()
    BEFORE.ks.flame_difference(AFTER, save=tmp_path / "d.html")

    text = (tmp_path / "d.html").read_text()
    found = re.search(r'<script id="data" type="application/json">(.*?)</script>', text)
    assert found is not None
    root = json.loads(found[1])
    assert root[4:] == [170, 150]
    assert {leaf[0]: leaf[4:] for leaf in root[3][0][3]}["new"] == [0, 30]


def test_a_name_that_says_no_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AnalysisError, match="which kind of picture"):
        flamegraph_diff.difference(BEFORE, AFTER, save=tmp_path / "d.folded")
    with pytest.raises(AnalysisError, match="no stacks"):
        flamegraph_diff.difference(BEFORE, pd.DataFrame({"count": [1]}))
