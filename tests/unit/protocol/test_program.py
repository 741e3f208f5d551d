"""The protocol's gate: what a Program may hold, and how frames survive a stream."""

from __future__ import annotations

import json
import socket
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernelscope.errors import AgentDiedError, AgentRefusedError
from kernelscope.protocol.frames import FrameReader, encode_header, send_frame
from kernelscope.protocol.layout import Field, Layout
from kernelscope.protocol.program import MAX_SOURCE, Filters, Hook, Program

PROGRAM = Program(
    name="reads",
    source="int x;",
    defines={"MIN": "3"},
    hooks=(Hook("on_malloc", ("uprobe:c:malloc",)),),
    params={"min_ns": 1000},
    filters=Filters(pid=1, comm="dd", uid=0),
    exclude=(7,),
    tables=("counts",),
    duration_ns=5,
)


def test_program_survives_json() -> None:
    assert Program.from_json(json.loads(json.dumps(PROGRAM.to_json()))) == PROGRAM


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"name": "a b"}, "program.name"),
        ({"name": 3}, "program.name"),
        ({"source": "a\0b"}, "program.source"),
        ({"source": "x" * (MAX_SOURCE + 1)}, "program.source"),
        ({"source": None}, "program.source"),
        ({"shell": "rm"}, "program.shell"),
        ({"defines": {"A B": "1"}}, "program.defines"),
        ({"defines": {"A": "1\n#include"}}, "program.defines.A"),
        ({"defines": []}, "program.defines"),
        ({"params": {"min_ns": "1"}}, "program.params.min_ns"),
        ({"params": {"min_ns": 2**64}}, "program.params.min_ns"),
        ({"params": {"min_ns": True}}, "program.params.min_ns"),
        ({"hooks": [{"function": "f"}]}, "hook.any_of"),
        ({"hooks": [{"function": "f;", "any_of": ["a:b"]}]}, "hook.function"),
        ({"hooks": [{"function": "f", "any_of": ["a\nb"]}]}, "hook.any_of"),
        ({"hooks": ["f"]}, "hook"),
        ({"hooks": "f"}, "program.hooks"),
        ({"filters": {"pid": -1}}, "filters.pid"),
        ({"filters": {"comm": "x" * 16}}, "filters.comm"),
        ({"filters": {"gid": 1}}, "filters.gid"),
        ({"filters": {"tree": 0}}, "filters.tree"),
        ({"filters": {"tree": "1"}}, "filters.tree"),
        ({"filters": {"tree": 1, "tree_cell": 1}}, "filters.tree_cell"),
        ({"filters": {"tree": 1, "tree_in_code": "yes"}}, "filters.tree_in_code"),
        ({"exclude": [-1]}, "program.exclude"),
        ({"duration_ns": -1}, "program.duration_ns"),
        ({"duration_ns": 1.5}, "program.duration_ns"),
        ({"ring_bytes": 5000}, "program.ring_bytes"),
        ({"spool_bytes": 1}, "program.spool_bytes"),
        ({"max_entries": 0}, "program.max_entries"),
        ({"per_cpu": 1}, "program.per_cpu"),
        ({"target_pid": 0}, "program.target_pid"),
        ({"name": "caf\u00e9"}, "program.name"),
        ({"tables": "counts"}, "program.tables"),
        ({"tables": ["a b"]}, "program.tables"),
        ({"tables": [3]}, "program.tables"),
        ({"enums": ["a b"]}, "program.enums"),
    ],
)
def test_bad_program_is_refused_with_the_field(change: dict[str, Any], field: str) -> None:
    with pytest.raises(AgentRefusedError) as refused:
        Program.from_json({**PROGRAM.to_json(), **change})
    assert refused.value.details["field"] == field


def test_text_that_is_not_unicode_is_refused() -> None:
    data = Program("test", "int x; // \udc80").to_json()
    with pytest.raises(AgentRefusedError, match=r"source: not valid Unicode: .* at 10"):
        Program.from_json(data)


@pytest.mark.parametrize("data", [None, 3, [], "x", {"name": "x"}])
def test_other_values_are_refused(data: Any) -> None:
    with pytest.raises(AgentRefusedError):
        Program.from_json(data)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)


@given(st.sampled_from(sorted(Program.__dataclass_fields__)), json_values)
def test_any_json_is_a_program_or_refused(field: str, value: Any) -> None:
    try:
        program = Program.from_json({**PROGRAM.to_json(), field: value})
    except AgentRefusedError:
        return
    assert Program.from_json(program.to_json()) == program


def test_layout_survives_json() -> None:
    layout = Layout(
        "counts",
        "percpu_hash",
        key=(Field("pid", "u32", 0, 4),),
        value=(Field("flags", "u32", 0, 4, bit_offset=3, bits=5),),
        key_size=4,
        value_size=8,
        cpus=2,
    )
    assert Layout.from_json(json.loads(json.dumps(layout.to_json()))) == layout


def test_frames_arrive_as_they_were_sent() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        send_frame(ours, {"type": "batch", "table": "t"}, b"\n\0{" * 1000)
        send_frame(ours, {"type": "end"})
        ours.shutdown(socket.SHUT_WR)
        reader = FrameReader(theirs)
        first, second, third = reader.read(), reader.read(), reader.read()
    assert first is not None
    assert first.header == {"type": "batch", "table": "t"}
    assert bytes(first.payload) == b"\n\0{" * 1000
    assert second is not None
    assert (second.type, bytes(second.payload)) == ("end", b"")
    assert third is None


@pytest.mark.parametrize(
    "sent", [b'{"type":"x"', encode_header({"type": "x"}, 10) + b"123"], ids=["line", "payload"]
)
def test_stream_that_ends_inside_a_frame_is_an_error(sent: bytes) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.sendall(sent)
        ours.shutdown(socket.SHUT_WR)
        with pytest.raises(AgentDiedError):
            FrameReader(theirs).read()


@pytest.mark.parametrize(
    "line", [b"not json\n", b"3\n", b'{"bytes":-1}\n', b'{"bytes":1e9}\n', b"[" * 200_000 + b"\n"]
)
def test_line_that_is_no_frame_is_refused(line: bytes) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.sendall(line)
        with pytest.raises(AgentRefusedError):
            FrameReader(theirs).read()
