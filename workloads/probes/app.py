"""Known loads for the probes of bpf/app."""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

libc = ctypes.CDLL(None)


def library_calls() -> dict[str, Any]:
    """1009 calls of libc's abs, 211 of labs, 101 of llabs; 53 getppid, 7 getpgid; 5 sleeps."""
    for _ in range(1009):
        libc.abs(-7)
    for _ in range(211):
        libc.labs(-7)
    for _ in range(101):
        libc.llabs(-7)
    for _ in range(53):
        os.getppid()
    for _ in range(7):
        os.getpgid(0)
    for _ in range(5):
        time.sleep(0.001)
    return {}


def timed_calls() -> dict[str, Any]:
    """13 calls of usleep of 10 ms, with the time that they took; 211 of labs."""
    spent = []
    for _ in range(13):
        begun = time.perf_counter()
        libc.usleep(10_000)
        spent.append(time.perf_counter() - begun)
    for _ in range(211):
        libc.labs(-7)
    return {"total_us": sum(spent) * 1e6, "longest_us": max(spent) * 1e6}


def nested_calls() -> dict[str, Any]:
    """7 calls of qsort, each but the last within the one before, with 5 ms of sleep in each."""
    compare = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)
    array = (ctypes.c_int * 2)(2, 1)
    calls = 0

    def sort(depth: int) -> int:
        nonlocal calls
        calls += 1
        libc.qsort(array, 2, 4, compare(lambda *_: _deeper(depth)))
        return 0

    def _deeper(depth: int) -> int:
        time.sleep(0.005)
        return sort(depth - 1) if depth > 1 else 0

    sort(7)
    return {"calls": calls}


def files_by_libc() -> dict[str, Any]:
    """12 files opened by libc's open64, 5 that do not exist; arguments and result of each."""
    asked = []
    with tempfile.TemporaryDirectory() as folder:
        for number in range(17):
            name = f"{number}{'x' * 20 * number}"[:200]
            path = f"{folder}/{'missing/' if number % 3 == 2 else ''}{name}"
            flags = os.O_CREAT | os.O_RDWR if number % 2 else os.O_CREAT | os.O_WRONLY
            asked.append((path, flags, libc.open64(path.encode(), flags, 0o600)))
    return {"asked": asked}


def threads_named() -> dict[str, Any]:
    """Name this thread 7 times; run one program 3 times."""
    first = Path("/proc/self/comm").read_text().strip()
    names = [f"named-{number}" for number in range(7)]
    for name in names:
        Path("/proc/self/comm").write_text(name)
    program = shutil.which("true") or "/bin/true"
    for _ in range(3):
        subprocess.run([program], check=True)
    return {"first": first, "names": names, "program": program}


def memory_by_libc() -> dict[str, Any]:
    """307 malloc, 101 calloc and 53 realloc of libc's, of known sizes."""
    for name in ("malloc", "calloc", "realloc"):
        getattr(libc, name).restype = ctypes.c_void_p
    sizes = [1 << 20 | number for number in range(307)]
    held = [libc.malloc(ctypes.c_size_t(size)) for size in sizes]
    held += [libc.calloc(ctypes.c_size_t(1021), ctypes.c_size_t(3001)) for _ in range(101)]
    for number in range(53):
        held[number] = libc.realloc(ctypes.c_void_p(held[number]), ctypes.c_size_t(5_000_011))
    for address in held:
        libc.free(ctypes.c_void_p(address))
    return {"malloc": sizes, "calloc": 1021 * 3001, "realloc": 5_000_011}


# Run by the distribution's Python: the one that runs the loads may lack the markers.
PYTHON = "/usr/bin/python3"

FUNCTIONS = """
import os
with open("/proc/self/comm", "w") as name: name.write("ks-python")
def leaf():
    return os.getppid()
def branch():
    for _ in range(3): leaf()
for _ in range(101): branch()
print(os.getpid())
"""

COLLECTIONS = """
import gc, json, os
with open("/proc/self/comm", "w") as name: name.write("ks-python")
gc.disable()
gc.collect()
class Node: pass
seen = []
gc.callbacks.append(lambda phase, info: seen.append(info) if phase == "stop" else None)
for number in range(23):
    for _ in range(3):
        node = Node()
        node.itself = node
    del node
    gc.collect(number % 3)
print(json.dumps({"pid": os.getpid(), "seen": seen}))
"""


def python_functions() -> dict[str, Any]:
    """101 calls of branch, which calls leaf 3 times."""
    return {"pid": _by_python(FUNCTIONS)}


def python_collections() -> dict[str, Any]:
    """23 garbage collections of generations 0, 1, 2 in turn."""
    facts: dict[str, Any] = _by_python(COLLECTIONS)
    return facts


def _by_python(program: str) -> Any:
    run = subprocess.run([PYTHON, "-I", "-c", program], capture_output=True, text=True, check=True)
    return json.loads(run.stdout)
