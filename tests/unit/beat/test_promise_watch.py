"""Alarms for slots that are not sent in time: one for each slot, whichever replica looks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import pytest

from habeat import log
from habeat.beat.events.promises import EVERY_MS, LINES, PAGE, SELDOM, PromiseWatch
from habeat.core.firing import Outcome
from habeat.core.promises import BrokenPromise
from habeat.ports import StoreUnavailable
from habeat.store.inspection import Record
from habeat.store.promises import Unsent
from tests.unit.engine.world import FakeClock

NOW_MS = 1_800_000_000_000
LATE = Record(
    entry="a",
    slot_ms=NOW_MS - 9_000,
    outcome=Outcome.LATE,
    reason="",
    count=1,
    last_ms=NOW_MS - 9_000,
    lease_epoch=1,
    lateness_ms=9_000,
    attempt=1,
    at_ms=NOW_MS,
)


@dataclass
class Store:
    """`PromiseStore` over lists."""

    promises: dict[str, int] = field(default_factory=dict)
    waiting: list[Unsent] = field(default_factory=list)
    flying: list[Unsent] = field(default_factory=list)
    ledger: list[Record] = field(default_factory=list)
    alarmed: dict[str, int] = field(default_factory=dict)
    read: list[str] = field(default_factory=list)
    pages: int = 0
    reply_lost: bool = False

    def now_ms(self) -> int:
        return NOW_MS

    def outcomes(self) -> Mapping[str, int]:
        return {"late": len(self.ledger)}

    def records(self, after: str, count: int) -> Sequence[Record]:
        self.pages += 1
        numbers = [int(record.id.partition("-")[2]) for record in self.ledger]
        last = int(after.partition("-")[2])
        return [r for r, n in zip(self.ledger, numbers, strict=True) if n > last][:count]

    def overdue(self, before_ms: int, offset: int, count: int) -> tuple[Sequence[Unsent], bool]:
        due = [each for each in self.waiting if each.due_ms <= before_ms]
        return due[offset : offset + count], len(due) > offset + count

    def in_flight(self, before_ms: int, count: int) -> Sequence[Unsent]:
        return [each for each in self.flying if each.due_ms <= before_ms][:count]

    def start_by_ms(self, names: Sequence[str]) -> dict[str, int]:
        self.read += names
        return {name: self.promises[name] for name in names if name in self.promises}

    def alarm(self, entry: str, slot_ms: int, count: int) -> bool:
        is_new = self.alarmed.get(entry, 0) < slot_ms
        self.alarmed[entry] = max(slot_ms, self.alarmed.get(entry, 0))
        if self.reply_lost:
            self.reply_lost = False
            raise StoreUnavailable("unreachable", "the reply is lost")
        return is_new

    def record(self, *records: Record) -> None:
        for each in records:
            self.ledger.append(replace(each, id=f"{NOW_MS}-{len(self.ledger) + 1}"))


class Replica:
    """A watch, and the alarms that it raised."""

    def __init__(self, store: Store, *, leads: bool = True) -> None:
        self.alarms: list[BrokenPromise] = []
        self.clock, self.leads = FakeClock(), leads
        self.watch = PromiseWatch(store, self.clock, self.alarms.append)  # type: ignore[arg-type]

    def look(self) -> list[str]:
        """The entries that it raises an alarm for, once it has looked everywhere."""
        before = len(self.alarms)
        for _ in range(SELDOM):
            self.clock.advance(EVERY_MS)
            self.watch._anchored_until_ms = 0  # Redis' time stands still in these tests
            self.watch.look(leads=self.leads)
        return [each.entry for each in self.alarms[before:]]


@pytest.fixture
def store() -> Store:
    return Store(promises={"a": 5_000})


def unsent(entry: str, late_ms: int) -> Unsent:
    return Unsent(entry, NOW_MS - late_ms, NOW_MS - late_ms)


def test_a_slot_that_waits_for_longer_than_promised_is_alarmed_of_once(store: Store) -> None:
    replica = Replica(store)
    store.waiting = [unsent("a", 4_000), unsent("b", 60_000)]
    assert replica.look() == []
    store.waiting = [unsent("a", 5_001), unsent("b", 60_000)]
    assert replica.look() == ["a"]
    assert replica.look() == []
    broken = replica.alarms[0]
    assert (broken.outcome, broken.late_ms, broken.start_by_ms) == (None, 5_001, 5_000)


def test_a_slot_in_flight_is_alarmed_of_too(store: Store) -> None:
    store.flying = [unsent("a", 6_000)]
    assert Replica(store).look() == ["a"]


def test_only_what_is_overdue_is_read(store: Store) -> None:
    store.waiting = [unsent("a", 500), unsent("a", -60_000)]
    Replica(store).look()
    assert store.read == []


def test_the_ledger_is_read_only_when_a_slot_ended_otherwise_than_in_time(store: Store) -> None:
    replica = Replica(store)
    replica.look()
    pages = store.pages
    for _ in range(5):
        replica.look()
    assert store.pages == pages
    store.record(LATE)
    assert replica.look() == ["a"]
    assert store.pages > pages


def test_a_slot_that_waited_and_was_then_sent_late_is_alarmed_of_once(store: Store) -> None:
    replica = Replica(store)
    store.waiting = [Unsent("a", LATE.slot_ms, LATE.slot_ms)]
    assert replica.look() == ["a"]
    store.waiting = []
    store.record(LATE)
    assert replica.look() == []


def test_each_slot_has_its_own_alarm_and_a_run_of_slots_has_one(store: Store) -> None:
    replica = Replica(store)
    missed = replace(LATE, outcome=Outcome.MISSED, lateness_ms=0)
    run = replace(missed, slot_ms=NOW_MS - 8_000, last_ms=NOW_MS - 6_000, count=3)
    store.record(LATE, run)
    assert replica.look() == ["a", "a"]
    assert [each.count for each in replica.alarms] == [1, 3]


def test_firings_by_hand_promise_nothing(store: Store) -> None:
    store.record(replace(LATE, request="by hand"))
    assert Replica(store).look() == []


def test_two_replicas_raise_one_alarm(store: Store) -> None:
    store.waiting = [unsent("a", 6_000)]
    standbys = Replica(store, leads=False), Replica(store, leads=False)
    assert [standby.look() for standby in standbys] == [["a"], []]
    store.record(replace(LATE, slot_ms=NOW_MS - 6_000, last_ms=NOW_MS - 6_000))
    assert Replica(store).look() == []


def test_an_alarm_whose_reply_was_lost_is_raised_at_the_next_look(store: Store) -> None:
    replica = Replica(store)
    store.waiting, store.reply_lost = [unsent("a", 6_000)], True
    with pytest.raises(StoreUnavailable):
        replica.look()
    assert replica.look() == ["a"]
    assert replica.look() == []


def test_of_an_outage_some_entries_are_logged_and_all_are_announced(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    names = [f"e{number}" for number in range(3 * PAGE)]
    store.promises = dict.fromkeys(names, 1_000)
    store.waiting = [unsent(name, 60_000) for name in names]
    heard: list[log.Event] = []
    log.listeners.append(heard.append)
    replica = Replica(store)
    assert replica.look() == names
    replica.clock.advance(60_000)
    replica.look()
    log.listeners.remove(heard.append)
    lines = [each.getMessage() for each in caplog.records]
    assert len(lines) == LINES + 1
    assert "entry 'e0': the slot 2027-01-15T07:59:00Z has not been sent for 60.0 s" in lines[0]
    assert f"{len(names) - LINES} more slots were not sent" in lines[-1]
    assert [event.entry for event in heard if event.entry] == names
