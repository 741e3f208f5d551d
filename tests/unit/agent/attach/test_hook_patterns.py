"""The hooks that a pattern matches, and the fields of a tracepoint's record."""

from __future__ import annotations

from pathlib import Path

import pytest

from kernelscope.agent.attach import hook_patterns, tracepoint_fields
from kernelscope.agent.attach.kinds.kernel_view import KernelView
from kernelscope.errors import AttachError
from kernelscope.protocol import hook_spec
from kernelscope.protocol.program import Hook

FORMAT = """name: renamed
ID: 1
format:
\tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;

\tfield:pid_t pid;\toffset:8;\tsize:4;\tsigned:1;
\tfield:char name[16];\toffset:12;\tsize:16;\tsigned:0;
\tfield:__data_loc char[] path;\toffset:28;\tsize:4;\tsigned:0;
\tfield:const char * text;\toffset:32;\tsize:8;\tsigned:0;

print fmt: "pid=%d", REC->pid
"""
SIGNED, INLINE, ELSEWHERE = 1 << 32, 1 << 33, 1 << 34  # as ks_field of kernelscope.h reads them


@pytest.fixture
def tracefs(tmp_path: Path) -> Path:
    for name in ("renamed", "removed"):
        (tmp_path / "events" / "task" / name).mkdir(parents=True)
        (tmp_path / "events" / "task" / name / "format").write_text(FORMAT)
        (tmp_path / "events" / "task" / name / "id").write_text("1\n")
    return tmp_path


def test_field_has_its_place_and_type(tracefs: Path) -> None:
    hook = hook_spec.parse("tracepoint:task:renamed")

    assert tracepoint_fields.params(["path", "pid", "name", "text"], hook, tracefs) == {
        "hook_field_0": 28 | 4 << 16 | ELSEWHERE,
        "hook_field_1": 8 | 4 << 16 | SIGNED,
        "hook_field_2": 12 | 16 << 16 | INLINE,
        "hook_field_3": 32 | 8 << 16,
    }


def test_missing_field_lists_the_existing_ones(tracefs: Path) -> None:
    with pytest.raises(AttachError, match="no field 'nmae'") as caught:
        tracepoint_fields.params(["nmae"], hook_spec.parse("tracepoint:task:renamed"), tracefs)

    assert caught.value.details["matches"] == ["name"]
    assert "It has pid, name, path, text." in str(caught.value)


def test_each_hook_of_a_pattern_has_its_number_and_fields(tracefs: Path) -> None:
    view = KernelView(tracefs)
    wanted = [Hook("f", ("tracepoint:task:re*",), fields=("pid",)), Hook("g", ("uprobe:c:malloc",))]
    bindings = hook_patterns.resolve(wanted, view)
    own = hook_patterns.own_params(bindings, tracefs)

    specs = [parsed.spec for _, parsed in bindings]
    assert specs == ["uprobe:c:malloc", "tracepoint:task:removed", "tracepoint:task:renamed"]
    assert [values["hook_number"] for values in own] == [0, 1, 2]
    assert [values["hook_context"] for values in own] == [0, 2, 2]
    assert ["hook_field_0" in values for values in own] == [False, True, True]


def test_function_with_several_names_is_found_once_by_the_plainest() -> None:
    found = hook_patterns.resolve([Hook("f", ("uprobe:c:*malloc",))], KernelView(None))

    addresses = [parsed.address for _, parsed in found]
    assert len(set(addresses)) == len(addresses)
    names = [parsed.name for _, parsed in found]
    assert "malloc" in names
    assert "__libc_malloc" not in names


@pytest.mark.parametrize("spec", ["tracepoint:task:nothing*", "uprobe:c:no_such_name*"])
def test_pattern_without_matches_is_refused_unless_optional(spec: str, tracefs: Path) -> None:
    assert hook_patterns.resolve([Hook("f", (spec,), optional=True)], KernelView(tracefs)) == []
    with pytest.raises(AttachError, match="matches no hooks"):
        hook_patterns.resolve([Hook("f", (spec,))], KernelView(tracefs))
