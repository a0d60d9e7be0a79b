"""Removing many entries at once, by the beginning of their name and by tags."""

from __future__ import annotations

from collections.abc import Sequence

from habeat.client.calls import Calls, Desk, Overtaken
from habeat.client.edits import removal
from habeat.client.salvage import shown
from habeat.client.selection import Selection, pages_of
from habeat.errors import RevisionConflict, ValidationError
from habeat.store.entries import Conflict

BATCH = 100


def clear(calls: Calls, selection: Selection) -> int:
    """Remove the API's entries that are meant; how many that were."""
    if not selection.prefix and not selection.tags:
        raise ValidationError("name", None, "a name, a prefix that is not empty, or tags")
    removed = 0
    for page in pages_of(calls, selection.prefix):
        for start in range(0, len(page), BATCH):
            removed += _clear_batch(calls, selection, page[start : start + BATCH])
    return removed


def _clear_batch(calls: Calls, selection: Selection, names: Sequence[str]) -> int:
    tried: set[str] = set()

    def attempt(desk: Desk) -> int:
        snapshot = desk.entries.read(names)
        meant = [
            stored
            for stored in snapshot.stored
            if (stored.exists or stored.state.quarantined is not None)
            and shown(stored).owner == "api"
            and selection.has(shown(stored))
        ]
        # What an attempt before this one removed, its reply lost, is gone and counts.
        done = {stored.name for stored in snapshot.stored if not stored.exists} & tried
        tried.update(stored.name for stored in meant)
        if meant:
            result = desk.entries.remove([removal(each, snapshot.now_ms) for each in meant])
            if isinstance(result, Conflict):
                raise Overtaken(result.name)
        return len(meant) + len(done)

    try:
        return calls.write(attempt)
    except Overtaken as error:
        raise RevisionConflict(error.entry, None, None) from None
