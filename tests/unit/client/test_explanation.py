"""Which slot an instant means; and of random histories, what became of each slot.

The history here is the oracle: it knows what it did with each slot, and how the slots follow from
the period, without asking habeat.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

import habeat
from habeat.client import Explanation
from habeat.client.explanation.gathering import explained
from habeat.client.explanation.which_slot import last_slot_ms, next_slot_ms
from habeat.core.controls import Controls
from habeat.core.data_loss import NO_LOSS
from habeat.core.entry import Entry, EntryState
from habeat.core.firing import Outcome
from habeat.core.lease import Token
from habeat.ports.entries import Snapshot, Stored
from habeat.schedules import Schedule
from habeat.schedules.custom import Code
from habeat.schedules.schedule import moment
from habeat.store.inspection import Record
from habeat.store.slots import SlotTraces

DAY_MS = 86_400_000
FROM_MS = 1_790_000_000_000

SCHEDULES: list[Schedule] = [
    habeat.every(7, offset=3),
    habeat.every(3_600, align="epoch"),
    habeat.cron("*/7 8-17 * * mon-fri", tz="Europe/Berlin"),
    habeat.cron("30 2 * * *", tz="Europe/Berlin"),
    habeat.cron("0 3 1 * *", tz="UTC"),
]


@given(st.sampled_from(SCHEDULES), st.integers(0, 400 * DAY_MS))
def test_the_last_slot_is_the_one_that_the_next_one_follows(schedule: Schedule, at: int) -> None:
    entry = Entry("e", "t", schedule)
    last_ms = last_slot_ms(entry, FROM_MS + at)
    assert last_ms is not None
    assert last_ms <= FROM_MS + at
    assert entry.next_slot_ms(last_ms - 1) == last_ms
    following_ms = next_slot_ms(entry, last_ms)
    assert following_ms is not None
    assert following_ms > FROM_MS + at


def test_a_slot_is_its_own_last_one() -> None:
    entry = Entry("e", "t", SCHEDULES[0])
    slots = [FROM_MS]
    while len(slots) < 20:
        slots.append(entry.next_slot_ms(slots[-1]) or 0)
    for earlier_ms, slot_ms in pairwise(slots[1:]):
        assert last_slot_ms(entry, slot_ms) == slot_ms
        assert last_slot_ms(entry, slot_ms - 1) == earlier_ms


def test_before_the_first_and_for_schedules_of_code_there_is_none() -> None:
    begins = Entry("e", "t", SCHEDULES[1], start_ms=FROM_MS)
    assert last_slot_ms(begins, FROM_MS - 1) is None
    assert last_slot_ms(Entry("e", "t", Code("proj.Tides()")), FROM_MS) is None


# -- random histories ---------------------------------------------------------------------------


class History:
    """The life of one entry, slot by slot, and what it leaves in Redis.

    `slots` is the truth: the outcome of each slot that there was.
    """

    def __init__(self) -> None:
        self.period_ms, self.now_ms, self.cursor_ms = 60_000, FROM_MS, FROM_MS
        self.records: list[Record] = []
        self.slots: dict[int, Record] = {}
        self.runs: dict[int, tuple[int, int]] = {}
        self.epoch, self.rev = FROM_MS - 5_000, 1

    def next_ms(self) -> int:
        return (self.cursor_ms // self.period_ms + 1) * self.period_ms

    def record(self, first_ms: int, outcome: Outcome, reason: str, **fields: Any) -> Record:
        """Write a record now."""
        given = {"count": 1, "last_ms": first_ms, "lateness_ms": 0, "attempt": 0, **fields}
        found = Record(
            entry=given.pop("entry", "e"),
            slot_ms=first_ms,
            outcome=outcome,
            reason=reason,
            lease_epoch=self.epoch,
            at_ms=self.now_ms,
            id=f"{self.now_ms}-{len(self.records)}",
            **given,
        )
        self.records.append(found)
        return found

    def fire(self, late_ms: int) -> None:
        slot_ms = self.cursor_ms = self.next_ms()
        self.now_ms = max(self.now_ms, slot_ms + late_ms)
        outcome = Outcome.LATE if late_ms > 1_000 else Outcome.SENT
        late_ms = self.now_ms - slot_ms
        self.slots[slot_ms] = self.record(slot_ms, outcome, "", lateness_ms=late_ms, attempt=1)

    def run(self, count: int, outcome: Outcome, reason: str) -> None:
        first_ms = self.next_ms()
        last_ms = self.cursor_ms = first_ms + (count - 1) * self.period_ms
        self.now_ms = max(self.now_ms, last_ms)
        found = self.record(first_ms, outcome, reason, count=count, last_ms=last_ms)
        for slot_ms in range(first_ms, last_ms + 1, self.period_ms):
            self.slots[slot_ms] = found

    def edit(self, period_ms: int) -> None:
        """Change the schedule before the next slot is due."""
        self.now_ms = max(self.now_ms, self.cursor_ms)
        if self.next_ms() > self.now_ms:
            self.period_ms, self.cursor_ms, self.rev = period_ms, self.now_ms, self.rev + 1

    def noise(self, which: int) -> None:
        """Records that are not outcomes of a slot of this entry."""
        slot_ms = max(self.slots, default=0)
        if which == 0:
            self.record(slot_ms, Outcome.NOTE, "left again", attempt=2)
        elif which == 1:
            self.record(slot_ms, Outcome.SENT, "backfill", request="r")
        else:
            self.record(slot_ms, Outcome.FAILED, "another entry", entry="other")

    def elect(self) -> None:
        self.epoch = max(self.epoch + 1, self.now_ms)

    @property
    def entry(self) -> Entry:
        state = EntryState(cursor_ms=self.cursor_ms, due_ms=self.next_ms())
        schedule = habeat.every(self.period_ms / 1_000, align="epoch")
        return Entry("e", "t", schedule, rev=self.rev, created_ms=FROM_MS, state=state)


STEPS = st.one_of(
    st.tuples(st.just("fire"), st.integers(0, 5_000)),
    st.tuples(
        st.just("run"),
        st.integers(1, 6),
        st.sampled_from([(Outcome.SKIPPED, "paused"), (Outcome.MISSED, "misfire: latest")]),
    ),
    st.tuples(st.just("run"), st.just(1), st.just((Outcome.FAILED, "no such queue"))),
    st.tuples(st.just("edit"), st.sampled_from([30_000, 60_000, 90_000, 300_000])),
    st.tuples(st.just("noise"), st.integers(0, 2)),
    st.tuples(st.just("elect")),
)


def lived(steps: list[Any]) -> History:
    history = History()
    for kind, *given_ in steps:
        words = [*given_[:1], *given_[1]] if kind == "run" else given_
        getattr(history, kind)(*words)
    return history


class Ledger:
    """The queries of `Inspection` that are asked, on a list of records."""

    def __init__(self, records: list[Record]) -> None:
        self.records = records

    def ledger(self, since_ms: int | None = None, *, newest_first: bool = True) -> Iterator[Record]:
        found = [each for each in self.records if each.at_ms >= (since_ms or 0)]
        return iter(found[::-1] if newest_first else found)

    def ledger_of(self, entry: str, since_ms: int | None = None) -> Iterator[Record]:
        return (each for each in self.ledger(since_ms) if each.entry == entry)

    def lateness(self, entries: list[str]) -> dict[str, Any]:
        return {}

    def controls(self) -> Controls:
        return Controls()


def explained_of(history: History, at_ms: int, kept: int) -> Explanation:
    """The explanation of this instant if the ledger has the newest `kept` records."""
    entry, records = history.entry, history.records[max(0, len(history.records) - kept) :]
    stored = Stored("e", "digest", entry, entry.state)
    oldest_ms = records[0].at_ms if records else None
    traces = SlotTraces(
        Token(history.epoch, "n"), None, "c", NO_LOSS, None, None, None, {}, oldest_ms
    )
    session: Any = SimpleNamespace(
        entries=SimpleNamespace(read=lambda names: Snapshot(history.now_ms, [stored])),
        slots=SimpleNamespace(traces=lambda *asked: traces),
        inspection=Ledger(records),
        known_tasks=SimpleNamespace(read=lambda: None),
        changes=SimpleNamespace(last_of=lambda name: None),
        events=SimpleNamespace(newest_first=lambda since_ms, until_ms: iter(())),
    )
    calls: Any = SimpleNamespace(
        guard=habeat.Guard(prefix="e"), check=lambda done: None, read=lambda ask: ask(session)
    )
    return explained(calls, "e", at_ms, "UTC", lambda entry: None)


@given(st.lists(STEPS, max_size=25), st.data())
def test_of_a_random_history_each_slot_is_explained_as_it_was(
    steps: list[Any], data: st.DataObject
) -> None:
    history = lived(steps)
    at_ms = data.draw(st.integers(FROM_MS - 200_000, history.now_ms + 400_000))
    found = explained_of(history, at_ms, kept=len(history.records))
    slot_ms = found.slot and round(found.slot.timestamp() * 1_000)
    if at_ms >= history.next_ms():
        assert slot_ms == at_ms - at_ms % history.period_ms
        assert found.outcome == ("to come" if slot_ms > history.now_ms else "pending")
        return
    there = [each for each in history.slots if each <= at_ms]
    if not there:
        assert found.outcome in ("no slot", "unknown")
        return
    truth = history.slots[max(there)]
    assert slot_ms in there
    assert history.slots[slot_ms] is truth
    if truth.count == 1 or truth.last_ms <= at_ms:
        assert slot_ms == max(there)
    assert (found.outcome, found.reason) == (truth.outcome, truth.reason)
    assert found.lease_epoch == truth.lease_epoch
    fired = truth.outcome in (Outcome.SENT, Outcome.LATE)
    assert found.lateness_ms == (truth.lateness_ms if fired else None)
    assert found.fired_at == (moment(truth.slot_ms + truth.lateness_ms) if fired else None)
    assert found.sentence.startswith("fired at " if fired else "not fired: ")


@given(st.lists(STEPS, min_size=1, max_size=25), st.data())
def test_what_the_ledger_has_lost_is_unknown_and_never_wrong(
    steps: list[Any], data: st.DataObject
) -> None:
    history = lived(steps)
    at_ms = data.draw(st.integers(FROM_MS, history.next_ms() - 1))
    kept = data.draw(st.integers(0, len(history.records)))
    found = explained_of(history, at_ms, kept)
    there = [each for each in history.slots if each <= at_ms]
    truth = history.slots[max(there)] if there else None
    left = history.records[len(history.records) - kept :]
    if truth is not None and truth in left:
        assert (found.outcome, found.reason) == (truth.outcome, truth.reason)
    else:
        assert found.outcome in ("unknown", "no slot")
