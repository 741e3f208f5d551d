"""Every probe starts on this kernel or is refused with a reason. tests/probes checks the counts."""

from __future__ import annotations

from collections.abc import Callable

import pytest

import kernelscope
from kernelscope.probe import catalogue

Note = Callable[[str, object], None]


@pytest.mark.parametrize("name", catalogue.names())
def test_starts(name: str, record_property: Note) -> None:
    with kernelscope.start(name, duration=60, **catalogue.find(name).needed()) as run:
        pass
    hooks = sorted({hook.partition("=")[0] for hook in run.receipt["hooks"]})
    record_property("started", {"probe": name, "hooks": hooks})
    assert hooks
