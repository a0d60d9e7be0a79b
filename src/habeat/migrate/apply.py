"""Write what the plan decides, in batches, each all or nothing.

A batch is read, planned and added by one script (store/scripts/adopt.lua), which refuses if one of
its names has been taken meanwhile; then the batch is planned again. So an interrupted migration is
run again: what was written is found, and the rest is added. No definition that exists is written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from habeat.client.calls import Overtaken, RetryingCalls, Session
from habeat.client.selection import entries_of, pages_of
from habeat.client.swapping import Plan, swap
from habeat.core.change_record import Way
from habeat.errors import RevisionConflict
from habeat.migrate.found import Reading, SourceEntry
from habeat.migrate.plan import ADDS, Action, Here, Instant, Row, not_carried, planned
from habeat.store.pages import WRITTEN

#: For this many entries, a migration may take a second longer.
PER_SECOND = 250

#: Is given how many entries are done, and how many there are.
Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Migration:
    """What became of the entries of a source, or would become of them if not `written`."""

    source: str
    rows: Sequence[Row]
    written: bool


def migrated(
    calls: RetryingCalls,
    reading: Reading,
    here: Here,
    *,
    dry_run: bool,
    sent_until_ms: int | None = None,
    progress: Progress | None = None,
) -> Migration:
    """Carry what was read into habeat; with `dry_run`, only say what would become of it.

    Raises RedisUnavailable, CallTimeout, ForeignState, and RevisionConflict if other callers kept
    taking names of a batch. What was written before stays; call again to continue.
    """
    calls = calls.by_way(Way.MIGRATE).bounded(len(reading.entries) / PER_SECOND)
    migrating = _Migrating(calls.planning() if dry_run else calls, reading, here, sent_until_ms)
    rows: list[Row] = [not_carried(each) for each in reading.uncarried]
    for batch in _batches(reading.entries):
        calls.check(f"{len(rows)} entries are done; run it again to continue")
        rows += migrating.batch(batch)
        if progress is not None:
            progress(len(rows), len(reading.entries) + len(reading.uncarried))
    return Migration(reading.source, sorted(rows, key=lambda row: row.name), not dry_run)


def only_here(calls: RetryingCalls, reading: Reading, name_prefix: str) -> Sequence[str]:
    """The entries of the API that fire here and that the source does not have.

    After a way back and a second switch, they may have been removed there meanwhile.
    """
    there = {each.name for each in reading.entries} | {each.name for each in reading.uncarried}
    found: list[str] = []
    for page in pages_of(calls):
        names = [name for name in page if name.startswith(name_prefix) and name not in there]
        found += [
            entry.name
            for entry in entries_of(calls, names)
            if entry.owner == "api" and entry.condition in ("active", "failing")
        ]
    return found


@dataclass(frozen=True)
class _Migrating:
    calls: RetryingCalls
    reading: Reading
    here: Here
    sent_until_ms: int | None

    def batch(self, batch: Sequence[SourceEntry]) -> Sequence[Row]:
        """The rows of these entries, after those that can be carried were added."""
        try:
            rows = {row.name: row for row in swap(self.calls, partial(self._added, batch))}
            here = [each for each in batch if rows[each.name].action is Action.CONTINUE]
            if here:
                moved = swap(self.calls, partial(self._moved_on, here))
                rows |= {row.name: row for row in moved}
        except Overtaken as error:
            raise RevisionConflict(error.entry, None, None) from None
        return list(rows.values())

    def _added(self, batch: Sequence[SourceEntry], session: Session) -> Plan[Sequence[Row]]:
        rows = self._rows(batch, session)
        arrivals = [row.arrival for row in rows if row.action in ADDS and row.arrival]
        if not arrivals:
            return Plan(rows)
        return Plan(rows, lambda store, mark: store.adopt(arrivals, mark))

    def _moved_on(self, here: Sequence[SourceEntry], session: Session) -> Plan[Sequence[Row]]:
        """Move the positions of these entries, which are here, on to the source's last runs."""
        rows = self._rows(here, session)
        writes = [row.write for row in rows if row.write is not None]
        if not writes:
            return Plan(rows)
        return Plan(rows, lambda store, mark: store.write(writes, None, mark))

    def _rows(self, batch: Sequence[SourceEntry], session: Session) -> Sequence[Row]:
        snapshot = session.entries.read([each.name for each in batch])
        at = Instant(snapshot.now_ms, self.sent_until_ms)
        return [
            planned(found, stored, self.here, at, self.reading.source)
            for found, stored in zip(batch, snapshot.stored, strict=True)
        ]


def _batches(entries: Sequence[SourceEntry]) -> Iterator[Sequence[SourceEntry]]:
    return (entries[start : start + WRITTEN] for start in range(0, len(entries), WRITTEN))
