"""Many entries in one call: `client.add_many`.

Everything is checked before anything is written: each definition, duplicate names, names that are
taken, the guard's bounds. If anything is wrong, no entry is added, and BulkError says what is wrong
with each.

Then the entries are written in batches, each by one script. Batches are small, because Redis does
nothing else while a script runs, so the leader's claims have to wait. If a name was taken in the
meantime, the entries written so far are removed again. If Redis stops answering, or the time is up,
that is not possible: BulkInterrupted says which were added. See decision 0034.

With `replace`, entries that exist are changed to match. Such a call can be repeated, so it never
removes what it has written.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from habeat.client.calls import Overtaken, RetryingCalls, Session
from habeat.client.given import PER_SECOND, entries_given
from habeat.client.matching import Check, Matching
from habeat.client.room import check_room, within_room
from habeat.client.swapping import Plan, swap, swap_or_conflict
from habeat.core.entry import Entry
from habeat.entries.changes import Edit, addition, check_stays, removal, rescheduled
from habeat.entries.draft import check_has_slots
from habeat.entries.readable import shown
from habeat.errors import (
    BulkError,
    BulkInterrupted,
    CallTimeout,
    EntryExists,
    HabeatError,
    RedisUnavailable,
)
from habeat.ports.entries import Stored
from habeat.store.pages import PAGE, WRITTEN, pages


def added(
    calls: RetryingCalls, given: Iterable[Mapping[str, Any]], *, may_replace: bool
) -> list[Entry]:
    """Add the entries and return them in the order given; BulkError if one cannot be added."""
    wanted, refused = entries_given("add_many", given, calls.location)
    if not wanted and not refused:
        return []
    calls = calls.bounded(len(wanted) / PER_SECOND)
    check = _check_replaceable if may_replace else _check_new
    calls.write(lambda session: _check(calls, session, wanted, refused, check))
    if not may_replace:
        return _Adding(calls, wanted).run()
    matching = Matching(calls, check)
    with matching.of(len(wanted)):
        return matching.write(wanted)


class _Adding:
    """Writes entries batch by batch, and tracks how far it has come."""

    def __init__(self, calls: RetryingCalls, wanted: Sequence[Entry]) -> None:
        self._calls = calls
        self._wanted = wanted
        self._written: list[Edit] = []
        #: The names of a batch while it is unknown whether it was written, or removed.
        self._unknown: Sequence[str] = ()

    def run(self) -> list[Entry]:
        try:
            for batch in pages(self._wanted, WRITTEN):
                self._calls.check()
                self._written += self._add(batch)
        except (RedisUnavailable, CallTimeout) as error:
            # Redis or time is lacking, so what was written cannot be removed: report it.
            if self._written and not self._calls.plans_only:
                raise self._interrupted(error) from error
            raise
        except Exception:  # whatever went wrong: add all entries or none
            self._take_back()
            raise
        return [edit.entry for edit in self._written]

    def _add(self, batch: Sequence[Entry]) -> Sequence[Edit]:
        """Add these or none; BulkError or NotAllowed if other callers have interfered."""

        def plan(session: Session) -> Plan[Sequence[Edit]]:
            self._unknown = ()
            edits = self._edits(session, batch)
            send = within_room(self._calls.guard, [edit.write for edit in edits])
            self._unknown = _names_of(edits)
            return Plan(edits, send)

        edits = swap_or_conflict(self._calls, plan)
        self._unknown = ()
        return edits

    def _edits(self, session: Session, batch: Sequence[Entry]) -> list[Edit]:
        """The writes that fit what Redis holds now; BulkError if a name is taken."""
        snapshot = session.entries.read([entry.name for entry in batch])
        pairs = list(zip(batch, snapshot.stored, strict=True))
        taken = {stored.name: _taken(stored) for _, stored in pairs if stored.exists}
        if taken:
            raise BulkError(taken, len(self._wanted))
        return [addition(stored, entry, snapshot.now_ms) for entry, stored in pairs]

    def _take_back(self) -> None:
        """Remove the entries written so far, except those that other callers have changed since.

        BulkInterrupted if that fails.
        """
        while self._written:
            batch, self._written = self._written[-WRITTEN:], self._written[:-WRITTEN]
            self._unknown = _names_of(batch)
            try:
                swap(self._calls, partial(_removal_of, batch))
            except (RedisUnavailable, CallTimeout, Overtaken) as error:
                raise self._interrupted(error) from error

    def _interrupted(self, why: HabeatError) -> BulkInterrupted:
        return BulkInterrupted(_names_of(self._written), self._unknown, len(self._wanted), why)


def _names_of(edits: Sequence[Edit]) -> list[str]:
    return [edit.entry.name for edit in edits]


def _removal_of(written: Sequence[Edit], session: Session) -> Plan[None]:
    snapshot = session.entries.read(_names_of(written))
    pairs = zip(written, snapshot.stored, strict=True)
    gone = [
        removal(stored, snapshot.now_ms) for edit, stored in pairs if stored.digest == edit.digest
    ]
    return Plan(None, lambda store, mark: store.remove(gone, None, mark)) if gone else Plan(None)


def _read(session: Session, names: Sequence[str]) -> tuple[int, list[Stored]]:
    """Redis' time, and what it holds under these names."""
    found: list[Stored] = []
    now_ms = 0
    for page in pages(names, PAGE):
        snapshot = session.entries.read(page)
        found += snapshot.stored
        now_ms = snapshot.now_ms
    return now_ms, found


def _check(
    calls: RetryingCalls,
    session: Session,
    wanted: Sequence[Entry],
    refused: Mapping[str, HabeatError],
    check: Check,
) -> None:
    """BulkError if any entry is wrong, also with those `refused` before; NotAllowed."""
    now_ms, found = _read(session, [entry.name for entry in wanted])
    errors = dict(refused)
    for entry, stored in zip(wanted, found, strict=True):
        try:
            calls.guard.check_name(entry.name)  # else the error would say that the name is taken
            check(stored)
            # An unchanged schedule may be exhausted: that is no reason to refuse other changes.
            if not stored.exists or rescheduled(shown(stored), entry):
                check_has_slots(entry, now_ms)
            calls.guard.check_change(stored, None, now_ms)
            calls.guard.check(entry, now_ms)
        except HabeatError as error:
            errors[entry.name] = error
    if errors:
        raise BulkError(errors, len(wanted) + len(refused))
    check_room(calls, session, found)


def _check_new(stored: Stored) -> None:
    if stored.exists:
        raise _taken(stored)


def _check_replaceable(stored: Stored) -> None:
    check_stays(stored)
    if stored.exists and shown(stored).owner == "config":
        raise _taken(stored)


def _taken(stored: Stored) -> EntryExists:
    return EntryExists(stored.name, shown(stored).owner)
