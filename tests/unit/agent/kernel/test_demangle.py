from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernelscope.agent.kernel.demangle import demangle


@pytest.mark.parametrize(
    ("symbol", "source"),
    [
        ("_ZN4shop4Till5pauseEi", "shop::Till::pause(int)"),
        ("main", "main"),
        ("_Znonsense", "_Znonsense"),
        ("_Rnonsense", "_Rnonsense"),
    ],
)
def test_demangles_cpp_names_and_keeps_others(symbol: str, source: str) -> None:
    assert demangle(symbol) == source


@pytest.mark.parametrize(
    ("symbol", "source"),
    [
        (
            "_ZN3std2rt10lang_start28_$u7b$$u7b$closure$u7d$$u7d$17hb804172ce814f419E",
            "std::rt::lang_start::{{closure}}",
        ),
        (
            "_ZN51_$LT$prog..job..Work$u20$as$u20$prog..job..Burn$GT$4burn17h0123456789abcdefE",
            "<prog::job::Work as prog::job::Burn>::burn",
        ),
    ],
)
def test_demangles_rusts_legacy_names(symbol: str, source: str) -> None:
    assert demangle(symbol) == source


# Examples of RFC 2603, and others of the same forms.
@pytest.mark.parametrize(
    ("symbol", "source"),
    [
        ("_RNvNtCs1234_7mycrate3foo3bar", "mycrate::foo::bar"),
        ("_RNCNvCsgStHSCytQ6I_7mycrate4main0B3_", "mycrate::main::{closure#0}"),
        ("_RINvNtC3std3mem8align_ofjE", "std::mem::align_of::<usize>"),
        (
            "_RNvXs_C7mycrateNtB4_7ExampleNtB4_5Trait3foo",
            "<mycrate::Example as mycrate::Trait>::foo",
        ),
        ("_RINvC7mycrate3fooKj7b_E", "mycrate::foo::<123>"),
        ("_RNvCs_7mycrateu9_bcher_kva6", "mycrate::bücher"),
        ("_RINvC1a1bFKCmEuE", 'a::b::<extern "C" fn(u32)>'),
        ("_RNvC7mycrate3foo.llvm.1234", "mycrate::foo"),
    ],
)
def test_demangles_rusts_v0_names(symbol: str, source: str) -> None:
    assert demangle(symbol) == source


@given(st.text(alphabet="NCIBMXYKsu_0123456789abEGD", max_size=60))
def test_no_name_is_an_error(text: str) -> None:
    assert isinstance(demangle(f"_R{text}"), str)
    assert isinstance(demangle(f"_ZN{text}"), str)


def test_a_name_that_refers_to_itself_ends() -> None:
    assert demangle("_RNvB_1a") == "_RNvB_1a"


def test_a_name_that_doubles_with_every_reference_ends() -> None:
    name = "_RIC1a" + "".join(f"TB{digit}_B{digit}_E" for digit in "0123456789abcdef" * 4) + "E"
    began = time.monotonic()
    assert isinstance(demangle(name), str)
    assert time.monotonic() - began < 5
