"""memleak follows the malloc that a process calls, whatever file contains it."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import kernelscope
from kernelscope.errors import TargetError

pytestmark = [
    pytest.mark.kernel,
    pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc is not installed"),
]

PIECES = 11
LEAKS = f"""
#include <stdio.h>
#include <stdlib.h>
void *volatile kept;
int main(void) {{
    puts("ready"); fflush(stdout); getchar();
    for (int i = 0; i < {PIECES}; i++) kept = malloc(5003);
    puts("done"); fflush(stdout); getchar();
    return 0;
}}
"""
ALLOCATOR = """
#include <stddef.h>
static char pool[1 << 20];
static size_t at;
void *malloc(size_t n) { void *p = pool + at; at += (n + 15) & ~15UL; return p; }
void *calloc(size_t a, size_t b) { return malloc(a * b); }
void *realloc(void *p, size_t n) { return malloc(n); }
void free(void *p) { }
"""


def build(path: Path, text: str, *options: str) -> Path:
    path.with_suffix(".c").write_text(text)
    command = ["gcc", "-O1", *options, "-o", str(path), str(path.with_suffix(".c"))]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip(f"gcc cannot build with {' '.join(options)}")
    return path


@contextmanager
def running(program: Path, **environment: str) -> Iterator[subprocess.Popen[str]]:
    """Yield the process, which waits before it allocates and before it ends."""
    with subprocess.Popen(
        [program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield process
        process.kill()


def pieces(process: subprocess.Popen[str]) -> Any:
    assert process.stdin is not None
    assert process.stdout is not None
    with kernelscope.start("memleak", duration=60, pid=process.pid, min_size=5003) as run:
        process.stdin.write("\n")
        process.stdin.flush()
        assert process.stdout.readline() == "done\n"
        run.stop()
        return run.result()["pieces"]


def test_memleak_follows_the_malloc_of_a_static_program(tmp_path: Path) -> None:
    with running(build(tmp_path / "static", LEAKS, "-static")) as process:
        assert pieces(process)["size_bytes"].tolist() == [5003] * PIECES


def test_memleak_follows_an_allocator_that_is_loaded_before_the_c_library(tmp_path: Path) -> None:
    library = build(tmp_path / "libown.so", ALLOCATOR, "-shared", "-fPIC")
    with running(build(tmp_path / "shared", LEAKS), LD_PRELOAD=str(library)) as process:
        assert pieces(process)["size_bytes"].tolist() == [5003] * PIECES


def test_memleak_follows_the_c_library_of_other_programs(tmp_path: Path) -> None:
    with running(build(tmp_path / "shared", LEAKS)) as process:
        assert pieces(process)["size_bytes"].tolist() == [5003] * PIECES


def test_memleak_reports_a_process_without_a_malloc_that_can_be_found(tmp_path: Path) -> None:
    stripped = build(tmp_path / "stripped", LEAKS, "-static", "-s")
    with running(stripped) as process, pytest.raises(TargetError, match="no file that process"):
        kernelscope.run("memleak", duration=1, pid=process.pid)
