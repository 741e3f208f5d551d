from __future__ import annotations

import shutil
import subprocess

import pytest
from unit.builders.btf_blob import Blob

from kernelscope.agent.btf import types as btf
from kernelscope.agent.btf.c_writer import Emitter, literal


@pytest.fixture
def blob() -> Blob:
    made = Blob()
    byte = made.integer("unsigned char", 1)
    word = made.integer("unsigned int", 4)
    wide = made.integer("unsigned long", 8)
    made.typedef("u32", word)
    inner = made.record("inner", 8, [("a", word, 0, 0), ("b", word, 32, 0)])
    anonymous = made.record("", 4, [("in_union", word, 0, 0), ("byte", byte, 0, 0)], btf.UNION)
    made.record(
        "outer",
        48,
        [
            ("first", byte, 0, 0),
            ("flags", word, 32, 3),
            ("mode", word, 35, 9),
            ("nested", inner, 64, 0),
            ("", anonymous, 128, 0),
            ("next", made.pointer(made.count + 3), 192, 0),
            ("last", wide, 320, 0),
        ],
    )
    made.enum("color", {"RED": 0, "BLUE": -2})
    made.function("vfs_read", [("file", made.pointer(inner))], word)
    made.typedef("btf_trace_sched_switch", made.pointer(0))
    return made


def lean(types: btf.Btf, name: str, *members: str) -> str:
    emitter = Emitter(types, members.__contains__)
    emitter.define(types.find(name))
    return "".join(emitter.out)


def test_finds_a_struct_and_its_members_offsets(blob: Blob) -> None:
    types = blob.read()
    (outer,) = types.find("outer", btf.STRUCT)
    members = {m.name: (m.bit_offset, m.bits) for m in types.members(outer)}
    assert types.sizeof(outer) == 48
    assert members["mode"] == (35, 9)
    assert members["last"] == (320, 0)


def test_enumerators_keep_their_signs(blob: Blob) -> None:
    types = blob.read()
    assert types.enumerators(types.index.enumerators["BLUE"]) == [("RED", 0), ("BLUE", -2)]


def test_an_index_round_trips(blob: Blob) -> None:
    types = blob.read()
    again = btf.Btf(types.data, btf.Index.load(types.index.dump()))
    assert again.index == types.index
    assert again.find("outer") == types.find("outer")


@pytest.mark.parametrize("damaged", [b"", b"\0", b"i\1\0\0\0"])
def test_refuses_a_damaged_index(damaged: bytes) -> None:
    with pytest.raises(ValueError, match=r"not a BTF index|unmarshal|unpack|bad marshal"):
        btf.Index.load(damaged)


@pytest.mark.parametrize("data", [b"", b"\x9f\xeb", b"x" * 64])
def test_refuses_data_that_is_not_btf(data: bytes) -> None:
    with pytest.raises(ValueError, match="not"):
        btf.Btf(data)


def test_refuses_an_unknown_kind_of_type(blob: Blob) -> None:
    blob.add(31, "novelty", 4)
    with pytest.raises(ValueError, match="newer"):
        blob.read()


def test_unnamed_members_become_padding(blob: Blob) -> None:
    text = lean(blob.read(), "outer", "last")
    assert "last" in text
    assert "nested" not in text
    assert "char __pad" in text


def test_does_not_redefine_a_tag_of_the_program(blob: Blob) -> None:
    types = blob.read()
    emitter = Emitter(types, lambda _: True, taken=["inner"])
    emitter.define(types.find("inner"))
    assert "struct inner___2 {" in "".join(emitter.out)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (-5, "-5"),
        (0xFFFFFFFF, "4294967295U"),
        (1 << 40, "1099511627776LL"),
        ((1 << 64) - 1, "18446744073709551615ULL"),
        (-(1 << 63), "(-9223372036854775807LL-1)"),
    ],
)
def test_constants_have_a_type_that_holds_them(value: int, text: str) -> None:
    assert literal(value) == text


@pytest.mark.skipif(shutil.which("clang") is None, reason="clang is not installed")
@pytest.mark.parametrize(
    "members",
    [("last",), ("mode",), ("nested", "b"), ("in_union", "flags"), ("first", "next", "a")],
)
def test_clang_confirms_every_written_offset(blob: Blob, members: tuple[str, ...]) -> None:
    types = blob.read()
    (outer,) = types.find("outer", btf.STRUCT)
    checks = [f'_Static_assert(sizeof(struct outer) == {types.sizeof(outer)}, "size");']
    checks += [
        f'_Static_assert(__builtin_offsetof(struct outer, {m.name}) == {m.bit_offset // 8}, "");'
        for m in types.members(outer)
        if m.name in members and not m.bits
    ]
    text = lean(types, "outer", *members) + "\n".join(checks)
    command = ["clang", "-x", "c", "-fsyntax-only", "-"]
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr + text
