"""Requests for extra firings: a trigger (once, now) or a backfill (past slots).

A request moves no cursor. A backfill works through its slots at its pace. Each claim also stores
what is left of the request, so no slot is sent twice and none is forgotten, whichever replica
continues it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from habeat.core.entry import Entry
from habeat.core.firing import Firing

BURSTS_PER_SECOND = 10
BACKFILL_PACE = 10.0
BACKFILL_MAX = 100_000


@dataclass(frozen=True, slots=True)
class Request:
    """A request for extra firings of one entry; instants are Unix milliseconds, UTC.

    A trigger uses `at_ms` as its slot and may change the arguments. A backfill fires the slots
    after `cursor_ms` up to `end_ms`, at most `pace` per second, none before `not_before_ms`.
    """

    kind: Literal["trigger", "backfill"]
    entry: str
    at_ms: int
    args: tuple[Any, ...] | None = None
    kwargs: Mapping[str, Any] | None = None
    cursor_ms: int = 0
    end_ms: int = 0
    pace: float = BACKFILL_PACE
    not_before_ms: int = 0

    def applied(self, entry: Entry) -> Entry:
        """The entry with the arguments of this request."""
        changed = {
            name: value for name in ("args", "kwargs") if (value := getattr(self, name)) is not None
        }
        if not changed:
            return entry
        from_code = tuple(part for part in entry.from_code if part != "args")
        return replace(entry, from_code=from_code, **changed)

    def firings(
        self, entry: Entry, request: str, now_ms: int
    ) -> Iterator[tuple[Firing, Request | None]]:
        """The firings that are due now, each with what is left of the request after it.

        Their effective time is now, because `expires` counts from it: otherwise a backfill of last
        week would expire before it is sent.
        """
        if self.kind == "trigger":
            yield Firing(entry.name, self.at_ms, now_ms, request=request, asked=self.kind), None
            return
        left: Request | None = self
        # At most a tenth of a second's worth at once; the rest waits until `not_before_ms`.
        burst = max(1, round(self.pace / BURSTS_PER_SECOND))
        for _ in range(burst):
            slot_ms = left.next_slot_ms(entry) if left is not None else None
            if left is None or slot_ms is None or self.not_before_ms > now_ms:
                return
            pause_ms = round(burst * 1_000 / self.pace)
            left = replace(left, cursor_ms=slot_ms, not_before_ms=now_ms + pause_ms)
            after = left if left.next_slot_ms(entry) is not None else None
            yield Firing(entry.name, slot_ms, now_ms, request=request, asked=self.kind), after
            left = after

    def next_slot_ms(self, entry: Entry) -> int | None:
        """The next slot to backfill; None if all are done."""
        slot_ms = entry.next_slot_ms(self.cursor_ms)
        return slot_ms if slot_ms is not None and slot_ms <= self.end_ms else None
