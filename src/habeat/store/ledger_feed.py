"""Reads the ledger from where the previous leader stopped: no record is reported twice."""

from __future__ import annotations

import re
from collections.abc import Sequence

from habeat.store.calling import Caller, text
from habeat.store.inspection import Inspection, Record

#: The field of :meta with the id of the last record that was reported.
REPORTED = "reported"
#: A new leader reports records that are not older than this.
OLDEST_MS = 600_000

_ID = re.compile(r"([0-9]{1,15})-[0-9]{1,15}", re.ASCII)


class LedgerFeed:
    """Reads the records after a position, which is kept in Redis. Raises StoreUnavailable."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller
        self._inspection = Inspection(caller)

    def position(self) -> str:
        """The id of the record to go on after: the last one reported, if it is not too old.

        Without one, and if Redis' clock went back, this is the present.
        """
        key = self._caller.keys.meta
        stored = self._caller.do(lambda client: client.hget(key, REPORTED))
        found = _ID.fullmatch(text(stored or b""))
        now_ms = self._inspection.now_ms()
        if found is None or int(found[1]) > now_ms:
            return f"{now_ms - 1}-0"  # a record of this same millisecond is new
        oldest_ms = now_ms - OLDEST_MS
        return found[0] if int(found[1]) > oldest_ms else f"{oldest_ms}-0"

    def keep(self, position: str) -> None:
        """Remember that everything up to this record was reported."""
        key = self._caller.keys.meta
        self._caller.do(lambda client: client.hset(key, REPORTED, position))

    def read(self, after: str, count: int) -> Sequence[Record]:
        """Up to `count` records after this position, oldest first."""
        return self._inspection.page_after(after, count)
