"""Removing many entries at once, by the beginning of their name and by tags."""

from __future__ import annotations

from collections.abc import Sequence

from habeat.client.calls import Overtaken, RetryingCalls, Session
from habeat.client.selection import Selection, pages_of
from habeat.client.swapping import Plan, swap
from habeat.entries.changes import removal
from habeat.entries.readable import shown
from habeat.errors import RevisionConflict, ValidationError
from habeat.store.pages import WRITTEN


def clear(calls: RetryingCalls, selection: Selection) -> int:
    """Remove the API's entries that are meant; how many that were."""
    if not selection.prefix and not selection.tags:
        raise ValidationError("name", None, "a name, a prefix that is not empty, or tags")
    calls = calls.bounded()
    removed = 0
    for page in pages_of(calls, selection.prefix):
        for start in range(0, len(page), WRITTEN):
            removed += _clear_batch(calls, selection, page[start : start + WRITTEN])
            calls.check(f"{removed} entries were removed")
    return removed


def _clear_batch(calls: RetryingCalls, selection: Selection, names: Sequence[str]) -> int:
    def plan(session: Session) -> Plan[int]:
        snapshot = session.entries.read(names)
        removals = [
            removal(stored, snapshot.now_ms)
            for stored in snapshot.stored
            if (stored.exists or stored.state.quarantined is not None)
            and shown(stored).owner == "api"
            and selection.has(shown(stored))
            and calls.guard.scope.has(shown(stored))
        ]
        if not removals:
            return Plan(0)
        return Plan(len(removals), lambda store, mark: store.remove(removals, None, mark))

    try:
        return swap(calls, plan)
    except Overtaken as error:
        raise RevisionConflict(error.entry, None, None) from None
