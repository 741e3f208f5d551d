# ruff: noqa: E501  descriptions are quoted as BCC writes them
from __future__ import annotations

import pytest

from kernelscope.agent.compile.bcc_layouts import fields_of
from kernelscope.protocol.layout import Field

# Descriptions as bcc 0.26 gave them.
INNER = '["in_t", [["port","unsigned short"], ["__pad_1","char",[2]], ["addr","unsigned int"] ], "struct_packed"]'


def places(description: str, size: int) -> dict[str, tuple[int, int]]:
    return {f.name: (f.offset, f.size) for f in fields_of(description, size, "value")}


def test_a_scalar_has_the_given_name() -> None:
    assert fields_of('"unsigned int"', 4, "key") == (Field("key", "u32", 0, 4),)


def test_recognizes_a_typedef_of_an_array_by_its_size() -> None:
    assert fields_of('"char"', 16, "key") == (Field("key", "char", 0, 16, count=16),)


def test_hides_padding() -> None:
    assert places(INNER, 8) == {"port": (0, 2), "addr": (4, 4)}


def test_nested_structs_have_dotted_names_and_arrays_indexes() -> None:
    description = f'["d", [["at",{INNER}], ["path",{INNER}, [2]], ["", [["z","int"] ], "struct_packed"] ], "struct_packed"]'
    assert places(description, 28) == {
        "at.port": (0, 2),
        "at.addr": (4, 4),
        "path[0].port": (8, 2),
        "path[0].addr": (12, 4),
        "path[1].port": (16, 2),
        "path[1].addr": (20, 4),
        "z": (24, 4),
    }


def test_members_of_a_union_share_an_offset() -> None:
    description = '["d", [["u",["", [["l","unsigned long long"], ["b","unsigned char",[4]] ], "union"]] ], "struct_packed"]'
    assert places(description, 8) == {"u.l": (0, 8), "u.b": (0, 4)}


def test_bit_fields_have_a_container_and_a_bit_offset() -> None:
    description = '["ok", [["a","unsigned char", 3], ["b","unsigned char", 6], ["c","unsigned int", 20], ["z","unsigned long long"] ], "struct"]'
    found = {f.name: (f.offset, f.bit_offset, f.bits) for f in fields_of(description, 16, "value")}
    assert found == {"a": (0, 0, 3), "b": (1, 0, 6), "c": (4, 0, 20), "z": (8, 0, 0)}


def test_recognizes_a_packed_struct_with_bit_fields_by_its_size() -> None:
    description = '["pk", [["a","unsigned char"], ["b","unsigned int", 5], ["c","unsigned int", 20], ["d","unsigned long long"] ], "struct"]'
    found = {f.name: (f.offset, f.bit_offset, f.bits) for f in fields_of(description, 13, "value")}
    assert found == {"a": (0, 0, 0), "b": (1, 0, 5), "c": (1, 5, 20), "d": (5, 0, 0)}


def test_a_flexible_char_array_ends_a_record() -> None:
    description = '["flex", [["n","unsigned int"], ["t","char"] ], "struct_packed"]'
    assert fields_of(description, 4, "value")[-1] == Field("t", "char", 4, 0, count=0)


def test_a_kernel_struct_without_named_members_is_bytes() -> None:
    description = '["v", [["a",["in6_addr", [["__pad8","char", [16]] ], "struct_packed"]], ["x","unsigned int"] ], "struct_packed"]'
    assert fields_of(description, 20, "value")[0] == Field("a", "u8", 0, 16, count=16)


@pytest.mark.parametrize(
    ("description", "size"),
    [
        ("", 8),
        ("{}", 8),
        ('"no such type"', 4),
        (INNER, 12),
        ('["d", [["names","char", [2]] ], "struct_packed"]', 8),
        ('["d", [["a","int"], ["a","int"] ], "struct_packed"]', 8),
    ],
)
def test_a_description_that_does_not_fit_gives_raw_bytes(description: str, size: int) -> None:
    assert fields_of(description, size, "value") == (Field("value", "u8", 0, size, count=size),)


def test_does_not_trust_bit_fields_beside_arrays_of_arrays() -> None:
    description = '["d", [["names","char", [2]], ["f","int", 3] ], "struct"]'
    assert len(fields_of(description, 4, "value")) == 2
    assert len(fields_of(description, 4, "value", arrays=None)) == 1


def test_places_arrays_of_arrays_by_the_size_of_their_elements() -> None:
    description = '["e", [["pid","unsigned int"], ["argv","char", [2]], ["m","unsigned int", [2]] ], "struct_packed"]'
    sizes = {("e", "argv"): 16, ("e", "m"): 12}
    found = fields_of(description, 60, "value", arrays=sizes)
    assert [(f.name, f.type, f.offset, f.count) for f in found] == [
        ("pid", "u32", 0, 1),
        ("argv[0]", "char", 4, 16),
        ("argv[1]", "char", 20, 16),
        ("m[0]", "u32", 36, 3),
        ("m[1]", "u32", 48, 3),
    ]
