"""Where the next leader goes on in the ledger, on a real server."""

from __future__ import annotations

from typing import Any

import pytest

from habeat.store.calling import Caller
from habeat.store.keys import Keys
from habeat.store.ledger_feed import OLDEST_MS, REPORTED, LedgerFeed
from tests.integration.scripts.bench import One
from tests.support.servers.redis_server import Server

KEYS = Keys("habeat:feed")


@pytest.fixture
def admin(valkey: Server) -> Any:
    return valkey.client()


@pytest.fixture
def feed(admin: Any) -> LedgerFeed:
    return LedgerFeed(Caller(One(admin), KEYS))


def long_ago(admin: Any) -> str:
    """The id of a record that was written a minute ago."""
    return f"{int(admin.time()[0]) * 1_000 - 60_000}-0"


def write(admin: Any, number: int, identity: str = "*") -> str:
    words = {"entry": f"e{number}", "slot": "1800000000000", "outcome": "sent", "late": "3"}
    return str(admin.xadd(KEYS.ledger, words, id=identity).decode())


def entries(feed: LedgerFeed, after: str, count: int = 100) -> list[str]:
    return [record.entry for record in feed.read(after, count)]


def test_the_first_leader_of_all_begins_with_the_present(feed: LedgerFeed, admin: Any) -> None:
    write(admin, 1, long_ago(admin))
    start = feed.position()
    write(admin, 2)
    assert entries(feed, start) == ["e2"]


def test_the_next_leader_goes_on_after_what_was_reported(feed: LedgerFeed, admin: Any) -> None:
    identities = [write(admin, number) for number in range(5)]
    feed.keep(identities[1])
    assert entries(feed, feed.position(), 2) == ["e2", "e3"]
    assert entries(feed, identities[3]) == ["e4"]
    assert entries(feed, identities[4]) == []


@pytest.mark.parametrize("damaged", ["", "x", "9" * 30 + "-0", "999999999999999-0", "-1-0", "1"])
def test_a_damaged_position_counts_as_the_present(
    feed: LedgerFeed, admin: Any, damaged: str
) -> None:
    write(admin, 1, long_ago(admin))
    admin.hset(KEYS.meta, REPORTED, damaged)
    start = feed.position()
    assert entries(feed, start) == []
    write(admin, 2)
    assert entries(feed, start) == ["e2"]


def test_what_is_too_old_is_not_reported(feed: LedgerFeed, admin: Any) -> None:
    now_ms = int(admin.time()[0]) * 1_000
    write(admin, 1, f"{now_ms - OLDEST_MS - 60_000}-0")
    write(admin, 2, f"{now_ms - OLDEST_MS + 60_000}-0")
    feed.keep(f"{now_ms - OLDEST_MS - 120_000}-0")
    assert entries(feed, feed.position()) == ["e2"]
