"""Functions are hooked by the names that stacks show, and by versions."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from kernelscope.errors import AttachError
from kernelscope.tracing.session import Session

pytestmark = [
    pytest.mark.kernel,
    pytest.mark.skipif(shutil.which("g++") is None, reason="g++ is not installed"),
]

SOURCE = """
#include <unistd.h>
namespace app { struct Worker {
    __attribute__((noinline)) void step(int n) { asm volatile("" :: "r"(n)); }
    __attribute__((noinline)) void step(char *n, int k) { asm volatile("" :: "r"(n), "r"(k)); }
    __attribute__((noinline)) void rest() { asm volatile(""); }
}; }
int main() {
    app::Worker w; char c = 0;
    for (int i = 0; i < 53; i++) w.step(i);
    for (int i = 0; i < 31; i++) w.step(&c, i);
    for (int i = 0; i < 7; i++) w.rest();
}
"""


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cpp")
    source = folder / "prog.cpp"
    source.write_text(SOURCE)
    subprocess.run(["g++", "-O1", "-o", folder / "prog", source], check=True)
    return folder / "prog"


@pytest.mark.parametrize(
    ("name", "calls"),
    [
        ("app::Worker::step(int)", 53),
        ("app::Worker::step(char*, int)", 31),
        ("app::Worker::rest", 7),
    ],
)
def test_counts_calls_of_a_cpp_function(program: Path, name: str, calls: int) -> None:
    with Session() as session, session.start("funccount", function=f"{program}:{name}") as run:
        subprocess.run([program], check=True)
        run.stop()
        assert run.result()["count"].sum() == calls


def test_an_ambiguous_name_is_refused_with_the_mangled_ones(program: Path) -> None:
    with Session() as session, pytest.raises(AttachError, match="2 functions called") as caught:
        session.run("funccount", function=f"{program}:app::Worker::step", duration=1)
    assert "_ZN3app6Worker4stepEi" in (caught.value.hint or "")


@pytest.mark.skipif(shutil.which("objcopy") is None, reason="objcopy is not installed")
def test_a_stripped_programs_function_is_found_by_its_debug_link(
    program: Path, tmp_path: Path
) -> None:
    stripped = tmp_path / "prog"
    shutil.copy(program, stripped)
    command = (
        "objcopy --only-keep-debug prog prog.debug && strip prog"
        " && objcopy --add-gnu-debuglink=prog.debug prog"
    )
    subprocess.run(command, shell=True, check=True, cwd=tmp_path)
    hook = f"{stripped}:app::Worker::rest"
    with Session() as session, session.start("funccount", function=hook) as run:
        subprocess.run([stripped], check=True)
        run.stop()
        assert run.result()["count"].sum() == 7
