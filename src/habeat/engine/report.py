"""What the loop says of itself, for a thread that watches it.

The loop writes plain attributes, and another thread reads them: each is replaced as a whole, so
there is no lock that a loop which hangs could hold.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field

#: How long after its next attempt was due an entry still counts as waiting, if none was made.
ATTEMPT_OVERDUE_MS = 3_000
#: How long an entry is named after a slot of it failed, unless it is sent before.
FAILED_FOR_MS = 60_000
#: Waiting entries that are remembered; beyond that, the oldest is dropped.
KEPT = 1_000


@dataclass(frozen=True, slots=True)
class Wait:
    """Why an entry was put off, since when, and until when; instants of Redis' clock.

    `failed` is whether its slot has ended as failed.
    """

    why: str
    since_ms: int
    until_ms: int
    failed: bool = False


@dataclass(frozen=True, slots=True)
class BeingBuilt:
    """The message that the loop is building: of which entry, with the digest of its definition.

    The digest is "" if it does not matter: a message that was requested by hand may have other
    arguments, and one that a task's own code sends is claimed already.
    """

    entry: str
    digest: str
    since_us: int


class Waits:
    """The entries that are put off, because they cannot be planned or sent now."""

    def __init__(self) -> None:
        self._waits: OrderedDict[str, Wait] = OrderedDict()

    def note(self, entry: str, why: str, now_ms: int, until_ms: int) -> None:
        """Note that the entry is tried again at `until_ms`."""
        self._keep(entry, Wait(why, self._since_ms(entry, now_ms), until_ms))

    def failed(self, entry: str, why: str, now_ms: int) -> None:
        """Note that a slot of the entry has failed."""
        since_ms = self._since_ms(entry, now_ms)
        self._keep(entry, Wait(why, since_ms, now_ms + FAILED_FOR_MS, failed=True))

    def _since_ms(self, entry: str, now_ms: int) -> int:
        before = self.current(now_ms).get(entry)
        return before.since_ms if before else now_ms

    def _keep(self, entry: str, wait: Wait) -> None:
        self._waits[entry] = wait
        if len(self._waits) > KEPT:
            self._waits.popitem(last=False)

    def over(self, entry: str) -> None:
        """Note that the entry waits no longer."""
        self._waits.pop(entry, None)

    def current(self, now_ms: int) -> Mapping[str, Wait]:
        """The entries that wait at `now_ms`; one that was edited or removed is not tried again."""
        found = list(self._waits.items())  # one step for other threads
        return {name: wait for name, wait in found if now_ms <= wait.until_ms + ATTEMPT_OVERDUE_MS}


@dataclass(slots=True)
class LoopReport:
    """`ticks` rises with each tick. The errors are "" while there is none.

    `tick_error` is the exception of the last tick, if that was a bug. `broker_error` is what the
    broker said last, if it takes no messages. `redis_error` is why Redis cannot be used.
    """

    ticks: int = 0
    tick_error: str = ""
    broker_error: str = ""
    redis_error: str = ""
    #: The keys that were repaired last, and when by the monotonic clock.
    repaired: tuple[str, int] = ("", 0)
    building: BeingBuilt | None = None
    waits: Waits = field(default_factory=Waits)
    #: Entries with a calendar that does not exist, or has no days left; its name is the reason.
    missing_calendars: Waits = field(default_factory=Waits)
    ended_calendars: Waits = field(default_factory=Waits)

    @property
    def is_well(self) -> bool:
        """Whether the last tick reached Redis and did not fail."""
        return not (self.tick_error or self.redis_error)
