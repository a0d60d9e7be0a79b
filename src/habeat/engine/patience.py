"""How long an entry waits after it failed or took too long: longer each time.

Attempts are counted in this process only, for a bounded number of entries. Another leader starts
counting afresh.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

from habeat.ports import DueEntry

#: The pause after the first failure, the second, and so on; the last one from then on.
PAUSES_MS = (1_000, 4_000, 16_000, 60_000)
#: How long planning one entry may take. An entry that takes longer this many times in a row is
#: quarantined.
SLOW_MS = 200
SLOW_TRIES = 5
#: Entries that took longer than this are costly and planned last. Once they have together taken
#: their share of a tick, the tick plans nothing more.
COSTLY_MS = 20
COSTLY_PER_TICK_MS = 200

_KEPT = 10_000


def pause_ms(tries: int) -> int:
    """How long to wait after this many attempts."""
    return PAUSES_MS[min(tries, len(PAUSES_MS)) - 1]


class Tries:
    """How often in a row entries have failed or were slow; an edit starts a new count."""

    def __init__(self) -> None:
        self._counts: OrderedDict[tuple[str, str], int] = OrderedDict()

    def __contains__(self, due: DueEntry) -> bool:
        return (due.name, due.digest) in self._counts

    def another(self, due: DueEntry) -> int:
        """Count one more, and return the count."""
        key = (due.name, due.digest)
        count = self._counts.pop(key, 0) + 1
        self._counts[key] = count
        if len(self._counts) > _KEPT:
            self._counts.popitem(last=False)
        return count

    def over(self, due: DueEntry) -> bool:
        """Reset the count after a success; True if there were failures before."""
        return self._counts.pop((due.name, due.digest), None) is not None


class Slowness:
    """Which entries take long to plan."""

    def __init__(self) -> None:
        self._too_slow = Tries()
        #: Whether each of the most recently planned entries was costly.
        self._costly: OrderedDict[str, bool] = OrderedDict()
        self._is_any_costly = False
        self._spent_us = 0

    def begin(self) -> None:
        """Start a tick with a full share for costly entries."""
        self._spent_us = 0

    def costly_last(self, due: Sequence[DueEntry]) -> Sequence[DueEntry]:
        """`due` with entries known to be cheap first, then unknown ones, then costly ones."""
        if not self._is_any_costly:
            return due
        order = {False: 0, None: 1, True: 2}
        return sorted(due, key=lambda item: order[self._costly.get(item.name)])

    def is_costly(self, item: DueEntry) -> bool:
        """Whether planning this entry took long the last time."""
        return self._costly.get(item.name) is True

    @property
    def is_spent(self) -> bool:
        """Whether costly entries have used up their share, so the rest waits for the next tick.

        That tick follows at once, and again plans the entries known to be cheap first.
        """
        return self._spent_us > COSTLY_PER_TICK_MS * 1_000

    def measured(self, item: DueEntry, took_us: int) -> int:
        """Record how long planning an entry took; returns how often in a row it was too long."""
        is_costly = took_us > COSTLY_MS * 1_000
        if self._costly.get(item.name) is not is_costly:
            self._costly[item.name] = is_costly
            if len(self._costly) > _KEPT:
                self._costly.popitem(last=False)
        if is_costly:
            self._is_any_costly = True
            self._spent_us += took_us
        if took_us > SLOW_MS * 1_000:
            return self._too_slow.another(item)
        self._too_slow.over(item)
        return 0
