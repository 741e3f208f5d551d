"""A run whose agent ended before it answered is served by a new agent, once."""

from __future__ import annotations

import pytest
from unit.builders.fake_agent import FakeChannel, attached, receipt

from kernelscope.errors import AgentDiedError
from kernelscope.tracing.second_try import SecondTry

DIED = AgentDiedError("it stopped before the end of the run")


def test_run_is_tried_again_if_its_agent_ended_without_an_answer() -> None:
    again = FakeChannel([attached(), receipt()])
    run = SecondTry(FakeChannel([], error=DIED), lambda: True, lambda: again)
    assert [frame.type for frame in run.frames()] == ["attached", "receipt"]


@pytest.mark.parametrize("answered", [True, False])
def test_does_not_retry_a_run_that_was_answered(answered: bool) -> None:
    first = FakeChannel([attached()] if answered else [], error=DIED)
    run = SecondTry(first, lambda: answered, lambda: pytest.fail("tried again"))
    with pytest.raises(AgentDiedError):
        list(run.frames())


def test_run_that_was_stopped_is_not_tried_again() -> None:
    run = SecondTry(FakeChannel([], error=DIED), lambda: True, lambda: pytest.fail("tried again"))
    run.stop()
    with pytest.raises(AgentDiedError):
        list(run.frames())
