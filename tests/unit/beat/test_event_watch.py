"""Which signals are sent for what the ledger has, and where a leader goes on."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from habeat import log, signals
from habeat.beat.events.receivers import Receivers
from habeat.beat.events.watch import OF_EVENT, OF_OUTCOME, PAGE, EventWatch, Leading
from habeat.clock import SystemClock
from habeat.core.events import EventCode
from habeat.core.firing import Firing, Outcome
from habeat.log import log_event
from habeat.signals import EventSignal
from habeat.store.inspection import Record
from tests.support.servers.children import until

SLOT_MS = 1_800_000_000_000
SENT = Record(
    entry="a",
    slot_ms=SLOT_MS,
    outcome=Outcome.SENT,
    reason="",
    count=1,
    last_ms=SLOT_MS,
    lease_epoch=1,
    lateness_ms=3,
    attempt=1,
    at_ms=SLOT_MS + 3,
)


@dataclass
class Feed:
    """`LedgerFeed` over a list."""

    records: list[Record] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    reads: int = 0

    def add(self, *records: Record) -> None:
        for record in records:
            self.records.append(replace(record, id=f"{len(self.records) + 1}-0"))

    def position(self) -> str:
        return self.kept[-1] if self.kept else "0-0"

    def keep(self, position: str) -> None:
        self.kept.append(position)

    def read(self, after: str, count: int) -> Sequence[Record]:
        self.reads += 1
        start = int(after.partition("-")[0])
        return self.records[start : start + count]


@dataclass
class World:
    feed: Feed
    watch: EventWatch
    leads: bool = True
    got: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def connect(self, *wanted: EventSignal) -> None:
        for signal in wanted:
            signal.connect(self._note, dispatch_uid="test", weak=False)

    def _note(self, signal: EventSignal, sender: object, **facts: Any) -> None:
        self.got.append((signal.name, facts))

    def names(self, count: int) -> list[str]:
        until(lambda: len(self.got) >= count, 10, "all signals have come")
        return [name for name, _ in self.got]


@pytest.fixture
def world() -> Iterator[World]:
    feed, clock = Feed(), SystemClock()
    made: World
    watch = EventWatch(
        feed=feed,  # type: ignore[arg-type]
        promises=None,
        webhook=None,
        pings=None,
        receivers=Receivers("app", clock),
        leading=lambda: Leading(made.leads, "cluster"),
        clock=clock,
        replica="aa",
        host="h",
    )
    made = World(feed, watch)
    yield made
    watch.close()
    for signal in every_signal():
        signal.disconnect(dispatch_uid="test")


def every_signal() -> list[EventSignal]:
    return [getattr(signals, name) for name in signals.__all__]


def test_a_signal_has_the_name_of_its_code() -> None:
    assert {signal.name for signal in every_signal()} == set(signals.__all__)
    assert {signal.name for signal in every_signal()} <= set(EventCode)
    assert {str(code) for code, (signal, _) in OF_EVENT.items() if signal.name != str(code)} == {
        "handing_over"
    }


def test_each_outcome_of_a_slot_has_its_signal(world: World) -> None:
    world.connect(*set(OF_OUTCOME.values()))
    world.feed.add(*(replace(SENT, outcome=outcome) for outcome in Outcome))
    world.watch.round()
    expected = [OF_OUTCOME[outcome].name for outcome in Outcome if outcome in OF_OUTCOME]
    assert world.names(len(expected)) == expected


def test_a_signal_tells_what_the_ledger_does_with_all_its_documented_arguments(
    world: World,
) -> None:
    world.connect(signals.slot_dispatched)
    world.feed.add(SENT)
    world.watch.round()
    world.names(1)
    facts = world.got[0][1]
    assert facts == {
        "entry": "a",
        "slot": datetime.fromtimestamp(SLOT_MS / 1_000, UTC),
        "until": datetime.fromtimestamp(SLOT_MS / 1_000, UTC),
        "count": 1,
        "outcome": "sent",
        "reason": "",
        "lateness_ms": 3,
        "attempt": 1,
        "task_id": Firing("a", SLOT_MS, SLOT_MS).task_id("cluster"),
        "request_id": None,
        "at": datetime.fromtimestamp((SLOT_MS + 3) / 1_000, UTC),
        "replica": "aa",
        "host": "h",
    }
    assert facts.keys() == signals.slot_dispatched.providing_args


def test_nothing_is_read_while_no_receiver_wants_a_slot(world: World) -> None:
    world.connect(signals.leader_lost)
    world.feed.add(SENT)
    world.watch.round()
    assert world.feed.reads == 0


def test_only_the_leader_reports_and_its_heir_goes_on_where_it_stopped(world: World) -> None:
    world.connect(signals.slot_dispatched)
    world.leads = False
    world.feed.add(*[SENT] * (PAGE + 5))
    world.watch.round()
    assert world.feed.reads == 0
    world.leads = True
    world.watch.round()
    assert len(world.names(PAGE + 5)) == PAGE + 5
    assert world.feed.kept[-1] == f"{PAGE + 5}-0"
    world.leads = False
    world.watch.round()
    world.feed.add(replace(SENT, entry="next"))
    world.leads = True
    world.watch.round()
    world.names(PAGE + 6)
    assert [facts["entry"] for _, facts in world.got[PAGE + 5 :]] == ["next"]


def test_a_damaged_record_is_left_out_and_the_others_follow(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.connect(signals.slot_dispatched)
    world.feed.add(replace(SENT, entry="\udcff"), SENT)
    world.watch.round()
    world.names(1)
    assert world.got[0][1]["entry"] == "a"
    assert world.feed.kept == ["2-0"]
    assert "cannot be reported" in caplog.text


def test_events_of_the_log_are_signals_whatever_its_level(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("CRITICAL", "habeat")
    world.connect(*every_signal())
    world.leads = False
    world.watch.start()
    for code in OF_EVENT:
        log_event(code, "habeat: %s", "it happened", entry="a", cause="why", lease_epoch=7)
    assert world.names(len(OF_EVENT)) == [signal.name for signal, _ in OF_EVENT.values()]
    for (name, facts), (signal, _) in zip(world.got, OF_EVENT.values(), strict=True):
        assert facts.keys() == signal.providing_args, name
    world.watch.close()
    assert world.watch._happened not in log.listeners


def test_the_reference_lists_each_signal_that_is_sent_with_its_arguments() -> None:
    page = (Path(__file__).parents[3] / "docs" / "reference" / "python-api.md").read_text()
    rows = dict(re.findall(r"^\| `(\w+)` \| [^|]* \| ([^|]*) \|$", page, re.MULTILINE))
    slots = rows["slot_dispatched"]
    for signal in every_signal():
        told = rows[signal.name].replace("the same", slots)
        assert {"at", "replica", "host", *re.findall(r"`(\w+)`", told)} == signal.providing_args
