"""What a user may write for --function, --format and --when, and what the agent receives."""

from __future__ import annotations

import pytest
from unit.builders import requests

from kernelscope.agent.attach import hook_patterns
from kernelscope.errors import AttachError, ParameterError
from kernelscope.probe import call_format, catalogue, hook_selection
from kernelscope.protocol import hook_spec
from kernelscope.protocol.program import Hook, Program

KINDS = ("uprobe", "kprobe", "fentry", "tracepoint")


@pytest.mark.parametrize(
    ("text", "each"),
    [
        ("c:malloc", [("uprobe:c:malloc",)]),
        ("/usr/lib/x.so:f", [("uprobe:/usr/lib/x.so:f",)]),
        ("pid:42:f", [("uprobe:pid:42:f",)]),
        ("vfs_read", [("fentry:vfs_read", "kprobe:vfs_read")]),
        ("vfs_*", [("kprobe:vfs_*", "fentry:vfs_*")]),
        ("k:vfs_read", [("k:vfs_read",)]),
        ("t:a:b, c:f", [("t:a:b",), ("uprobe:c:f",)]),
    ],
)
def test_a_function_may_be_named_in_short(text: str, each: list[tuple[str, ...]]) -> None:
    assert list(hook_selection.read(text, KINDS).each) == each


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "names no function"),
        (" ", "names no function"),
        ("usdt:/x:y", "usdt hooks cannot be used here"),
    ],
)
def test_invalid_functions_are_an_error(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        hook_selection.read(text, KINDS)


@pytest.mark.parametrize("text", ["c:", "vfs-read", "kprobe:", "c:malloc,,c:free", "lib/x:f"])
def test_invalid_hooks_are_an_error(text: str) -> None:
    with pytest.raises(AttachError):
        hook_selection.read(text, KINDS)


def test_a_functions_return_is_the_hook_of_the_same_place() -> None:
    found = list(hook_selection.read("c:malloc,vfs_read", KINDS).returns("f"))

    assert found == [
        Hook("f", ("uretprobe:c:malloc",)),
        Hook("f", ("fexit:vfs_read", "kretprobe:vfs_read")),
    ]


def test_only_a_tracepoint_needs_the_fields_of_its_record() -> None:
    found = list(hook_selection.read("c:malloc,tracepoint:a:b", KINDS).entries("f", ["x"]))

    assert [hook.fields for hook in found] == [(), ("x",)]
    data = Program("cell", "int x;", hooks=tuple(found)).to_json()
    assert Program.from_json(data).hooks == tuple(found)


def test_the_entry_and_the_return_of_a_function_have_one_number() -> None:
    specs = ["uprobe:c:malloc", "uprobe:c:free", "uretprobe:c:malloc", "uprobe:x:free", "kprobe:f"]
    bindings = [(Hook("f", (spec,)), hook_spec.parse(spec)) for spec in specs]

    assert hook_patterns.numbers(bindings) == [0, 1, 0, 2, 3]
    assert hook_patterns.names(bindings) == {
        0: "malloc",
        1: "uprobe:c:free",
        2: "uprobe:x:free",
        3: "f",
    }


@pytest.mark.parametrize(
    ("spec", "is_pattern"),
    [
        ("kprobe:vfs_*", True),
        ("uprobe:c:mem?py", True),
        ("uprobe:/a*b/c:f", False),
        ("tracepoint:sched:*", True),
        ("fentry:vfs_read", False),
    ],
)
def test_a_pattern_uses_the_full_name_of_a_hook(spec: str, is_pattern: bool) -> None:
    assert hook_spec.is_pattern(spec) == is_pattern


def test_a_format_gives_each_value_its_source_and_conversion() -> None:
    form = call_format.read("path=%s flags=%#x size=%3$hu arg5=%d ret=%ld raw")

    assert [(item.name, item.source, item.kind) for item in form.items] == [
        ("path", 1, 7),
        ("flags", 2, 2),
        ("size", 3, 4),
        ("arg5", 5, 1),
        ("ret", 7, 0),
        ("raw", 5, 0),
    ]
    assert form.params("format")["format_returns"] == 1
    assert form.fields == ["path", "flags", "size", "arg5", "raw"]


def test_a_format_makes_columns_and_renames_taken_names() -> None:
    form = call_format.read("a=%s pid=%d b=%s c=%p d=%lu")

    assert [(c.name, c.kind, c.field) for c in form.columns(["pid"])] == [
        ("a", "text", "text0"),
        ("pid_arg", "integer", "number[1]"),
        ("b", "text", "text1"),
        ("c", "address", "unsigned_[3]"),
        ("d", "integer", "unsigned_[4]"),
    ]


@pytest.mark.parametrize("text", ["", "a=%", "a=%f", "1a=%d", "a=%0$d", "a=%7$d", "a==%d", "%d"])
def test_invalid_formats_are_an_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        call_format.read(text)


@pytest.mark.parametrize(
    ("text", "number"), [("ret<0", 0), ("ret >= -4096", -4096), ("ret&0x40", 64)]
)
def test_a_condition_compares_one_of_the_formats_numbers(text: str, number: int) -> None:
    found = call_format.condition(text)

    assert found.params("when", call_format.read("path=%s ret=%d"))["when_number"] == number
    assert found.params("when", call_format.read("path=%s ret=%d"))["when_value"] == 2


@pytest.mark.parametrize("text", ["ret", "ret<", "ret<x", "ret=<0", "<0", "ret<1e400", "a<9" * 9])
def test_invalid_conditions_are_an_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        call_format.condition(text)


def test_a_probe_attaches_to_a_return_only_on_request() -> None:
    trace = catalogue.find("trace")
    without = requests.of_probe(trace, {"function": "c:open", "format": "path=%s"})
    with_it = requests.of_probe(trace, {"function": "c:open", "format": "path=%s ret=%d"})

    assert [hook.any_of[0] for hook in without.program.hooks] == ["uprobe:c:open"]
    assert [hook.any_of[0] for hook in with_it.program.hooks] == [
        "uprobe:c:open",
        "uretprobe:c:open",
    ]
    assert [c.name for c in with_it.tables[0].columns][-3:] == ["truncated", "path", "ret"]
    assert with_it.parameters == {"function": "c:open", "format": "path=%s ret=%d"}


def test_a_tracepoint_has_no_return() -> None:
    with pytest.raises(ParameterError, match="tracepoint:a:b has no return"):
        requests.of_probe(
            catalogue.find("trace"), {"function": "tracepoint:a:b", "format": "ret=%d"}
        )


def test_the_table_follows_from_the_parameters() -> None:
    argdist = catalogue.find("argdist")

    def tables(**given: str) -> list[str]:
        asked = requests.of_probe(argdist, {"function": "c:f", **given})
        assert list(asked.program.tables) == [table.map for table in asked.tables]
        return [table.name for table in asked.tables]

    assert tables() == ["histogram"]
    assert tables(show="values") == ["values"]
    assert tables(value="name=%1$s") == ["texts"]
