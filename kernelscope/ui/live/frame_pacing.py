"""When the next frame is drawn: as often as asked, as the processor's share and the page allow."""

from __future__ import annotations

from collections import deque

CPU_SHARE = 0.3
GROUP = 5  # frames that are acknowledged together: one message back for each would be a flood
_UNANSWERED = 2  # groups that may be under way
_PATIENCE_S = 2.0
_RATE_S = 3.0


class Pace:
    """Decides on frames; an event is never its business. Times are in seconds of one clock."""

    def __init__(self, wanted: float = 10.0, share: float = CPU_SHARE) -> None:
        self.wanted = wanted
        self.share = share
        self.frames = 0
        self.dropped = 0
        self.seen_at: float | None = None
        self._answered = 0
        self._next = 0.0
        self._drawn: deque[float] = deque()

    @property
    def group(self) -> int:
        """The number that the page sends back when it has got this frame."""
        return self.frames // GROUP

    def wait(self, now: float) -> float:
        """Return the seconds until the next frame is due."""
        return max(0.0, self._next - now)

    def allows(self, now: float) -> bool:
        """Return whether to draw the frame that is due; counts it as dropped where not."""
        if self._is_behind(now):
            self.dropped += 1
            self._next = now + 1 / self.wanted
            return False
        return True

    def drew(self, begun: float, now: float, cpu_s: float) -> None:
        """Take note of a frame: when it was begun and sent, and what it cost."""
        self.frames += 1
        period = max(1 / self.wanted, cpu_s / self.share)
        late = begun - self._next
        if late >= period:  # something else took the time: begin the beat anew
            self.dropped += int(late * self.wanted) if self._drawn else 0
            self._next = begun
        self._next += period
        self._drawn.append(now)

    def rest(self, now: float) -> None:
        """Take note that there was nothing to draw."""
        self._next = now + 1 / self.wanted

    def answered(self, group: int, now: float) -> None:
        """Take note that the page has got a group's frames."""
        self._answered = max(self._answered, group)
        self.seen_at = now

    def reached(self, now: float) -> float:
        """Return the frames a second of late."""
        while self._drawn and self._drawn[0] < now - _RATE_S:
            self._drawn.popleft()
        if len(self._drawn) < 2:
            return 0.0
        return (len(self._drawn) - 1) / max(self._drawn[-1] - self._drawn[0], 1e-9)

    def _is_behind(self, now: float) -> bool:
        """A page that answered before and now does not is slow; after a while, try once more."""
        if self.seen_at is None or self.group - self._answered <= _UNANSWERED:
            return False
        last = self._drawn[-1] if self._drawn else 0.0
        return now - max(last, self.seen_at) < _PATIENCE_S
