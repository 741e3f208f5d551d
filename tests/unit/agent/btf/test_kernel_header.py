from __future__ import annotations

import platform

import pytest
from unit.builders.btf_blob import Blob

from kernelscope.agent.btf.kernel_header import HeaderMaker, Helpers, Macros

HELPERS = """
#define BPF_HASH(name) BPF_TABLE("hash", name, BPF_F_NO_PREALLOC)
#define BPF_F_TABLE(t) t
static long (*bpf_new)(void) = (void *) BPF_FUNC_new;
static long (*bpf_old)(void) = (void *) BPF_FUNC_old;
struct bpf_stacktrace { int x; };
"""


@pytest.fixture(scope="module")
def maker() -> HeaderMaker:
    blob = Blob()
    word = blob.integer("unsigned int", 4)
    blob.typedef("u32", word)
    blob.typedef("unused_t", word)
    blob.record("task_struct", 16, [("pid", word, 64, 0), ("tgid", word, 96, 0)])
    blob.record("dentry", 4, [("d_iname", word, 0, 0)])
    blob.enum("bpf_func_id", {"BPF_FUNC_old": 1})
    blob.enum("", {"TCP_CLOSE": 7})
    return HeaderMaker(blob.read(), Macros.load("x86_64"), Helpers.parse(HELPERS))


def test_contains_only_what_the_program_names(maker: HeaderMaker) -> None:
    text = maker.lean("int f(struct task_struct *t) { return t->pid; }")
    assert "unsigned int pid;" in text
    assert "tgid" not in text
    assert "unused_t" not in text


def test_ignores_names_in_comments_and_strings(maker: HeaderMaker) -> None:
    assert "tgid" not in maker.lean('struct task_struct *t; // tgid\nchar *s = "tgid";')


def test_macros_include_what_they_mention(maker: HeaderMaker) -> None:
    text = maker.lean("int f(u32 d) { return MAJOR(d) + S_ISREG(d); }")
    for name in ("MAJOR", "MINORBITS", "S_ISREG", "S_IFMT", "S_IFREG"):
        assert f"#define {name}" in text


def test_does_not_redefine_the_programs_macro(maker: HeaderMaker) -> None:
    assert "#define ETH_P_IP " not in maker.lean("#define ETH_P_IP 5\nint x = ETH_P_IP;")


def test_does_not_redefine_the_programs_type(maker: HeaderMaker) -> None:
    text = maker.lean("struct task_struct { int mine; };\ntypedef int unused_t;")
    assert "struct task_struct {" not in text
    assert "unused_t" not in text


def test_an_enumerator_includes_its_enum(maker: HeaderMaker) -> None:
    assert "TCP_CLOSE = 7" in maker.lean("int f(int s) { return s == TCP_CLOSE; }")


def test_a_variable_named_like_an_enumerator_does_not(maker: HeaderMaker) -> None:
    assert "TCP_CLOSE = 7" not in maker.lean("int f(void *c) { int TCP_CLOSE = 1; return 0; }")


def test_defines_helpers_that_the_kernel_lacks_so_that_they_are_refused(maker: HeaderMaker) -> None:
    text = maker.lean("")
    assert "BPF_FUNC_old = 1" in text
    assert "#define BPF_FUNC_new 2147483647" in text
    assert "#define BPF_F_TABLE" not in text


def test_a_real_member_wins_over_an_alias(maker: HeaderMaker) -> None:
    assert "#define d_iname" not in maker.lean("int f(struct dentry *d) { return d->d_iname; }")


def test_leaves_out_numbers_of_another_architecture() -> None:
    here, other = Macros.load("x86_64"), Macros.load("riscv64")
    assert here.lines["O_DIRECT"] == "#define O_DIRECT 16384\n"
    assert "O_DIRECT" not in other.lines
    assert other.lines["ETH_P_IP"] == here.lines["ETH_P_IP"]


@pytest.mark.skipif(platform.machine() != "x86_64", reason="compares with x86-64's own numbers")
def test_numbers_match_the_operating_systems() -> None:
    import errno
    import os
    import signal
    import stat

    lines = Macros.load().lines
    for name, value in {
        "EPERM": errno.EPERM,
        "ETIMEDOUT": errno.ETIMEDOUT,
        "O_CREAT": os.O_CREAT,
        "SIGKILL": int(signal.SIGKILL),
        "S_IFDIR": stat.S_IFDIR,
        "CLONE_NEWNS": os.CLONE_NEWNS if hasattr(os, "CLONE_NEWNS") else 0x20000,
    }.items():
        assert lines[name] == f"#define {name} {value}\n"


def test_undefines_macros_of_the_full_header_that_the_program_declares(maker: HeaderMaker) -> None:
    assert maker.undefined("struct e { u16 sk_family; }; int f(void) { return min(1, 2); }") == (
        "#undef sk_family\n"
    )
