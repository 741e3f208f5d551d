"""What bpftrace prints becomes typed tables, whatever its keys and lines contain."""

from __future__ import annotations

import json
from typing import Any

import pandas as pd
import pytest

from kernelscope.analysis import readings, stack_tree
from kernelscope.io import flame_files
from kernelscope.tracing.bpftrace import output
from kernelscope.tracing.bpftrace.process import Line


def raw(script: str, *lines: str) -> output.Output:
    """Read lines that arrived one second apart."""
    return output.read([Line(text, n * 10**9) for n, text in enumerate(lines)], script)


def read(script: str, *messages: tuple[str, Any]) -> dict[str, pd.DataFrame]:
    lines = [json.dumps({"type": kind, "data": data}) for kind, data in messages]
    return raw(script, "", *lines).tables


# --- keys -----------------------------------------------------------------------------------------


def test_a_key_of_several_parts_becomes_columns_named_for_them() -> None:
    script = 'tracepoint:x:y { @reads[comm, pid, args->fd, "a,b"] = count(); }'
    reads = read(script, ("map", {"@reads": {"web,1,2,3,a,b": 5, "sh,12,0,a,b": 7}}))["reads"]

    assert reads.columns.tolist() == ["comm", "pid", "fd", "key4", "value"]
    assert reads.iloc[0].tolist() == ["web,1", 2, 3, "a,b", 5]
    assert reads["pid"].dtype == reads["value"].dtype == "int64"


def test_a_key_that_could_be_split_in_two_ways_stays_whole_in_every_row() -> None:
    script = "t { @[comm, str(args->path)] = count(); }"
    found = read(script, ("map", {"@": {"a,b,c": 1, "d,e": 2}}))["map"]

    assert found.to_dict("records") == [{"key": "a,b,c", "value": 1}, {"key": "d,e", "value": 2}]


def test_literal_keys_of_several_places_share_one_column() -> None:
    script = 'x { @b["read"] = count(); } y { @b["write"] = count(); }'
    found = read(script, ("map", {"@b": {"read": 1, "write": 2}}))["b"]

    assert found.to_dict("records") == [{"key": "read", "value": 1}, {"key": "write", "value": 2}]


def test_a_literal_in_one_place_is_a_value_of_the_column_that_another_names() -> None:
    script = 'x { @["k", 1] = count(); } y { @[comm, pid] = count(); }'
    found = read(script, ("map", {"@": {"k,1": 5, "sh,7": 6}}))["map"]

    assert found.to_dict("records") == [
        {"comm": "k", "pid": 1, "value": 5},
        {"comm": "sh", "pid": 7, "value": 6},
    ]


def test_literal_keys_of_statistics_and_histograms_share_columns_too() -> None:
    use = 't {{ @a["{0}", {1}] = avg(3); @h["{0}"] = hist(3); }}'
    script = use.format("x", 1) + use.format("y", 2)
    tables = read(
        script,
        ("stats", {"@a": {"x,1": 3, "y,2": 3}}),
        ("hist", {"@h": {n: [{"min": 2, "max": 3, "count": 1}] for n in "xy"}}),
    )

    assert tables["a"].columns.tolist() == ["key1", "key2", "average"]
    assert tables["a"]["key2"].tolist() == [1, 2]
    assert tables["h"]["key"].tolist() == ["x", "y"]


def test_text_that_looks_like_a_number_stays_text() -> None:
    script = 't { @a["y"] = "007"; @b[comm] = 1; @c[str(args->s)] = 1; }'
    tables = read(
        script,
        ("map", {"@a": {"y": "007"}}),
        ("map", {"@b": {"42": 1}}),
        ("map", {"@c": {"08": 1}}),
    )

    assert tables["a"]["value"].tolist() == ["007"]
    assert tables["b"]["comm"].tolist() == ["42"]
    assert tables["c"]["s"].tolist() == ["08"]


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


def test_counts_of_keys_that_print_alike_are_added_up() -> None:
    script = "t { @[ustack(1)] = count(); @t[usym(reg(0))] = 1; }"
    line = '{"type": "map", "data": {"@": {"\\nwork+1\\n": 5, "\\nwork+1\\n": 7, "\\nidle\\n": 1}}}'
    other = '{"type": "map", "data": {"@t": {"f": 3, "f": 4}}}'
    tables = raw(script, line, other).tables

    assert tables["map"].to_dict("records") == [
        {"user_stack": "work", "value": 12},
        {"user_stack": "idle", "value": 1},
    ]
    assert tables["t"]["value"].tolist() == [3, 4]  # not counts: both are kept


# --- values ---------------------------------------------------------------------------------------


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


def test_records_and_tuples_inside_values_are_columns_and_text() -> None:
    record = {"m": 2, "at": {"x": 1, "y": 2}}
    tables = read(
        "t { @r = $record; @t[1] = (0, $record, (4, 5)); }",
        ("map", {"@r": record}),
        ("map", {"@t": {"1": [0, record, [4, 5]]}}),
    )

    assert tables["r"].to_dict("records") == [{"m": 2, "at": "{ .x = 1, .y = 2 }"}]
    assert tables["t"].iloc[0].tolist() == [1, 0, "{ .m = 2, .at = { .x = 1, .y = 2 } }", "(4, 5)"]


def test_time_series_have_a_row_for_each_interval() -> None:
    series = [{"interval_start": f"1970-01-01 00:00:00.{n}00000000", "value": n} for n in (1, 2)]
    tables = read(
        't { @a["one"] = tseries(5, 100ms, 10); @b = tseries(5, 100ms, 10); }',
        ("tseries", {"@a": {"one": series}}),
        ("tseries", {"@b": series}),
    )

    assert tables["a"]["key"].tolist() == ["one", "one"]
    assert tables["b"]["value"].tolist() == [1, 2]
    assert tables["b"]["interval_start"].iloc[1].endswith(".200000000")


# --- readings -------------------------------------------------------------------------------------


def test_a_map_that_is_printed_and_cleared_has_every_reading_with_its_time() -> None:
    script = "t { @c = count(); } interval:s:1 { print(@c); clear(@c); }"
    found = read(script, ("map", {"@c": 5}), ("map", {"@c": 7}), ("map", {"@c": 7}))["c"]

    assert found["value"].tolist() == [5, 7, 7]
    assert found["time"].dt.second.tolist() == [1, 2, 3]


def test_marks_a_map_that_only_grows() -> None:
    script = "t { @c[comm]++; } interval:s:1 { print(@c); }"
    sent = [("map", {"@c": {"a": n}}) for n in (3, 8)]
    found = read(script, *sent, sent[-1])["c"]  # bpftrace prints it at its end, too

    assert found["value"].tolist() == [3, 8]
    assert readings.last(found)["value"].tolist() == [8]
    assert readings.increments(found)["value"].sum() == 8


# --- lines ----------------------------------------------------------------------------------------


def test_lines_of_one_format_become_rows() -> None:
    script = r't { printf("%d %-16s size=%5d 100%%\n", pid, comm, args->len); }'
    lines = read(script, ("printf", "12 a b              size=   42 100%\n"))["printf"]

    assert lines.to_dict("records") == [{"pid": 12, "comm": "a b", "size": 42}]


def test_a_value_that_is_read_from_a_map_is_named_after_it() -> None:
    script = r't { printf("%d %s\n", @fd[tid], str(@filename[tid])); }'
    lines = read(script, ("printf", "3 /etc/a\n"))["printf"]

    assert lines.to_dict("records") == [{"fd": 3, "filename": "/etc/a"}]


def test_banners_and_headers_are_no_rows() -> None:
    script = r"""
        BEGIN { printf("Tracing... Hit Ctrl-C to end.\n"); printf("%-6s %s\n", "PID", "COMM"); }
        t { printf("%-6d %s\n", pid, comm); }"""
    lines = read(
        script,
        ("printf", "Tracing... Hit Ctrl-C to end.\n"),
        ("printf", "PID    COMM\n"),
        ("printf", "7      sh\n"),
    )["printf"]

    assert lines.to_dict("records") == [{"pid": 7, "comm": "sh"}]


def test_a_map_and_a_banner_are_one_table() -> None:
    found = raw(
        r'BEGIN { printf("go\n"); } t { @ = count(); }',
        '{"type": "printf", "data": "go\\n"}',
        '{"type": "map", "data": {"@": 3}}',
    )

    assert list(found.tables) == ["map"]
    assert found.banners == ["go\n"]


def test_a_banner_without_a_newline_before_a_map_is_no_row() -> None:
    found = raw(
        r'END { printf("sizes:"); } t { @ = count(); }',
        '{"type": "printf", "data": "sizes:"}',
        '{"type": "map", "data": {"@": 3}}',
    )

    assert list(found.tables) == ["map"]


def test_lines_that_are_all_constant_are_kept_as_text() -> None:
    lines = read(r'BEGIN { printf("hello\n"); exit(); }', ("printf", "hello\n"))["printf"]

    assert lines["line"].tolist() == ["hello"]


def test_lines_of_several_formats_stay_text_in_their_order() -> None:
    script = r't { printf("%d\n", pid); } u { printf("u %d\n", pid); }'
    lines = read(script, ("printf", "7\n"), ("printf", "u 8\n"), ("printf", "9\n"))["printf"]

    assert lines["line"].tolist() == ["7", "u 8", "9"]


def test_reads_hexadecimal_as_numbers() -> None:
    script = r't { printf("%x|%08x|%d|%o\n", $i, $i, $i, $i); }'
    sent = [("printf", f"{n:x}|{n:08x}|{n}|{n:o}\n") for n in (16, 17, 255)]
    lines = read(script, *sent)["printf"]

    assert [lines[name].tolist() for name in lines.columns] == [[16, 17, 255]] * 4


def test_text_of_printf_that_looks_like_a_number_stays_text() -> None:
    script = r't { printf("%s %d\n", "007", 7); }'

    assert read(script, ("printf", "007 7\n"))["printf"].iloc[0].tolist() == ["007", 7]


def test_a_line_that_could_be_split_in_two_ways_keeps_all_as_lines() -> None:
    script = r't { printf("%s %s\n", comm, str(args->path)); }'
    lines = read(script, ("printf", "tmux: server /a/b\n"), ("printf", "sh /c\n"))["printf"]

    assert lines["line"].tolist() == ["tmux: server /a/b", "sh /c"]


@pytest.mark.parametrize("comm", ["sh", "tmux: server", "a-name-of-15-by"])
def test_a_width_separates_texts(comm: str) -> None:
    script = r't { printf("%-16s %s\n", comm, str(args->path)); }'
    lines = read(script, ("printf", f"{comm:<16} /a b/c\n"))["printf"]

    assert lines.to_dict("records") == [{"comm": comm, "path": "/a b/c"}]


def test_pieces_without_a_newline_are_one_line() -> None:
    script = r't { time("%H:%M "); printf("x=%d ", 1); printf("y=%d ", 2); join(args->argv); }'
    sent = [
        ("time", "07:49 "), ("printf", "x=1 "), ("printf", "y=2 "), ("join", "ls -l /"),
    ] * 2  # fmt: skip
    lines = read(script, *sent)["printf"]

    assert lines.to_dict("records") == [{"time": "07:49 ", "x": 1, "y": 2, "join": "ls -l /"}] * 2


def test_the_print_of_a_map_ends_the_line_before_it() -> None:
    script = 'interval:s:1 { time("%H:%M:%S rate: "); print(@c); clear(@c); }'
    tables = read(script, *[("time", "07:49:18 rate: "), ("map", {"@c": 5})] * 2)

    assert tables["printf"]["time"].tolist() == ["07:49:18 rate: "] * 2
    assert tables["c"]["value"].tolist() == [5, 5]


def test_printed_values_are_rows() -> None:
    values = [42, "text", [1, "two"]]
    mixed = read("BEGIN { print(42); }", *(("value", value) for value in values))["print"]
    numbers = read("BEGIN { print(42); }", ("value", 1), ("value", 2))["print"]
    tuples = read("BEGIN { print((1, 2)); }", ("value", [1, "a"]), ("value", [2, "b"]))["print"]

    assert mixed["value"].tolist() == ["42", "text", "(1, two)"]
    assert numbers["value"].tolist() == [1, 2]
    assert tuples.to_dict("records") == [
        {"value1": 1, "value2": "a"},
        {"value1": 2, "value2": "b"},
    ]


def test_values_among_lines_keep_their_place() -> None:
    script = r't { printf("%d\n", pid); print(5); cat("/x"); }'
    lines = read(script, ("printf", "7\n"), ("value", 5), ("cat", "a\n"))["printf"]

    assert lines["line"].tolist() == ["7", "5", "a"]


@pytest.mark.parametrize(
    ("literal", "printed"),
    [
        (r"\033[1m%d\n", "\x1b[1m7\n"),
        (r"\x41%d\n", "A7\n"),
        ("\t%d\\n", "\t7\n"),
        (r"\q%d\n", "q7\n"),
    ],
)
def test_escapes_of_a_format_are_read_as_c_has_them(literal: str, printed: str) -> None:
    script = f't {{ printf("{literal}", pid); }}'

    assert read(script, ("printf", printed))["printf"]["pid"].tolist() == [7]


def test_a_format_with_too_few_or_too_many_values_is_text() -> None:
    assert read(r't { printf("a", 1); }', ("printf", "a\n"))["printf"]["line"].tolist() == ["a"]
    assert read(r't { printf("%d%d\n"); }', ("printf", "12\n"))["printf"]["line"].tolist() == ["12"]


# --- text and JSON --------------------------------------------------------------------------------


def test_bytes_outside_ascii_are_utf8() -> None:
    line = r'{"type": "printf", "data": "caf\uffffffc3\uffffffa9 1\n"}'
    lines = raw(r't { printf("%s %d\n", str(args->s), 1); }', line).tables["printf"]

    assert lines.iloc[0].tolist() == ["café", 1]


@pytest.mark.parametrize("value", ["07:49:18", "/sys/fs/cgroup/unified:/a.slice"])
def test_values_that_bpftrace_does_not_quote_are_text(value: str) -> None:
    tables = raw(
        "t { @t[1] = x; }", f'{{"type": "map", "data": {{"@t": {{"1": {value}}}}}}}'
    ).tables

    assert tables["t"].to_dict("records") == [{"key": 1, "value": value}]


def test_lines_that_cannot_be_read_are_counted_and_named() -> None:
    found = raw(
        "", '{"type": "map", "data": {"@t": {"1": ', "garbage", '{"type": "new", "data": {}}'
    )

    assert found.warnings == [
        "1 lines of bpftrace's output about @t were not read",
        "1 lines of bpftrace's output were not read",
        "1 lines of bpftrace's output about 'new' were not read",
    ]


def test_lost_events_and_attached_probes_are_counted() -> None:
    lines = [
        json.dumps({"type": "attached_probes", "data": {"probes": 3}}),
        json.dumps({"type": "lost_events", "data": {"events": 5}}),
        json.dumps({"type": "lost_events", "data": {"events": 2}}),
    ]
    found = raw("", *lines)

    assert (found.attached, found.lost) == (3, 7)
