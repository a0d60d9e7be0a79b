"""Bringing Redis in line with what this deploy's code declares. Only the leader does it.

In slices, one a tick, so that dispatch goes on and the lease is renewed between them: a slice
compares up to a thousand definitions by their fingerprints, and writes up to two hundred. An entry
that is stored as declared is untouched, and not even read. A changed one keeps its cursor unless
its *schedule* changed; then it starts at the first slot after now, and slots already due are
recorded as skipped. An older deploy never overwrites a newer one's definition (the configuration's
generation tells), entries made through the API are never touched, and what cannot be read stays
as it is. An entry gone from the code is removed when no live replica has declared it for a
minute.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from habeat.beat.declared import Declared
from habeat.client import edits
from habeat.core.entry import Entry
from habeat.core.firing import Outcome, SkippedRun
from habeat.core.lease import Token
from habeat.engine.lead import Lead
from habeat.engine.reporting import Once
from habeat.ports import Lost
from habeat.store.codec import is_declared_as
from habeat.store.entries import EntryStore, Removal, Snapshot, Stored, Write

log = logging.getLogger("habeat")

COMPARED = 1_000
SLICE = 200
PRUNE_EVERY_MS = 15_000
STALE_MS = 60_000
#: How long after a loss of data a missing entry counts as lost by it.
RECENT_LOSS_MS = 60_000


class Reconcile:
    """Seeds, changes and prunes config entries, a slice at a time."""

    def __init__(self, store: EntryStore, declared: Declared) -> None:
        self._store = store
        self._declared = declared
        self._names = sorted(declared.entries)
        self._under: tuple[Token, str, int] | None = None
        self._at = 0
        #: Those of the page at `_at` that have yet to be written; None: not compared yet.
        self._left: list[str] | None = None
        #: Those of the page that are not stored at all.
        self._absent: set[str] = set()
        self._next_prune_ms = 0
        self._told = Once()
        self.clashes: set[str] = set()

    def slice(self, lead: Lead, *, generation: int, history_lost_ms: int) -> int | None:
        """Do one slice; 0 if there is more to do at once, else None."""
        here = (lead.token, lead.cluster, history_lost_ms)
        if self._under != here:
            self._under, self._at, self._left = here, 0, None
            self._next_prune_ms = lead.now_ms() + PRUNE_EVERY_MS
        if self._at >= len(self._names):
            self._prune(lead)
            return None
        if self._left is None:
            self._left = self._differing(self._names[self._at : self._at + COMPARED])
        if not self._seed(lead, self._left[:SLICE], generation, history_lost_ms):
            self._left = None  # somebody else has written: compare again
        elif len(self._left) > SLICE:
            del self._left[:SLICE]
        else:
            self._at, self._left = self._at + COMPARED, None
        return 0 if self._at < len(self._names) else None

    # -- seeding ----------------------------------------------------------------------------

    def _differing(self, page: Sequence[str]) -> list[str]:
        """Those of the page that are not stored as declared."""
        declared = self._declared.entries
        found = dict(zip(page, self._store.definitions(page), strict=True))
        self._absent = {name for name, stored in found.items() if stored is None}
        return [
            name
            for name, stored in found.items()
            if not is_declared_as(stored, declared[name].fingerprint)
        ]

    def _read(self, lead: Lead, names: Sequence[str]) -> Snapshot:
        """These entries; of those that are not stored, a state may have been left behind."""
        if self._absent.issuperset(names):
            return Snapshot(lead.now_ms(), self._store.absent(names))
        return self._store.read(names)

    def _seed(self, lead: Lead, names: Sequence[str], generation: int, lost_ms: int) -> bool:
        """Write those of a slice that are to be written; False if one was changed meanwhile."""
        if not names:
            return True
        snapshot = self._read(lead, names)
        lost_lately = bool(lost_ms) and snapshot.now_ms - lost_ms < RECENT_LOSS_MS
        writes = [
            write
            for stored in snapshot.stored
            if (write := self._tried(stored, snapshot.now_ms, generation, lost_lately))
        ]
        return not writes or lead.call(partial(self._written, writes))

    def _written(self, writes: Sequence[Write], token: Token, ttl_ms: int) -> bool | Lost:
        outcome = self._store.write(writes, fence=(token, ttl_ms))
        return outcome if isinstance(outcome, Lost) else outcome is None

    def _tried(
        self, stored: Stored, now_ms: int, generation: int, lost_lately: bool
    ) -> Write | None:
        """The write of one entry; a schedule that cannot be asked is its own trouble."""
        try:
            return self._write_of(stored, now_ms, generation, lost_lately)
        except Exception as error:
            self._told.error(
                stored.name,
                "habeat: entry %r of beat_schedule is not stored, its schedule fails: %r",
                stored.name,
                error,
            )
            return None

    def _write_of(
        self, stored: Stored, now_ms: int, generation: int, lost_lately: bool
    ) -> Write | None:
        declared = self._declared.entries[stored.name]
        if not stored.exists:
            return self._new(stored, declared, now_ms, generation, lost_lately)
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
        edit = edits.change(stored, replace(declared, generation=generation), now_ms)
        return None if edit is None else edit.write

    def _new(
        self, stored: Stored, declared: Entry, now_ms: int, generation: int, lost_lately: bool
    ) -> Write:
        write = edits.addition(stored, declared, now_ms, generation=generation).write
        lost = SkippedRun(now_ms, now_ms, 0, Outcome.MISSED, "history lost")
        return replace(write, lost=lost) if lost_lately else write

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
            edits.removal(stored, snapshot.now_ms, "pruned")
            for stored in snapshot.stored
            if stored.entry is not None and stored.entry.owner == "config"
        ]
        if removals:
            removed = lead.call(lambda token, ttl: self._removed(removals, token, ttl))
            if not removed:
                return  # one of them was changed meanwhile: at the next look
            log.warning(
                "habeat: removed %d entries that no live replica declares any more: %s",
                len(removals),
                ", ".join(removal.name for removal in removals[:10]),
            )

    def _removed(self, removals: Sequence[Removal], token: Token, ttl_ms: int) -> bool | Lost:
        outcome = self._store.remove(removals, fence=(token, ttl_ms))
        return outcome if isinstance(outcome, Lost) else outcome is None
