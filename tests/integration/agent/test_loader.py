"""What the kernel refuses to load, put into words."""

from __future__ import annotations

import pytest
from integration.support.agent_python import ask

from kernelscope.errors import RunError, VerifierError

pytestmark = pytest.mark.kernel


def test_program_loads_in_a_process_that_is_stopped_and_continued() -> None:
    assert ask("attach_cases", "load_while_stopped", loads=307) == []


def test_refused_program_quotes_the_verifier() -> None:
    with pytest.raises(VerifierError, match="R8 !read_ok") as caught:
        ask("attach_cases", "refused_program")
    assert caught.value.details["function"] == "count"
    assert "R8 !read_ok" in caught.value.details["log"]


def test_map_too_large_for_memory_is_named_with_its_size() -> None:
    maps = [{"name": "huge", "max_entries": 1 << 30, "value_size": 4096}]
    with pytest.raises(RunError, match=r"'huge' of about 4,402,341,478,400 bytes") as caught:
        ask("attach_cases", "made_maps", maps=maps)
    assert caught.value.hint
