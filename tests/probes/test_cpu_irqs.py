"""The probes of bpf/cpu that count interrupts, compared with the kernel's own counts."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from probes import checking
from probes.checking import IN_GUEST, in_one_of_four

import kernelscope
from workloads.probes import Load, started

pytestmark = pytest.mark.kernel

Counts = dict[str, int]
# Some virtual machines hide the tasks of their own supervisor from tracing, and with them the
# interrupts that arrive while these run; a busy one does so in every run.
HIDDEN = 0.0 if IN_GUEST else 0.05


def softirqs() -> Counts:
    """Return how many soft interrupts of each kind there were, on all CPUs."""
    lines = Path("/proc/softirqs").read_text().splitlines()[1:]
    words = [line.split() for line in lines]
    return {name.rstrip(":").lower(): sum(map(int, counts)) for name, *counts in words}


def interrupts() -> Counts:
    """Return the interrupts of each device that shares its number with no other."""
    found = {}
    for line in Path("/proc/interrupts").read_text().splitlines()[1:]:
        match = re.match(r"\s*(\d+):((?:\s+\d+)+)\s+\S.*", line)
        if match and "," not in line:
            found[match[1]] = sum(map(int, match[2].split()))
    return found


def bracketed(
    probe: str, load: Load, count: Callable[[], Counts], **options: Any
) -> tuple[Any, Counts, Counts]:
    """Trace a load; return the tables, and the lowest and highest count of the kernel meanwhile.

    Interrupts arrive at any time: the lower bound covers the time in which the probe certainly ran,
    the upper bound the time in which it may have run.
    """
    first = count()
    with kernelscope.start(probe, duration=60, **options) as run:
        second = count()
        load.go()
        third = count()
    tables = run.result()
    last = count()
    checking.measurements.append(checking.measurement(run.receipt, tables))
    assert run.lost == {}
    least = {name: third[name] - second.get(name, 0) for name in third}
    most = {name: last[name] - first.get(name, 0) for name in last}
    return tables, least, most


@pytest.mark.parametrize("by", ["softirq", "cpu"])
@in_one_of_four
def test_softirqs_counts_what_the_kernel_counts(by: str) -> None:
    with started("datagrams_to_itself") as load:
        tables, least, most = bracketed("softirqs", load, softirqs, by=by)

    table = tables["softirqs"]
    counted = table.groupby("softirq")["count"].sum().to_dict()
    assert set(counted) <= set(most)
    for name, events in most.items():
        assert least[name] * (1 - HIDDEN) <= counted.get(name, 0) <= events, name
    assert counted["net_rx"] >= 211 * (1 - HIDDEN)
    assert ("cpu" in table) == (by == "cpu")
    assert (table["max_us"] <= table["total_us"]).all()
    spread = tables["latency"].groupby("softirq")["count"].sum().to_dict()
    assert spread == counted


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Make a file of 1 MiB that can be read without the page cache."""
    path = tmp_path / "file"
    path.write_bytes(bytes(1 << 20))
    try:
        os.close(os.open(path, os.O_RDONLY | os.O_DIRECT))
    except OSError:
        pytest.skip("the files are in memory: no device interrupts when they are read")
    return path


@in_one_of_four
def test_hardirqs_counts_what_the_kernel_counts(file: Path) -> None:
    with started("direct_reads", str(file)) as load:
        tables, least, most = bracketed("hardirqs", load, interrupts)

    table = tables["hardirqs"]
    counted = table.groupby("irq")["count"].sum().to_dict()
    if not any(least.values()) and not counted:
        pytest.skip("no device interrupted: the files are on no disk")
    for number, events in most.items():
        assert least[number] * (1 - HIDDEN) <= counted.get(int(number), 0) <= events, number
    text = Path("/proc/interrupts").read_text()
    assert all(name in text for name in table["device"])
    assert (table["max_us"] <= table["total_us"]).all()
    assert tables["latency"]["count"].sum() == table["count"].sum()


def test_hardirqs_counts_by_cpu(file: Path) -> None:
    with started("direct_reads", str(file)) as load:
        tables, _, _ = bracketed("hardirqs", load, interrupts, by="cpu")

    table = tables["hardirqs"]
    assert table.columns.tolist()[:3] == ["irq", "device", "cpu"]
    assert not table.duplicated(["irq", "device", "cpu"]).any()
