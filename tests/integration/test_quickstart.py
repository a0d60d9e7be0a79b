"""examples/quickstart as it stands: a real beat and a real worker on it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from habeat import Client
from habeat.client import LedgerRecord
from habeat.config.redis_target import redis_target
from habeat.core.entry import Entry
from habeat.ports.entries import Position, Write
from habeat.store.calling import Caller
from habeat.store.connection import Connections
from habeat.store.entries import EntryStore
from habeat.store.keys import Keys
from tests import ROOT
from tests.support.servers.processes import Processes, until
from tests.support.servers.redis_server import Server

QUICKSTART = ROOT / "examples" / "quickstart"
LONDON = ZoneInfo("Europe/London")
QUEUES = {"morning-digest": "mail", "refresh-cache": "cache", "sunday-clean-up": "maintenance"}


@pytest.fixture
def environment(valkey: Server) -> dict[str, str]:
    """The only thing that is not as in the README: where the broker is."""
    path = os.pathsep.join(map(str, (QUICKSTART, ROOT / "src")))
    return {"CELERY_BROKER_URL": valkey.url(), "PYTHONPATH": path}


@pytest.fixture
def client(valkey: Server) -> Iterator[Client]:
    with Client(valkey.url(), prefix="habeat:proj") as client:
        yield client


def start_beat(processes: Processes, environment: dict[str, str], client: Client) -> None:
    processes.beat("proj", env=environment)
    until(lambda: set(QUEUES) <= set(entries_of(client)), 20, "the three entries are stored")


def entries_of(client: Client) -> dict[str, Entry]:
    """All but Celery's own, which cleans up results."""
    return {entry.name: entry for entry in client.list() if not entry.name.startswith("celery.")}


def next_at(now: datetime, hour: int, weekday: int | None = None) -> datetime:
    """The first `hour`:00 in London after `now`, on a day of the week if one is given."""
    day = now.astimezone(LONDON).date()
    while True:
        slot = datetime(day.year, day.month, day.day, hour, tzinfo=LONDON)
        if slot > now and weekday in (None, day.weekday()):
            return slot
        day += timedelta(days=1)


def test_the_entries_are_stored_with_their_slots_and_queues(
    processes: Processes, environment: dict[str, str], client: Client
) -> None:
    start_beat(processes, environment, client)
    entries = entries_of(client)
    assert {name: entry.options["queue"] for name, entry in entries.items()} == QUEUES
    assert {entry.owner for entry in entries.values()} == {"config"}

    created = datetime.fromtimestamp(entries["refresh-cache"].created_ms / 1000, UTC)
    digest, refresh, clean_up = (entries[name].state.next_due for name in QUEUES)
    assert digest == next_at(created, 8)
    assert clean_up == next_at(created, 2, weekday=6)
    assert entries["sunday-clean-up"].args == (90,)
    assert refresh is not None
    assert timedelta(0) < refresh - created <= timedelta(seconds=300)


def make_due(valkey: Server, name: str) -> int:
    """Set the entry's cursor back to before its last slot; that slot, in Unix ms."""
    connections = Connections(redis_target(valkey.url(), {}))
    store = EntryStore(Caller(connections, Keys("habeat:proj")))
    try:
        snapshot = store.read([name])
        (stored,) = snapshot.stored
        assert stored.entry is not None
        following_ms = stored.entry.next_slot_ms(snapshot.now_ms)
        assert following_ms is not None
        slot_ms = following_ms - 300_000
        position = Position(slot_ms - 1, slot_ms, slot_ms)
        assert store.write([Write(name, stored.digest, b"", position=position)]) is None
    finally:
        connections.close()
    return slot_ms


def test_the_cache_is_refreshed_by_the_worker_once(
    valkey: Server, processes: Processes, environment: dict[str, str], client: Client
) -> None:
    worker = processes.worker("proj", ["-Q", "cache", "-l", "INFO"], env=environment)
    start_beat(processes, environment, client)
    slot_ms = make_due(valkey, "refresh-cache")
    worker.wait_for_log("the cache is fresh")
    # The grid's own slot comes while this runs, once in a hundred times: it is dispatched as well.
    until(
        lambda: worker.log().count("the cache is fresh") == len(records_of(client)), 10, "all ran"
    )
    records = records_of(client)
    slots_ms = sorted(int(record.slot.timestamp() * 1000) for record in records)
    assert slots_ms in ([slot_ms], [slot_ms, slot_ms + 300_000])
    assert {record.outcome for record in records} <= {"sent", "late"}
    entry = client.get("refresh-cache")
    assert entry.state.fired == len(records)
    assert entry.state.next_slot_ms == slots_ms[-1] + 300_000


def records_of(client: Client) -> list[LedgerRecord]:
    return client.history("refresh-cache")
