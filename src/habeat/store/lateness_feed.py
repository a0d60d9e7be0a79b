"""The lateness of what was sent, read from the ledger page by page, for windows of time.

A day may have a million records. So a page is read into small tuples, nothing is kept, and the
caller decides after each page whether there is time for another one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from habeat.core.firing import Outcome
from habeat.store.calling import Caller, optional_ms, text
from habeat.store.streams import Item, ids, pages_of_stream

PAGE = 1_000

_SENT = frozenset(str(each).encode() for each in (Outcome.SENT, Outcome.LATE))
_BY_HAND = frozenset((b"trigger", b"backfill"))


class Lateness(NamedTuple):
    """One firing of the schedule: when it was recorded, and how late it was sent, in ms."""

    entry: bytes
    at_ms: int
    late_ms: int


class LatenessFeed:
    """Reads the ledger. StoreUnavailable."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    def pages(self, since_ms: int) -> Iterator[tuple[int, Sequence[Lateness]]]:
        """Pages of what was recorded since then, newest first, with the number of their records.

        Firings that were requested by hand are left out: they have no time at which they are due.
        """
        key, (low, high) = self._caller.keys.ledger, ids(since_ms)
        for page in pages_of_stream(self._caller.do, key, low, high, PAGE):
            yield len(page), [each for each in map(_sent, page) if each is not None]

    def oldest_ms(self) -> int | None:
        """When the oldest record was written; None if there is none."""
        key = self._caller.keys.ledger
        found: Any = self._caller.do(lambda client: client.xrange(key, count=1))
        return optional_ms(text(found[0][0]).partition("-")[0]) if found else None


def _sent(record: Item) -> Lateness | None:
    """The lateness in a record; None if it is of no firing of the schedule, or unreadable."""
    identity, fields = record
    if fields.get(b"outcome") not in _SENT or b"request" in fields:
        return None
    late = fields.get(b"late", b"")
    if fields.get(b"reason") in _BY_HAND or not late.isdigit() or len(late) > 15:
        return None
    at_ms = optional_ms(text(identity).partition("-")[0])
    return None if at_ms is None else Lateness(fields.get(b"entry", b"?"), at_ms, int(late))
