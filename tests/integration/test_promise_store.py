"""What a watcher of `start_by` reads and remembers, on a real server."""

from __future__ import annotations

from typing import Any

import pytest

from habeat.core.entry import Entry
from habeat.entries.codec import encode
from habeat.schedules import every
from habeat.store.calling import Caller
from habeat.store.keys import Keys
from habeat.store.promises import ALARMED_MAX, BROKEN, PromiseStore, Unsent
from tests.integration.scripts.bench import One
from tests.support.servers.redis_server import Server

KEYS = Keys("habeat:promises")


@pytest.fixture
def admin(valkey: Server) -> Any:
    return valkey.client()


@pytest.fixture
def store(admin: Any) -> PromiseStore:
    return PromiseStore(Caller(One(admin), KEYS))


def stored(name: str, **fields: Any) -> bytes:
    return encode(Entry(name, "task", every(60), **fields))


def test_promises_are_read_from_definitions_and_nothing_else_counts_as_one(
    store: PromiseStore, admin: Any
) -> None:
    entries = {
        "with": stored("with", start_by_ms=5_000),
        "without": stored("without"),
        "in the arguments": stored("x", kwargs={"start_by_ms": 7_000}),
        "damaged": b'{"start_by_ms": 7000',
        "wrong": b'{"start_by_ms": "soon"}',
        "a list": b'["start_by_ms"]',
    }
    admin.hset(KEYS.entries, mapping=entries)
    assert store.start_by_ms([*entries, "gone"]) == {"with": 5_000}
    assert store.start_by_ms([]) == {}


def test_overdue_slots_come_oldest_first_page_by_page(store: PromiseStore, admin: Any) -> None:
    due = {f"e{number}": 1_000 + number for number in range(5)} | {"later": 9_000}
    admin.zadd(KEYS.due, due)
    admin.hset(KEYS.state, mapping={f"e{n}": f"900|{990 + n}|token||0" for n in range(5)})
    pages = [store.overdue(2_000, offset, 3) for offset in (0, 3, 6)]
    assert pages == [
        ([Unsent("e0", 990, 1_000), Unsent("e1", 991, 1_001), Unsent("e2", 992, 1_002)], True),
        ([Unsent("e3", 993, 1_003), Unsent("e4", 994, 1_004)], False),
        ([], False),
    ]


def test_what_has_no_slot_or_was_sent_meanwhile_is_not_overdue(
    store: PromiseStore, admin: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Redis may be emptied, or a slot be sent, between the two commands that read them."""
    admin.zadd(KEYS.due, {"no state": 1_000, "damaged": 1_000, "no slot": 1_000, "sent": 1_000})
    states = {"damaged": "damaged", "no slot": "900||token||0", "sent": "900|1000|token||0"}
    admin.hset(KEYS.state, mapping=states)
    read = admin.__class__.hmget

    def racing(client: Any, *words: Any) -> Any:
        admin.zadd(KEYS.due, {"sent": 61_000})
        admin.hset(KEYS.state, "sent", "1000|61000|token|1000|1")
        return read(client, *words)

    monkeypatch.setattr(admin.__class__, "hmget", racing)
    assert store.overdue(2_000, 0, 10) == ([], False)


def test_slots_in_flight_are_read_without_those_by_hand_and_damaged_ones(
    store: PromiseStore, admin: Any
) -> None:
    intents = {
        "a@b@1000": b"token\n1\n1005\nkind\nmessage\nof lines",
        "by hand@1000#id": b"token\n1\n1005\nkind\nmessage",
        "later@5000": b"token\n1\n5000\nkind\nmessage",
        "damaged@1000": b"token",
    }
    admin.hset(KEYS.inflight, mapping=intents)
    admin.zadd(KEYS.inflight_due, dict.fromkeys([*intents, "gone@1"], 1))
    assert store.in_flight(2_000, 10) == [Unsent("a@b", 1_000, 1_005)]


def test_a_slot_is_alarmed_of_once_and_counted_once(store: PromiseStore, admin: Any) -> None:
    assert store.alarm("a", 1_000, 1)
    assert not store.alarm("a", 1_000, 1)
    assert not store.alarm("a", 999, 1)
    assert store.alarm("a", 2_000, 3)
    assert store.alarm("b", 1_000, 1)
    assert admin.hget(KEYS.meta, BROKEN) == b"5"


def test_what_is_remembered_is_bounded(store: PromiseStore, admin: Any) -> None:
    admin.zadd(KEYS.alarmed, {f"e{number}": number + 1 for number in range(ALARMED_MAX)})
    assert store.alarm("new", 10**12, 1)
    assert admin.zcard(KEYS.alarmed) <= ALARMED_MAX
    assert not store.alarm("new", 10**12, 1)


def test_outcomes_that_were_counted_are_read(store: PromiseStore, admin: Any) -> None:
    admin.hset(KEYS.outcomes, mapping={"late": 3, "failed": "damaged"})
    assert store.outcomes() == {"late": 3}
