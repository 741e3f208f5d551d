"""A run's stream that a new agent serves if the first agent ended before it answered."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

from kernelscope.errors import AgentDiedError
from kernelscope.protocol.frames import Frame
from kernelscope.tracing.stream import Source


class SecondTry:
    """The stream of `first`; of `again()` if that one's agent ended without a frame.

    agent_ended: whether the agent that serves `first` has ended. A run's process that dies by
    itself is not tried again: its program may be the reason.
    """

    def __init__(
        self, first: Source, agent_ended: Callable[[], bool], again: Callable[[], Source]
    ) -> None:
        self._source = first
        self._agent_ended = agent_ended
        self._again = again
        self._lock = threading.Lock()
        self._asked = False  # to stop, start or close: what the second run would not know

    def frames(self) -> Iterator[Frame]:
        """Yield frames up to the end; raises the run's error."""
        answered = False
        try:
            for frame in self._source.frames():
                answered = True
                yield frame
            return
        except AgentDiedError:
            with self._lock:
                if answered or self._asked or not self._agent_ended():
                    raise
                self._source.close()
                self._source = self._again()
        yield from self._source.frames()

    def _ask(self) -> Source:
        with self._lock:
            self._asked = True
            return self._source

    def stop(self) -> None:
        """Ask the run to end."""
        self._ask().stop()

    def start(self) -> None:
        """Attach a run that waits for its group."""
        self._ask().start()

    def until(self, at_ns: int) -> None:
        """End the run at that moment of the monotonic clock."""
        self._ask().until(at_ns)

    def snapshot(self) -> None:
        """Ask for a reading of the maps."""
        self._ask().snapshot()

    def close(self) -> None:
        """Drop the run."""
        self._ask().close()
