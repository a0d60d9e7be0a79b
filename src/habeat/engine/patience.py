"""How long an entry waits that fails or takes too long: longer each time.

The tries are remembered by this process only, for a bounded number of entries; another leader
begins with the first try.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

from habeat.ports import DueEntry

#: After the first failure, the second …; from then on the last.
PAUSES_MS = (1_000, 4_000, 16_000, 60_000)
#: What one entry may take of a tick; one that took longer this often is quarantined.
SLOW_MS = 200
SLOW_TRIES = 5
#: Entries that took more than this are planned last. When they have taken so long a time together,
#: the tick plans no more.
COSTLY_MS = 20
COSTLY_PER_TICK_MS = 200

_KEPT = 10_000


def pause_ms(tries: int) -> int:
    """How long to wait after so many tries."""
    return PAUSES_MS[min(tries, len(PAUSES_MS)) - 1]


class Tries:
    """How often in a row entries have failed, or were slow, with the definition they have."""

    def __init__(self) -> None:
        self._counts: OrderedDict[tuple[str, str], int] = OrderedDict()

    def __contains__(self, due: DueEntry) -> bool:
        return (due.name, due.digest) in self._counts

    def another(self, due: DueEntry) -> int:
        """Count one more; how many there are now."""
        key = (due.name, due.digest)
        count = self._counts.pop(key, 0) + 1
        self._counts[key] = count
        if len(self._counts) > _KEPT:
            self._counts.popitem(last=False)
        return count

    def over(self, due: DueEntry) -> bool:
        """It went well; whether it had not before."""
        return self._counts.pop((due.name, due.digest), None) is not None


class Slowness:
    """Which entries take their time when they are planned."""

    def __init__(self) -> None:
        self._too_slow = Tries()
        #: Of the entries that were planned last, whether they were costly.
        self._costly: OrderedDict[str, bool] = OrderedDict()
        self._is_any_costly = False
        self._spent_us = 0

    def begin(self) -> None:
        """A new tick, with its share for those that are costly."""
        self._spent_us = 0

    def costly_last(self, due: Sequence[DueEntry]) -> Sequence[DueEntry]:
        """Those that are known to be cheap, those that nobody has planned, then the costly ones."""
        if not self._is_any_costly:
            return due
        order = {False: 0, None: 1, True: 2}
        return sorted(due, key=lambda item: order[self._costly.get(item.name)])

    def is_costly(self, item: DueEntry) -> bool:
        """Whether planning it took long the last time."""
        return self._costly.get(item.name) is True

    @property
    def is_spent(self) -> bool:
        """Whether the costly ones had their share: what is left waits for the next tick.

        That follows at once, and plans those first that are known to be cheap.
        """
        return self._spent_us > COSTLY_PER_TICK_MS * 1_000

    def measured(self, item: DueEntry, took_us: int) -> int:
        """Remember what planning an entry took; how often in a row it was too long."""
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
