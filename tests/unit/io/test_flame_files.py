"""Flame graphs as files and as a page."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from kernelscope.accessor import register
from kernelscope.analysis import stack_tree
from kernelscope.errors import AnalysisError
from kernelscope.io import flame_files
from kernelscope.plotting import flamegraph_page

STACKS = pd.DataFrame(
    {
        "comm": ["dd", "dd", "python"],
        "user_stack": ["main;work", "main", "main;</script><b>"],
        "kernel_stack": ["do_syscall_64;vfs_read", "", ""],
        "count": [5, 2, 11],
    }
)
register()


def test_folded_has_a_line_per_stack_with_its_own_samples():
    text = flame_files.folded(stack_tree.tree(STACKS))

    assert sorted(text.splitlines()) == [
        "dd;main 2",
        "dd;main;work;do_syscall_64;vfs_read 5",
        "python;main;</script><b> 11",
    ]


def test_speedscope_has_every_stack_with_its_weight():
    made = json.loads(flame_files.speedscope(stack_tree.tree(STACKS), "CPU"))
    (profile,) = made["profiles"]
    names = [frame["name"] for frame in made["shared"]["frames"]]
    stacks = {
        ";".join(names[i] for i in sample): weight
        for sample, weight in zip(profile["samples"], profile["weights"], strict=True)
    }

    assert stacks["dd;main;work;do_syscall_64;vfs_read"] == 5
    assert sum(stacks.values()) == profile["endValue"] == 18


def test_page_holds_the_tree_and_no_name_can_end_its_script():
    text = flamegraph_page.page(flamegraph_page.data(stack_tree.tree(STACKS)), "CPU <time>")
    start = text.index('type="application/json">') + len('type="application/json">')
    held = text[start : text.index("</script>", start)]
    tree = json.loads(held)

    assert tree[2] == 18
    assert "</script><b>" in [child[0] for child in tree[3][1][3][0][3]]
    assert "CPU &lt;time&gt;" in text
    assert "@" not in text[: text.index("<style>")]


def test_page_names_the_measure_its_unit_the_run_and_its_host(tmp_path):
    table = STACKS.rename(columns={"count": "total_us"})
    table.attrs["kernelscope"] = {
        "probe": "offcputime", "name": "offcputime", "table": "places", "host": "<lab>",
        "started": "2026-11-22T09:01:02.1+00:00", "duration_s": 3.0,
    }  # fmt: skip
    table.ks.flamegraph(save=tmp_path / "off.html")
    text = (tmp_path / "off.html").read_text()

    assert 'data-unit="us"' in text
    assert "<h1>Off-CPU time</h1>" in text
    caption = "offcputime, 3 s · 2026-11-22 09:01:02 UTC · &lt;lab&gt;"
    assert f'<div id="caption">{caption}</div>' in text


@pytest.mark.parametrize("suffix", ["html", "folded", "speedscope.json", "svg", "png"])
def test_extension_picks_the_format(tmp_path, suffix):
    path = tmp_path / f"stacks.{suffix}"
    STACKS.ks.flamegraph(save=path)

    assert path.stat().st_size > 50


def test_refuses_an_unknown_extension(tmp_path):
    with pytest.raises(
        AnalysisError, match=r"stacks\.doc: unsupported flame graph format"
    ) as caught:
        STACKS.ks.flamegraph(save=tmp_path / "stacks.doc")

    assert ".speedscope.json" in caught.value.hint


def test_accessor_draws_a_heatmap():
    frame = pd.DataFrame(
        {
            "time": pd.to_datetime([0, 1, 2], unit="s", utc=True),
            "latency_us": [1.0, 20.0, 300.0],
        }
    )

    assert frame.ks.heatmap(title="Waits").axes[0].get_ylabel() == "latency"


def test_names_with_separators_keep_to_their_place(tmp_path: Path) -> None:
    table = pd.DataFrame(
        {"comm": ["pool;1", "a\nb 99"], "user_stack": ["main;work", "main"], "count": [3, 4]}
    )
    folded = flame_files.to_folded(table, tmp_path / "x.folded").read_text()

    assert sorted(folded.splitlines()) == ["a\\nb 99;main 4", "pool\\x3b1;main;work 3"]
