"""When the next frame is drawn: at the requested rate, within a CPU budget and the page's pace."""

from __future__ import annotations

from collections import deque

CPU_SHARE = 0.3
GROUP = 5  # frames acknowledged together: a message back for each would be too many
_UNANSWERED = 2  # groups sent and not yet acknowledged
_PATIENCE_S = 2.0
_RATE_S = 3.0


class FramePacer:
    """Decides when to draw; it drops frames, never events. Times are in seconds of one clock."""

    def __init__(self, wanted: float = 10.0, share: float = CPU_SHARE) -> None:
        self.wanted = wanted
        self.share = share
        self.frames = 0
        self.dropped = 0
        self.seen_at: float | None = None
        self._beats = 0
        self._answered = 0
        self._next = 0.0
        self._drawn_at: deque[float] = deque()

    @property
    def group(self) -> int:
        """The number that the page sends back when it has received this frame."""
        return self.frames // GROUP + self._beats

    def seconds_left(self, now: float) -> float:
        """Return the seconds until the next frame is due."""
        return max(0.0, self._next - now)

    def allows(self, now: float) -> bool:
        """Return whether to draw the frame that is due; count it as dropped if not."""
        if self._is_behind(now):
            self.dropped += 1
            self._next = now + 1 / self.wanted
            return False
        return True

    def drawn(self, start: float, now: float, cpu_s: float) -> None:
        """Record a frame: when it was started and sent, and its CPU time."""
        self.frames += 1
        period = max(1 / self.wanted, cpu_s / self.share)
        late = start - self._next
        if late >= period:  # something else took the time: count from here
            self.dropped += int(late * self.wanted) if self._drawn_at else 0
            self._next = start
        self._next += period
        self._drawn_at.append(now)

    def skipped(self, now: float) -> None:
        """Record a frame that was not sent, because nothing in it changed."""
        self._drawn_at.append(now)
        self._next = now + 1 / self.wanted

    def beat(self) -> None:
        """Ask the page for an answer without a frame."""
        self._beats += 1

    def answered(self, group: int, now: float) -> None:
        """Record that the page has received a group's frames."""
        self._answered = max(self._answered, group)
        self.seen_at = now

    def rate(self, now: float) -> float:
        """Return the frames per second of the last three seconds."""
        while self._drawn_at and self._drawn_at[0] < now - _RATE_S:
            self._drawn_at.popleft()
        if len(self._drawn_at) < 2:
            return 0.0
        return (len(self._drawn_at) - 1) / max(self._drawn_at[-1] - self._drawn_at[0], 1e-9)

    def _is_behind(self, now: float) -> bool:
        """Return whether the page, which answered before, is late; after a while, try again."""
        if self.seen_at is None or self.group - self._answered <= _UNANSWERED:
            return False
        last = self._drawn_at[-1] if self._drawn_at else 0.0
        return now - max(last, self.seen_at) < _PATIENCE_S
