"""Bringing Redis in line with what this deploy's code declares. Only the leader does it.

In slices, one a tick, so that dispatch goes on and the lease is renewed between them. An entry
that is stored as declared is untouched. A changed one keeps its cursor unless its *schedule*
changed; then it starts at the first slot after now, and slots already due are recorded as
skipped. An older deploy never overwrites a newer one's definition (the configuration's
generation tells), entries made through the API are never touched, and what cannot be read stays
as it is. An entry gone from the code is removed when no live replica has declared it for a
minute.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace

from habeat.beat.catalog import BeatCatalog
from habeat.beat.declared import Declared
from habeat.core.entry import Entry
from habeat.core.firing import Outcome, SkippedRun
from habeat.core.lease import Token
from habeat.engine.lead import Lead
from habeat.engine.reporting import Once
from habeat.ports import Lost
from habeat.store.codec import encode
from habeat.store.entries import EntryStore, Position, Removal, Stored, Write

log = logging.getLogger("habeat")

SLICE = 200
COUNT_LIMIT = 100_000
PRUNE_EVERY_MS = 15_000
STALE_MS = 60_000
#: How long after a loss of data a missing entry counts as lost by it.
RECENT_LOSS_MS = 60_000


class Reconcile:
    """Seeds, changes and prunes config entries, a slice at a time."""

    def __init__(self, store: EntryStore, declared: Declared, catalog: BeatCatalog) -> None:
        self._store = store
        self._declared = declared
        self._catalog = catalog
        self._names = sorted(declared.entries)
        self._under: tuple[Token, str] | None = None
        self._at = 0
        self._next_prune_ms = 0
        self._told = Once()
        self.clashes: set[str] = set()

    def slice(self, lead: Lead, *, generation: int, history_lost_ms: int) -> int | None:
        """Do one slice; 0 if there is more to do at once, else None."""
        here = (lead.token, lead.cluster)
        if self._under != here:
            self._under, self._at = here, 0
            self._next_prune_ms = lead.now_ms() + PRUNE_EVERY_MS
        if self._at >= len(self._names):
            self._prune(lead)
            return None
        page = self._names[self._at : self._at + SLICE]
        if self._seed(lead, page, generation, history_lost_ms):
            self._at += SLICE
        return 0 if self._at < len(self._names) else None

    # -- seeding ----------------------------------------------------------------------------

    def _seed(self, lead: Lead, page: Sequence[str], generation: int, lost_ms: int) -> bool:
        snapshot = self._store.read(page)
        lost_lately = bool(lost_ms) and snapshot.now_ms - lost_ms < RECENT_LOSS_MS
        writes = [
            write
            for stored in snapshot.stored
            if (write := self._write_of(stored, snapshot.now_ms, generation, lost_lately))
        ]
        if not writes:
            return True
        outcome = lead.call(lambda token, ttl: self._written(writes, token, ttl))
        return outcome

    def _written(self, writes: Sequence[Write], token: Token, ttl_ms: int) -> bool | Lost:
        outcome = self._store.write(writes, fence=(token, ttl_ms))
        return outcome if isinstance(outcome, Lost) else outcome is None

    def _write_of(
        self, stored: Stored, now_ms: int, generation: int, lost_lately: bool
    ) -> Write | None:
        declared = self._declared.entries[stored.name]
        if not stored.exists:
            return self._new(declared, now_ms, generation, lost_lately)
        found = stored.entry
        if found is None:
            self._told.error(
                stored.name,
                "habeat: entry %r is in beat_schedule, and what is stored of it cannot be read "
                "(%s); it is left as it is, remove it to have it made anew",
                stored.name,
                stored.unreadable,
            )
            return None
        if found.owner != "config":
            self.clashes.add(stored.name)
            self._told.error(
                stored.name,
                "habeat: entry %r of beat_schedule is not used: one of the same name was made "
                "through the API",
                stored.name,
            )
            return None
        if found.fingerprint == declared.fingerprint or found.generation > generation:
            return None
        return self._changed(stored, found, declared, now_ms, generation)

    def _new(self, declared: Entry, now_ms: int, generation: int, lost_lately: bool) -> Write:
        entry = replace(declared, rev=1, created_ms=now_ms, generation=generation)
        lost = SkippedRun(now_ms, now_ms, 0, Outcome.MISSED, "history lost")
        return Write(
            entry.name,
            "",
            encode(entry),
            owned=True,
            position=self._position(entry, now_ms),
            lost=lost if lost_lately else None,
        )

    def _changed(
        self, stored: Stored, found: Entry, declared: Entry, now_ms: int, generation: int
    ) -> Write:
        entry = replace(
            declared, rev=found.rev + 1, created_ms=found.created_ms, generation=generation
        )
        write = Write(entry.name, stored.digest, encode(entry), owned=True)
        same = _meant(found) == _meant(entry)
        if same and not stored.state.quarantined:
            return write
        return replace(
            write,
            cursor_ms=stored.state.cursor_ms,
            position=self._position(entry, now_ms),
            lost=self._due_slots(found, stored, now_ms, "edited"),
        )

    def _position(self, entry: Entry, now_ms: int) -> Position:
        """The first slot strictly after now; where only code knows it, this replica's code."""
        live = self._catalog.resolve(entry) or entry
        slot_ms = live.next_slot_ms(now_ms)
        due_ms = None if slot_ms is None or not entry.enabled else live.effective_ms(slot_ms)
        return Position(now_ms, slot_ms, due_ms)

    def _due_slots(
        self, entry: Entry, stored: Stored, now_ms: int, reason: str
    ) -> SkippedRun | None:
        if stored.state.due_ms is None or stored.state.due_ms > now_ms:
            return None
        run = entry.count_between(stored.state.cursor_ms, now_ms, COUNT_LIMIT)
        if run is None:
            return None
        return SkippedRun(run.first_ms, run.last_ms, run.count, Outcome.SKIPPED, reason)

    # -- pruning ----------------------------------------------------------------------------

    def _prune(self, lead: Lead) -> None:
        if lead.now_ms() < self._next_prune_ms:
            return
        self._next_prune_ms = lead.now_ms() + PRUNE_EVERY_MS
        names = lead.call(lambda token, ttl: self._store.orphans(token, ttl, STALE_MS, SLICE))
        if names:
            self._remove(lead, names)

    def _remove(self, lead: Lead, names: Sequence[str]) -> None:
        snapshot = self._store.read(names)
        removals = [
            Removal(
                stored.name,
                stored.digest,
                None,
                self._due_slots(stored.entry, stored, snapshot.now_ms, "pruned"),
                "pruned",
            )
            for stored in snapshot.stored
            if stored.entry is not None and stored.entry.owner == "config"
        ]
        if removals:
            lead.call(lambda token, ttl: self._removed(removals, token, ttl))
            log.warning(
                "habeat: removed %d entries that no live replica declares any more: %s",
                len(removals),
                ", ".join(removal.name for removal in removals[:10]),
            )

    def _removed(self, removals: Sequence[Removal], token: Token, ttl_ms: int) -> bool | Lost:
        outcome = self._store.remove(removals, fence=(token, ttl_ms))
        return outcome if isinstance(outcome, Lost) else outcome is None


def _meant(entry: Entry) -> tuple[object, bool]:
    """What the position of an entry depends on."""
    return entry.schedule.to_json(), entry.enabled
