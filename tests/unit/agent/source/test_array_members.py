from __future__ import annotations

from kernelscope.agent.source.array_members import array_members
from kernelscope.protocol.c_tokens import scan


def test_finds_arrays_of_arrays_in_structs() -> None:
    tokens = scan(
        "struct e { u32 pid; char argv[N][16]; u32 flat[3]; struct { int g[2][2]; } inner; };\n"
        "typedef struct { u16 q[2][2][2]; } t_t;\n"
        "int f(void) { struct local { u32 m[2][2]; } l; u32 grid[3][3]; }\n"
    )
    found = [(m.owner, m.struct, m.member) for m in array_members(tokens, {})]
    assert found == [("struct e", "e", "argv"), ("t_t", "", "q")]


def test_finds_them_in_the_definitions_of_records() -> None:
    (member,) = array_members([], {"ks_type_ev": "struct { u32 a ; char n [ 4 ] [ 8 ] ; }"})
    assert member.element == "typeof(((ks_type_ev *)0)->n[0])"
