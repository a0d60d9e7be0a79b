"""Bring Redis in line with this deploy's beat_schedule. Only the leader does so.

It works in slices, one per tick, so that dispatch continues and the lease is renewed between them.
The entries of beat_schedule are seeded first (seeding.py). After that, entries that are no longer
declared are pruned at intervals: an entry is removed once no live replica has declared it for a
minute. Entries made through the API are never touched.

A person can remove an entry of beat_schedule only if it cannot be read; it is then created again.
The leader notices that there are fewer entries of beat_schedule, or that an entry which kept a
declared one from being stored is gone, and seeds again. It checks at intervals by its own clock,
because Redis' clock may be set back.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from habeat.beat.declared.beat_schedule import BeatSchedule
from habeat.beat.declared.seeding import COMPARED, Seeding, Terms
from habeat.core.change_record import ChangesKept
from habeat.core.events import EventCode
from habeat.core.lease import Fence, Token
from habeat.engine.fenced import Lead
from habeat.entries.declaring import pruning
from habeat.log import log_event
from habeat.ports import Unfenced
from habeat.ports.entries import Removal
from habeat.store.entries import EntryStore
from habeat.store.name_index import REINDEX
from habeat.store.pages import INDEXED, ORPHANS, SWEPT

LOOK_EVERY_US = 15_000_000
STALE_MS = 60_000


class Reconcile:
    """Adds, changes and prunes the entries of beat_schedule, a slice at a time."""

    def __init__(
        self,
        store: EntryStore,
        beat_schedule: BeatSchedule,
        changes_kept: ChangesKept | None = None,
    ) -> None:
        self._store = store
        self._changes_kept = changes_kept
        self._seeding = Seeding(store, beat_schedule)
        self._under: tuple[Token, str, Terms] | None = None
        self._next_look_us = 0
        #: How many entries of beat_schedule Redis had, without those added by seeding since.
        self._owned = 0
        #: Whether pruning is under way: a slice of the names each time.
        self._pruning = False
        #: Where building the index of names continues; None if it is complete.
        self._index_at: tuple[str, bytes] | None = None

    @property
    def clashes(self) -> set[str]:
        """Names in this beat_schedule that entries made through the API have taken."""
        return self._seeding.clashes

    def again(self) -> None:
        """Seed everything again: entries, or the record of their owners, are gone from Redis."""
        self._under = None

    def slice(self, lead: Lead, *, generation: int, history_lost_ms: int) -> int | None:
        """Do one slice; 0 if there is more to do at once, else None."""
        terms = Terms(generation, history_lost_ms)
        here = (lead.token, lead.cluster, terms)
        if self._under != here:
            self._begin(lead, terms, self._store.owned())
            self._under = here
        if not self._seeding.is_done:
            return 0 if self._seeding.step(lead) else None
        if self._pruning:
            self._pruning = self._prune(lead)
        elif self._index_at is not None:
            at = self._store.index.make(self._index_at, INDEXED)
            self._index_at = None if at[0] == "done" else at
        elif lead.monotonic_us() >= self._next_look_us:
            self._look(lead, terms)
        return 0 if self._pruning or self._index_at else None

    def _begin(self, lead: Lead, terms: Terms, owned: int) -> None:
        self._seeding.begin(terms)
        self._owned, self._seeding.made = owned, 0
        self._next_look_us = lead.monotonic_us() + LOOK_EVERY_US

    def _look(self, lead: Lead, terms: Terms) -> None:
        """At intervals: seed again if declared entries were removed, else start pruning."""
        self._next_look_us = lead.monotonic_us() + LOOK_EVERY_US
        owned = self._store.owned()
        if owned < self._owned + self._seeding.made or self._way_is_free():
            log_event(
                EventCode.ENTRIES_GONE,
                "habeat: entries of beat_schedule are gone from Redis; seeding again",
            )
            self._begin(lead, terms, owned)
        else:
            self._owned, self._seeding.made = owned, 0
            kept = self._changes_kept
            lead.call(lambda fence: self._store.sweep(fence, SWEPT, kept))
            self._index_at = REINDEX if self._store.index.page("", b"", 1) is None else None
            self._pruning = self._prune(lead)

    def _way_is_free(self) -> bool:
        """Whether an entry that kept a declared one from being stored is gone."""
        names = sorted(self._seeding.clashes | self._seeding.unreadable)[:COMPARED]
        return bool(names) and None in self._store.definitions(names)

    # -- pruning ----------------------------------------------------------------------------

    def _prune(self, lead: Lead) -> bool:
        """Prune a slice of the names; returns whether more are left."""
        found = lead.call(lambda fence: self._store.orphans(fence, STALE_MS, ORPHANS))
        if found:
            self._remove(lead, found)
        return found.more

    def _remove(self, lead: Lead, names: Sequence[str]) -> None:
        snapshot = self._store.read(names)
        removals = [
            removal
            for stored in snapshot.stored
            if (removal := pruning(stored, snapshot.now_ms)) is not None
        ]
        if removals:
            removed = lead.call(partial(self._removed, removals))
            if not removed:
                return  # one of them was changed in the meantime: try again at the next look
            self._owned -= len(removals)
            log_event(
                EventCode.ENTRIES_PRUNED,
                "habeat: removed %d entries that no live replica declares any more: %s",
                len(removals),
                ", ".join(removal.name for removal in removals[:10]),
            )

    def _removed(self, removals: Sequence[Removal], fence: Fence) -> bool | Unfenced:
        outcome = self._store.remove(removals, fence)
        return outcome if isinstance(outcome, Unfenced) else outcome is None
