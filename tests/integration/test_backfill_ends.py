"""A backfill by the shipped loop, against a real Redis: the slot at its end is sent."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from habeat import cron
from tests.integration.hostile.world import QUEUE, World
from tests.support.servers.redis_server import Server

HOUR = timedelta(hours=1)


@pytest.fixture
def world(valkey: Server) -> Iterator[World]:
    made = World(valkey)
    yield made
    made.close()


def test_a_backfill_sends_the_slot_at_its_end_and_not_the_one_at_its_start(world: World) -> None:
    this_hour = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    hours = [this_hour - each * HOUR for each in (5, 4, 3)]
    world.client.add("hourly", "proj.tick", cron("0 * * * *"), options={"queue": QUEUE})
    world.client.backfill("hourly", hours[0], hours[-1])
    world.turn_until(lambda: not world.admin.hlen(world.keys.requests))
    world.fires(2)
    found = [fields for _, fields in world.admin.xrange(world.keys.ledger)]
    sent = sorted(
        int(fields[b"slot"])
        for fields in found
        if fields.get(b"entry") == b"hourly"
        and fields.get(b"outcome") in (b"sent", b"late")
        and int(fields[b"slot"]) < this_hour.timestamp() * 1_000
    )
    assert sent == [int(each.timestamp() * 1_000) for each in hours[1:]]
