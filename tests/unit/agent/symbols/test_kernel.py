from __future__ import annotations

from pathlib import Path

import pytest

from kernelscope.agent.symbols.kernel import KernelSymbols

KALLSYMS = """\
ffffffff81000000 T _text
ffffffff81000100 t do_one
ffffffff81000100 T __alias_of_one
ffffffff81000200 D some_data
ffffffff81000300 W weak_one
ffffffffc0002000 t ext_write\t[ext4]
ffffffffc0001000 t bpf_prog_5f_on_read\t[bpf]
0000000000000000 A fixed_percpu_data
"""


@pytest.fixture
def symbols(tmp_path: Path) -> KernelSymbols:
    path = tmp_path / "kallsyms"
    path.write_text(KALLSYMS)
    return KernelSymbols(path)


@pytest.mark.parametrize(
    ("address", "frame"),
    [
        (0xFFFFFFFF81000105, ("do_one", 5, "[kernel]")),
        (0xFFFFFFFF81000100, ("do_one", 0, "[kernel]")),
        (0xFFFFFFFF81000210, ("do_one", 0x110, "[kernel]")),  # data is no function
        (0xFFFFFFFF81000301, ("weak_one", 1, "[kernel]")),
        (0xFFFFFFFFC0002004, ("ext_write", 4, "[ext4]")),
        (0xFFFFFFFFC0001004, ("bpf_prog_5f_on_read", 4, "[bpf]")),
        (0xFFFFFFFF80FFFFFF, ("", 0xFFFFFFFF80FFFFFF, "")),
        (0xFFFFFFFFF0000000, ("", 0xFFFFFFFFF0000000, "")),
    ],
)
def test_a_kernel_address_belongs_to_the_function_before_it(
    symbols: KernelSymbols, address: int, frame: tuple[str, int, str]
) -> None:
    assert symbols.resolve(address) == frame


def test_a_kernel_that_hides_its_addresses_has_no_names(tmp_path: Path) -> None:
    path = tmp_path / "kallsyms"
    path.write_text("0000000000000000 T _text\n0000000000000000 t do_one\n")
    assert KernelSymbols(path).resolve(0xFFFFFFFF81000000) == ("", 0xFFFFFFFF81000000, "")
    assert KernelSymbols(tmp_path / "none").resolve(1 << 63) == ("", 1 << 63, "")
