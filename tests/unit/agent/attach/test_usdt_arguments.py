"""The C that reads a USDT probe's arguments, from what the assembler wrote down about them."""

from __future__ import annotations

import pytest

from kernelscope.agent.attach import usdt_arguments
from kernelscope.agent.attach.usdt_arguments import Argument, arguments
from kernelscope.agent.kernel.elf import UsdtNote
from kernelscope.errors import AttachError


@pytest.mark.parametrize(
    ("text", "argument"),
    [
        ("8@%rdi", Argument(8, "ctx->di")),
        ("-4@%eax", Argument(-4, "ctx->ax")),
        ("2@%r10w", Argument(2, "ctx->r10")),
        ("-1@%sil", Argument(-1, "ctx->si")),
        ("1@%cl", Argument(1, "ctx->cx")),
        ("4@$-7", Argument(4, "-7")),
        ("8@$0x1f", Argument(8, "31")),
        ("-4@112(%rsp)", Argument(-4, place="ctx->sp + (112)")),
        ("8@(%rbx)", Argument(8, place="ctx->bx + (0)")),
        ("8@-8(%r12,%rax,4)", Argument(8, place="ctx->r12 + (-8) + ctx->ax * 4")),
        ("8@(%rax,%rbx)", Argument(8, place="ctx->ax + (0) + ctx->bx * 1")),
        ("4@counter(%rip)", None),
        ("8@16(%rip)", None),
        ("1@%ah", None),
        ("8@%xmm0", None),
    ],
)
def test_x86_operands(text: str, argument: Argument | None) -> None:
    assert arguments(text, "x86_64") == [argument]


@pytest.mark.parametrize(
    ("text", "argument"),
    [
        ("8@x0", Argument(8, "ctx->regs[0]")),
        ("-4@w30", Argument(-4, "ctx->regs[30]")),
        ("8@sp", Argument(8, "ctx->sp")),
        ("4@5", Argument(4, "5")),
        ("-4@[sp, 60]", Argument(-4, place="ctx->sp + (60)")),
        ("8@[x19]", Argument(8, place="ctx->regs[19] + (0)")),
        ("8@[x1, -16]", Argument(8, place="ctx->regs[1] + (-16)")),
        ("8@x31", None),
        ("8@[x1, x2]", None),
    ],
)
def test_arm_operands(text: str, argument: Argument | None) -> None:
    assert arguments(text, "aarch64") == [argument]


def test_arguments_with_spaces_are_separated() -> None:
    assert len(arguments("8@x0 -4@[sp, 60] 4@5", "aarch64")) == 3
    assert len(arguments("8@%rbp 8@%r12 -4@%eax", "x86_64")) == 3
    assert arguments("") == []


def at(offset: int, text: str) -> UsdtNote:
    return UsdtNote("shop", "sold", offset, 0, text)


def test_sign_is_extended_and_memory_is_read_safely() -> None:
    assert Argument(-4, "ctx->ax").reading() == "value = (s32)(ctx->ax);"
    assert Argument(-2, place="ctx->sp + (8)").reading() == (
        "{ s16 read = 0; place = ctx->sp + (8);"
        " bpf_probe_read_user(&read, sizeof(read), (void *)place); value = read; }"
    )


def test_each_argument_has_a_reader_with_bccs_name() -> None:
    text = usdt_arguments.arguments_text("on_sold", [at(0x1040, "4@5 4@6")])
    assert text.count("_bpf_readarg_on_sold_1(") == 1
    assert text.count("_bpf_readarg_on_sold_2(") == 1
    assert "case 0x40: value = (u32)(5); break;" in text


def test_places_differ_by_their_offset_in_a_page() -> None:
    text = usdt_arguments.arguments_text("f", [at(0x1040, "4@5"), at(0x2080, "4@6")])
    assert "case 0x40: value = (u32)(5); break;" in text
    assert "case 0x80: value = (u32)(6); break;" in text


def test_equal_places_may_have_the_same_offset() -> None:
    places = [at(0x1040, "4@5"), at(0x2040, "4@5")]
    assert usdt_arguments.arguments_text("f", places).count("case") == 1


def test_indistinguishable_places_are_refused() -> None:
    with pytest.raises(AttachError, match="two of its places keep it differently"):
        usdt_arguments.arguments_text("f", [at(0x1040, "4@5"), at(0x2040, "4@6")])


def test_unreadable_argument_does_not_affect_the_others() -> None:
    text = usdt_arguments.arguments_text("f", [at(0x1040, "8@%xmm0 4@5")])
    assert "_bpf_readarg_f_1(" not in text
    assert "_bpf_readarg_f_2(" in text
