"""Each kind of loss has a reason in the warning, and advice where something helps."""

from __future__ import annotations

from typing import Any

import pytest

from kernelscope.protocol.losses import Loss
from kernelscope.tracing import losses


def receipt(*, events: int | None = 90, ring_bytes: int = 16 << 20, **lost: int) -> dict[str, Any]:
    return {"name": "opensnoop", "lost": lost, "events": events, "ring_bytes": ring_bytes}


@pytest.mark.parametrize("kind", Loss)
def test_every_kind_has_a_reason_in_words(kind: Loss) -> None:
    found = losses.loss(receipt(**{kind.value: 7}))

    assert found is not None
    assert not found[0].endswith(f": {kind.value}")


def test_rows_beyond_max_rows_are_no_loss() -> None:
    assert losses.loss({**receipt(dropped_rows=231), "max_rows": 5}) is None
    found = losses.loss({**receipt(dropped_rows=231, ring_full=10), "max_rows": 5})
    assert found is not None
    assert "lost 10 of 100 events" in found[0]


def test_explains_a_full_perf_buffer_like_a_full_ring() -> None:
    found = losses.loss(receipt(perf_full=10))

    assert found == (
        "opensnoop lost 10 of 100 events (10 %): the perf buffer was full",
        "--ring 64M holds more of a burst; --pid, --comm or counting in the C help",
    )


def test_a_cause_of_a_later_version_is_reported_by_its_name() -> None:
    assert losses.loss(receipt(moon_phase=3)) == (
        "opensnoop lost 3 of 93 events (3.23 %): moon_phase",
        "",
    )


def test_several_causes_are_counted_apart() -> None:
    found = losses.loss(receipt(ring_full=4, map_full=6))

    assert found is not None
    assert found[0].endswith("4 because the ring buffer was full, 6 because a map was full")
    assert found[1].startswith("use a larger map")


def test_rows_without_a_stack_are_not_lost_rows() -> None:
    found = losses.loss(receipt(ring_full=10, stack_slots=3))

    assert found is not None
    assert found[0] == (
        "opensnoop lost 10 of 100 events (10 %): the ring buffer was full; "
        "3 rows have no stack: another stack had taken the slot"
    )


def test_only_stacks_lost_is_no_lost_event() -> None:
    assert losses.loss_message(receipt(stack_slots=3)) == (
        "3 rows have no stack: another stack had taken the slot; "
        "use more slots: --max-entries 65536"
    )


def test_nothing_lost_is_no_message() -> None:
    assert losses.loss_message(receipt(ring_full=0)) is None
