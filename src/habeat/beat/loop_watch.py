"""Whether the loop makes progress, as another thread of the process sees it.

The loop shows progress by beginning a tick, and by each answer to a fenced request. If it
does neither for `HANGS_AFTER_MS`, something that it called does not return: a receiver of a signal,
a Task subclass, a broker that does not answer. A process that was stopped or suspended as a whole
does not hang: the watching thread was stopped as well.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, replace

HANGS_AFTER_MS = 5_000
#: If this thread itself was away for longer, the process was suspended.
SUSPENDED_MS = 3_000


@dataclass(frozen=True, slots=True)
class LoopWatch:
    """What was seen last: `mark` changes whenever the loop makes progress."""

    mark: Hashable = None
    since_ms: int = 0
    looked_ms: int = 0

    def after(self, now_ms: int, mark: Hashable) -> LoopWatch:
        """What is known after one more look; instants are of the monotonic clock."""
        if mark != self.mark:
            return LoopWatch(mark, now_ms, now_ms)
        if now_ms - self.looked_ms > SUSPENDED_MS:
            return replace(self, since_ms=now_ms, looked_ms=now_ms)
        return replace(self, looked_ms=now_ms)

    @property
    def hangs(self) -> bool:
        """Whether the loop has made no progress for too long."""
        return self.stood_ms >= HANGS_AFTER_MS

    @property
    def stood_ms(self) -> int:
        """How long the mark has been the same, as far as it was looked at."""
        return self.looked_ms - self.since_ms
