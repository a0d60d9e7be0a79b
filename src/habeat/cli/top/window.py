"""The figures of the last minutes, from the records of the ledger as they are written."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from habeat.client import LedgerRecord

SPAN = timedelta(minutes=5)
#: More records are not kept: then the figures are of a shorter time.
RECORDS_MOST = 50_000
#: The time over which the present rate is measured.
LATELY = timedelta(seconds=10)

_SENT = ("sent", "late")


class Window:
    """The records of the last five minutes."""

    def __init__(self) -> None:
        self._records: deque[LedgerRecord] = deque(maxlen=RECORDS_MOST)

    def add(self, records: Iterable[LedgerRecord], now: datetime) -> None:
        """Take in records, the oldest first, and forget those that are too old."""
        self._records.extend(records)
        while self._records and now - self._records[0].at > SPAN:
            self._records.popleft()

    @property
    def records(self) -> Sequence[LedgerRecord]:
        """All of them, the oldest first."""
        return self._records

    def lateness(self) -> tuple[int, int, int] | None:
        """The median, the 99th percentile and the maximum, in ms; None if nothing was sent."""
        found = sorted(each.lateness_ms for each in self._records if each.lateness_ms is not None)
        return (_quantile(found, 50), _quantile(found, 99), found[-1]) if found else None

    def outcomes(self) -> Mapping[str, int]:
        """How many slots had each outcome; notes do not count."""
        counts: Counter[str] = Counter()
        for each in self._records:
            if each.outcome != "note":
                counts[each.outcome] += each.count
        return counts

    def rate(self, now: datetime, over: timedelta) -> float:
        """How many messages were sent a second, in this time up to now."""
        count = sum(each.outcome in _SENT and now - each.at <= over for each in self._records)
        return count / over.total_seconds()

    def lateness_by_time(self, now: datetime, parts: int) -> list[float | None]:
        """The greatest lateness in each part of the window, the oldest first; None without any."""
        found: list[float | None] = [None] * parts
        for each in self._records:
            at = _part(now - each.at, parts)
            if each.lateness_ms is not None:
                found[at] = max(found[at] or 0, each.lateness_ms)
        return found

    def sent_by_time(self, now: datetime, parts: int) -> list[float | None]:
        """How many messages were sent in each part of the window, the oldest first; None for 0."""
        found: list[float | None] = [None] * parts
        for each in self._records:
            if each.outcome in _SENT:
                at = _part(now - each.at, parts)
                found[at] = (found[at] or 0) + 1
        return found


def _part(age: timedelta, parts: int) -> int:
    return min(parts - 1, max(0, parts - 1 - int(age / SPAN * parts)))


def _quantile(values: Sequence[int], percent: int) -> int:
    return values[-(-percent * len(values) // 100) - 1]
