"""What bpftrace prints becomes typed tables, whatever its keys contain."""

from __future__ import annotations

import json
from typing import Any

import pandas as pd

from kernelscope.analysis import stack_tree
from kernelscope.io import flame_files
from kernelscope.tracing import bpftrace_output


def read(script: str, *messages: tuple[str, Any]) -> dict[str, pd.DataFrame]:
    lines = [json.dumps({"type": kind, "data": data}) for kind, data in messages]
    return bpftrace_output.read(["", *lines, "not JSON"], script).tables


def test_a_key_of_several_parts_becomes_columns_named_for_them() -> None:
    script = 'tracepoint:x:y { @reads[comm, pid, args->fd, "a,b"] = count(); }'
    tables = read(script, ("map", {"@reads": {"web,1,2,3,a,b": 5, "sh,12,0,a,b": 7}}))

    reads = tables["reads"]
    assert reads.columns.tolist() == ["comm", "pid", "fd", "key4", "value"]
    assert reads.iloc[0].tolist() == ["web,1", 2, 3, "a,b", 5]
    assert reads["pid"].dtype == reads["value"].dtype == "int64"


def test_stacks_are_folded_root_first() -> None:
    script = "profile:hz:99 { @[kstack(2), ustack, comm] = count(); }"
    key = "\n    inner+12\n    outer+3\n,\n    main+1\n,one, two"
    row = read(script, ("map", {"@": {key: 3}}))["map"].iloc[0]

    assert row["kernel_stack"] == "outer;inner"
    assert row["user_stack"] == "main"
    assert row["comm"] == "one, two"


def test_a_stack_may_be_empty() -> None:
    script = "profile:hz:99 { @[kstack(3), ustack(2), comm] = count(); }"
    keys = {
        ",\n    work+41\n    0x7f00\n,python": 5,
        "\n    inner+1\n    outer+2\n,,sh": 2,
        ",,x": 1,
    }
    table = read(script, ("map", {"@": keys}))["map"]

    assert table["kernel_stack"].tolist() == ["", "outer;inner", ""]
    assert table["user_stack"].tolist() == ["0x7f00;work", "", ""]
    assert table["comm"].tolist() == ["python", "sh", "x"]
    assert flame_files.folded(stack_tree.tree(table, stack_tree.value_of(table))) == (
        "python;0x7f00;work 5\nsh;outer;inner 2\nx 1\n"
    )


def test_histograms_have_bounds_and_counts() -> None:
    script = "t { @a = hist(arg0); @b[comm] = lhist(arg0, 0, 20, 10); }"
    tables = read(
        script,
        ("hist", {"@a": [{"min": 4, "max": 7, "count": 2}, {"min": 8, "max": 15, "count": 0}]}),
        ("hist", {"@b": {"x": [{"max": -1, "count": 1}, {"min": 20, "count": 9}]}}),
    )

    assert tables["a"].to_dict("records") == [{"value_low": 4, "value_high": 8, "count": 2}]
    assert tables["b"]["comm"].tolist() == ["x", "x"]
    assert tables["b"]["value_high"].tolist() == [0, 2**63 - 1]
    assert tables["b"]["value_low"].iloc[1] == 20


def test_stats_averages_tuples_and_single_values() -> None:
    script = "t { @s[pid] = stats(1); @a = avg(1); @t[pid] = (1, comm); @last = nsecs; }"
    tables = read(
        script,
        ("stats", {"@s": {"7": {"count": 2, "average": 3, "total": 6}}}),
        ("stats", {"@a": 3}),
        ("map", {"@t": {"7": [1, "sh"]}}),
        ("map", {"@last": 12}),
    )

    assert tables["s"].to_dict("records") == [{"pid": 7, "count": 2, "average": 3, "total": 6}]
    assert tables["a"].to_dict("records") == [{"average": 3}]
    assert tables["t"].to_dict("records") == [{"pid": 7, "value1": 1, "value2": "sh"}]
    assert tables["last"].to_dict("records") == [{"value": 12}]


def test_of_a_map_printed_often_the_last_state_stays() -> None:
    tables = read("t { @n = count(); }", ("map", {"@n": 1}), ("map", {"@n": 2}))

    assert tables["n"]["value"].tolist() == [2]


def test_lines_of_one_format_become_rows() -> None:
    script = r't { printf("%d %-16s size=%5d 100%%\n", pid, comm, args->len); }'
    lines = read(script, ("printf", "12 a b              size=   42 100%\n"))["printf"]

    assert lines.columns.tolist() == ["pid", "comm", "size"]
    assert lines["pid"].tolist() == [12]
    assert lines["comm"].str.strip().tolist() == ["a b"]
    assert lines["size"].tolist() == [42]


def test_lines_of_several_formats_stay_text() -> None:
    script = r'BEGIN { printf("go\n"); } t { printf("%d\n", pid); }'
    lines = read(script, ("printf", "go\n"), ("printf", "7\n"))["printf"]

    assert lines["line"].tolist() == ["go", "7"]


def test_lost_events_and_attached_probes_are_counted() -> None:
    lines = [
        json.dumps({"type": "attached_probes", "data": {"probes": 3}}),
        json.dumps({"type": "lost_events", "data": {"events": 5}}),
        json.dumps({"type": "lost_events", "data": {"events": 2}}),
    ]
    output = bpftrace_output.read(lines, "")

    assert (output.attached, output.lost) == (3, 7)
