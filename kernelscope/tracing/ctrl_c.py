"""What Ctrl-C does to a run: the first ends it and keeps the data, a second drops the data."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from kernelscope.tracing.stream import Stream


def end_early(
    streams: Sequence[Stream],
    stop: Callable[[], None],
    wait: Callable[[], object],
    close: Callable[[], None],
) -> None:
    """Stop the run and wait for the last data; a second Ctrl-C closes it and is raised."""
    for stream in streams:
        stream.interrupted = True
    stop()
    try:
        wait()
    except KeyboardInterrupt:
        close()
        raise


@contextmanager
def stop_on_ctrl_c(streams: Sequence[Stream]) -> Iterator[None]:
    """Have Ctrl-C stop the runs, so that the last rows still arrive; a second one interrupts."""

    def stop(_number: int, _frame: Any) -> None:
        if any(stream.interrupted for stream in streams):
            raise KeyboardInterrupt
        for stream in streams:
            stream.interrupted = True
            # In a thread: a handler may interrupt the very code whose lock `stop` takes.
            threading.Thread(target=stream.stop, daemon=True).start()

    before = signal.signal(signal.SIGINT, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
