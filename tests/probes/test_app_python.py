"""The probes of bpf/app that follow Python, each under a known load."""

from __future__ import annotations

from pathlib import Path

import pytest
from probes.checking import one, traced

from kernelscope.agent.kernel.elf import ElfFile
from kernelscope.errors import AttachError
from kernelscope.tracing import session
from workloads.probes import started

PYTHON = "/usr/bin/python3"


def markers() -> set[str]:
    """Return the markers of the distribution's Python."""
    if not Path(PYTHON).exists():
        return set()
    with ElfFile(PYTHON) as elf:
        return {note.name for note in elf.usdt_notes()}


pytestmark = [
    pytest.mark.kernel,
    pytest.mark.skipif(
        not {"function__return", "gc__start"} <= markers(),
        reason=f"{PYTHON} was built without USDT markers",
    ),
]


def test_pythonflow_counts_the_returns_of_every_function() -> None:
    with started("python_functions") as load:
        functions, facts = traced("pythonflow", load, comm="ks-python")

    functions = functions[(functions["pid"] == facts["pid"]) & (functions["file"] == "<string>")]
    assert one(functions, function="branch")["count"] == 101
    assert one(functions, function="leaf")["count"] == 303


def test_pythonflow_shows_each_return_with_its_line() -> None:
    with started("python_functions") as load:
        returns, facts = traced("pythonflow", load, show="returns", comm="ks-python")

    returns = returns[
        (returns["pid"] == facts["pid"]) & returns["function"].isin(["leaf", "branch"])
    ]
    assert returns["function"].tolist() == ["leaf", "leaf", "leaf", "branch"] * 101
    assert set(returns.loc[returns["function"] == "leaf", "line"]) == {5}
    assert returns["time"].is_monotonic_increasing


def test_pythonflow_reports_an_interpreter_without_markers() -> None:
    with pytest.raises(AttachError, match="/bin/true has no USDT probe 'function__return'"):
        session.run("pythonflow", python="/bin/true", duration=0.1)


def test_pythongc_shows_every_collection_as_the_program_saw_it() -> None:
    with started("python_collections") as load:
        collections, facts = traced("pythongc", load, comm="ks-python")

    seen = [(info["generation"], info["collected"]) for info in facts["seen"]]
    assert len(seen) == 23
    shown = collections[collections["pid"] == facts["pid"]]
    pairs = list(zip(shown["generation"], shown["collected"], strict=True))
    starts = [i for i in range(len(pairs)) if pairs[i : i + 23] == seen]
    assert len(starts) == 1
    assert (shown["duration_us"] > 0).all()


def test_pythongc_leaves_out_short_collections() -> None:
    with started("python_collections") as load:
        collections, facts = traced("pythongc", load, comm="ks-python", min_us=1_000_000)

    assert facts["pid"] not in set(collections["pid"])
