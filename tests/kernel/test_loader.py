"""Maps made at the size asked for, and refusals put into words."""

from __future__ import annotations

import pytest
from kernel.agent_python import ask

from kernelscope.errors import RunError, VerifierError

pytestmark = pytest.mark.kernel

HASH, RING, PERF = 1, 27, 4


def test_a_refused_program_comes_with_the_verifiers_words() -> None:
    with pytest.raises(VerifierError, match="R8 !read_ok") as caught:
        ask("attach_cases", "refused_program")
    assert caught.value.details["function"] == "count"
    assert "R8 !read_ok" in caught.value.details["log"]


def test_hashes_without_a_size_and_small_rings_take_the_programs_size() -> None:
    maps = [
        {"name": "free", "type": HASH, "max_entries": 10240, "sized": False},
        {"name": "stated", "type": HASH, "max_entries": 101, "sized": True},
        {"name": "small", "type": RING, "key_size": 0, "value_size": 0, "max_entries": 4096},
        {"name": "large", "type": RING, "key_size": 0, "value_size": 0, "max_entries": 1 << 20},
    ]
    made = ask("attach_cases", "made_maps", maps=maps, ring_bytes=65536, max_entries=499)
    assert made == {"free": 499, "stated": 101, "small": 65536, "large": 1 << 20}


def test_a_map_that_memory_cannot_hold_is_named_with_its_size() -> None:
    maps = [{"name": "huge", "max_entries": 1 << 30, "value_size": 4096}]
    with pytest.raises(RunError, match=r"'huge' of about 4,402,341,478,400 bytes") as caught:
        ask("attach_cases", "made_maps", maps=maps)
    assert caught.value.hint
