"""Write this deploy's beat_schedule to Redis, a slice at a time.

Up to a thousand definitions are compared at once, by their fingerprints. A slice to write is
smaller (store/pages.py). While the server writes one slice, the next is prepared if all of its
entries are new.

An entry that is stored as declared is not touched, and not even read. A changed entry keeps its
cursor unless its *schedule* changed. In that case, it starts at the first slot after now, and slots
already due are recorded as skipped. An older deploy never overwrites the definition of a newer one,
which it recognises by its generation. Neither do replicas overwrite each other's if they were
started together (store/scripts/register.lua). Entries made through the API are never touched, and
definitions that cannot be read stay as they are.

Each write compares with what was read, so a slice that was prepared a tick ago does no harm. If one
of its entries was added since then, nothing of the slice is written, and its page is compared
again. The same happens after an error, when it is unknown whether the slice was written. Entries
that exist are read and written in the same tick, because the leader claims their slots between
ticks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from habeat.beat.declared.beat_schedule import BeatSchedule
from habeat.core.events import EventCode
from habeat.core.firing import Outcome, SkippedRun
from habeat.engine.fenced import Lead
from habeat.engine.trouble_log import TroubleLog
from habeat.entries.codec import is_declared_as
from habeat.entries.declaring import Verdict, declared_decision
from habeat.ports.entries import Snapshot, Stored, Write
from habeat.store.entries import EntryStore
from habeat.store.pages import WRITTEN

COMPARED = 1_000
SLICE = WRITTEN
#: What the ledger notes about an entry that was lost with Redis' data.
STORED_AGAIN = "stored again: Redis had lost data"
#: How long after a loss of data a missing entry counts as lost by it.
RECENT_LOSS_MS = 60_000


@dataclass(frozen=True, slots=True)
class Terms:
    """What seeding depends on: the generation of our beat_schedule, and the last loss of data."""

    generation: int = 0
    history_lost_ms: int = 0


@dataclass(frozen=True, slots=True)
class Slice:
    """Writes that are ready, and where their page begins."""

    page_at: int
    writes: Sequence[Write]


class Seeding:
    """Adds and changes the entries of beat_schedule."""

    def __init__(self, store: EntryStore, beat_schedule: BeatSchedule) -> None:
        self._store = store
        self._declared = beat_schedule.entries
        self._names = sorted(beat_schedule.entries)
        self._trouble = TroubleLog()
        self.clashes: set[str] = set()
        self.unreadable: set[str] = set()
        #: How many entries were added since `Reconcile` last set this to 0.
        self.made = 0
        self.begin(Terms())

    def begin(self, terms: Terms) -> None:
        """Start again with the first page."""
        self._terms = terms
        self.clashes, self.unreadable = set(), set()
        self._go_back(0)

    def _go_back(self, page_at: int) -> None:
        self._page_at = self._next_page_at = page_at
        #: The entries of the page that are left to write.
        self._left: Sequence[str] = ()
        #: What is known of those that are not stored: a state may remain without a definition.
        self._absent: dict[str, Stored] = {}
        self._ready: Slice | None = None

    @property
    def is_done(self) -> bool:
        """Whether everything that should be stored is stored."""
        return self._ready is None and not self._may_prepare

    @property
    def _may_prepare(self) -> bool:
        return bool(self._left) or self._next_page_at < len(self._names)

    def step(self, lead: Lead) -> bool:
        """Write a slice and prepare the next one in the meantime; returns whether more is left.

        LeaseLost, StoreUnavailable.
        """
        back_to = self._next_is_of()  # after an error, it is unknown what was written
        try:
            ready = self._ready or self._prepared(lead)
            self._ready = None
            if ready.writes and not self._write(lead, ready.writes):
                self._go_back(ready.page_at)
        except BaseException:
            self._go_back(back_to)
            raise
        return not self.is_done

    def _next_is_of(self) -> int:
        """Where the page of the next slice begins."""
        if self._ready is not None:
            return self._ready.page_at
        return self._page_at if self._left else self._next_page_at

    def _write(self, lead: Lead, writes: Sequence[Write]) -> bool:
        """Write these; False if an entry was changed in the meantime."""
        attempt = lead.attempt()
        sent = self._store.send_write(writes, attempt.fence)
        try:
            self._prepare_ahead(lead)
        except BaseException:
            sent.drop()
            raise
        written = lead.concluded(sent.result(), attempt) is None
        if written:
            self.made += sum(not write.digest for write in writes)
        return written

    def _prepare_ahead(self, lead: Lead) -> None:
        """Prepare the next slice if all of its entries are new.

        Entries that exist have to be read later, as their slots are claimed between ticks.
        """
        if not self._left and self._may_prepare:
            self._turn_page()
        if self._left and self._are_new(self._left[:SLICE]):
            self._ready = self._prepared(lead, alone=False)

    # -- preparing --------------------------------------------------------------------------

    def _prepared(self, lead: Lead, *, alone: bool = True) -> Slice:
        """The next slice; `alone` means that no call is under way, so the lease may be renewed."""
        if not self._left:
            self._turn_page()
        names, self._left = self._left[:SLICE], self._left[SLICE:]
        return Slice(self._page_at, self._writes(lead, names, alone) if names else ())

    def _turn_page(self) -> None:
        """Compare the next page; entries that are not stored as declared are left to write."""
        at = self._next_page_at
        page = self._names[at : at + COMPARED]
        found = dict(zip(page, self._store.definitions(page), strict=True))
        missing = [name for name, stored in found.items() if stored is None]
        absent = self._store.absent(missing) if missing else ()
        self._absent = {stored.name: stored for stored in absent}
        self._left = [
            name
            for name, stored in found.items()
            if not is_declared_as(stored, self._declared[name].fingerprint)
        ]
        self._page_at, self._next_page_at = at, at + COMPARED

    def _writes(self, lead: Lead, names: Sequence[str], alone: bool) -> Sequence[Write]:
        snapshot = self._read(lead, names)
        lost_ms = self._terms.history_lost_ms
        lost_lately = bool(lost_ms) and snapshot.now_ms - lost_ms < RECENT_LOSS_MS
        writes: list[Write] = []
        for stored in snapshot.stored:
            write = self._write_of(stored, snapshot.now_ms, lost_lately)
            if write is not None:
                writes.append(write)
            if alone:
                lead.keep()
        return writes

    def _are_new(self, names: Sequence[str]) -> bool:
        return self._absent.keys() >= set(names)

    def _read(self, lead: Lead, names: Sequence[str]) -> Snapshot:
        if self._are_new(names):
            return Snapshot(lead.now_ms(), [self._absent[name] for name in names])
        return self._store.read(names)

    def _write_of(self, stored: Stored, now_ms: int, lost_lately: bool) -> Write | None:
        """The write for one entry; None if it is left as it is."""
        declared, generation = self._declared[stored.name], self._terms.generation
        decision = declared_decision(stored, declared, now_ms, generation)
        match decision.verdict:
            case Verdict.FAILS:
                self._trouble.error(
                    stored.name,
                    EventCode.ENTRY_NOT_STORED,
                    "habeat: entry %r of beat_schedule is not stored, because its schedule "
                    "fails: %r",
                    stored.name,
                    decision.error,
                    entry=stored.name,
                )
            case Verdict.UNREADABLE:
                self.unreadable.add(stored.name)
                self._trouble.error(
                    stored.name,
                    EventCode.ENTRY_NOT_STORED,
                    "habeat: entry %r is in beat_schedule, but its stored definition cannot be "
                    "read (%s); it is left unchanged: remove it to have it stored again",
                    stored.name,
                    stored.unreadable,
                    entry=stored.name,
                )
            case Verdict.CLASH:
                self.clashes.add(stored.name)
                self._trouble.error(
                    stored.name,
                    EventCode.NAME_CLASH,
                    "habeat: entry %r of beat_schedule is not used: the API has an entry of the "
                    "same name; rename one of them",
                    stored.name,
                    entry=stored.name,
                )
        if decision.write is not None and not stored.exists and lost_lately:
            # A remark about no slot: which slots fell due before is in no record, and unknown.
            note = SkippedRun(now_ms, now_ms, 0, Outcome.NOTE, STORED_AGAIN)
            return replace(decision.write, lost=note)
        return decision.write
