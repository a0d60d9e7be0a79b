"""Write entries until what is stored matches what is wanted: `add_many(replace=True)` and `sync`.

The entries are written in batches, each by one script (decision 0034). A call that ends early can
be repeated: what it wrote is unchanged then. So nothing is taken back, and BulkInterrupted says how
far the call has come.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial

from habeat.client.calls import Overtaken, RetryingCalls, Session
from habeat.client.room import check_room, within_room
from habeat.client.swapping import Plan, swap
from habeat.core.entry import Entry
from habeat.entries.changes import Edit, addition, change, removal
from habeat.entries.readable import shown
from habeat.errors import BulkInterrupted, HabeatError, RevisionConflict
from habeat.ports.entries import Removal, Stored, Write
from habeat.store.pages import WRITTEN, pages

#: Raises the reason if the call must not write over this entry. It is asked again at each write.
Check = Callable[[Stored], None]


class Matching:
    """Writes and removes entries batch by batch, and tracks how far it has come."""

    def __init__(self, calls: RetryingCalls, check: Check) -> None:
        self._calls = calls
        self._check = check
        self.added: list[str] = []
        self.changed: list[str] = []
        self.removed: list[str] = []
        #: The names of a batch while it is unknown whether it was written.
        self._unknown: Sequence[str] = ()

    @contextmanager
    def of(self, total: int) -> Iterator[None]:
        """BulkInterrupted, if the call fails after a part of the `total` entries was written."""
        try:
            yield
        except HabeatError as error:
            why: HabeatError = error
            if isinstance(error, Overtaken):
                why = RevisionConflict(error.entry, None, None)
            nothing = not (self.added or self.changed or self.removed)
            if nothing or self._calls.plans_only:
                raise why from error
            raise BulkInterrupted(
                self.added,
                self._unknown,
                total,
                why,
                changed=self.changed,
                removed=self.removed,
                repeatable=True,
            ) from error

    def write(self, wanted: Sequence[Entry]) -> list[Entry]:
        """Add or replace these entries; returns them as they are then."""
        return [entry for batch in pages(wanted, WRITTEN) for entry in self._write(batch)]

    def remove(self, names: Sequence[str], is_ours: Callable[[Stored], bool]) -> None:
        """Remove those of these entries that are still ours."""
        for batch in pages(names, WRITTEN):
            self._calls.check()
            gone = swap(self._calls, partial(self._removals, batch, is_ours))
            self.removed.extend(gone)
            self._unknown = ()

    def _write(self, batch: Sequence[Entry]) -> list[Entry]:
        self._calls.check()
        pairs = swap(self._calls, partial(self._edits, batch))
        self._unknown = ()
        for stored, edit in pairs:
            if edit is not None:
                (self.changed if stored.exists else self.added).append(stored.name)
        return [shown(stored) if edit is None else edit.entry for stored, edit in pairs]

    def _edits(
        self, batch: Sequence[Entry], session: Session
    ) -> Plan[list[tuple[Stored, Edit | None]]]:
        self._unknown = ()
        snapshot = session.entries.read([entry.name for entry in batch])
        pairs: list[tuple[Stored, Edit | None]] = []
        for entry, stored in zip(batch, snapshot.stored, strict=True):
            self._check(stored)
            edit = (change if stored.exists else addition)(stored, entry, snapshot.now_ms)
            self._calls.guard.check_change(stored, edit, snapshot.now_ms)
            pairs.append((stored, edit))
        check_room(self._calls, session, snapshot.stored)
        writes: list[Write] = [edit.write for _, edit in pairs if edit is not None]
        if not writes:
            return Plan(pairs)
        self._unknown = [write.name for write in writes]
        return Plan(pairs, within_room(self._calls.guard, writes))

    def _removals(
        self, batch: Sequence[str], is_ours: Callable[[Stored], bool], session: Session
    ) -> Plan[list[str]]:
        self._unknown = ()
        snapshot = session.entries.read(batch)
        gone: list[Removal] = [
            removal(stored, snapshot.now_ms) for stored in snapshot.stored if is_ours(stored)
        ]
        names = [each.name for each in gone]
        if not gone:
            return Plan(names)
        self._unknown = names
        return Plan(names, lambda store, mark: store.remove(gone, None, mark))
