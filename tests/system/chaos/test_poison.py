"""Bad entries beside healthy ones, and a Redis user with only the documented permissions. Bad
entries are set aside or wait; the others are not affected."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from kombu import Connection

import habeat
from tests import DOCS
from tests.support.servers.children import until
from tests.support.servers.redis_server import Server, redis70_binary
from tests.system.acceptance.durations import FULL
from tests.system.chaos import inflicting
from tests.system.chaos.arena import Arena
from tests.system.chaos.conftest import BOTH, MakeArena
from tests.verification.history.events import Kind

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

GARBLED, OF_AN_UNKNOWN_KIND, OF_NO_SCHEDULE = (f"e{number:05d}" for number in range(3))
SCHEDULE = """{
    **{f"e{i:05d}": {"task": "proj.work", "schedule": 1.0} for i in range(60)},
    "no-entity": {"task": "proj.work", "schedule": 1.0, "options": {"declare": ["x"]}},
    "not-storable": {"task": "proj.work", "schedule": 1.0, "args": (object(),)},
}"""
FOREIGN = "celery-foreign"
SICK = frozenset({"no-entity"})
#: Two looks at what is none of habeat's, at start, whose refusal is an answer too.
LOOKS = ("habeat.probe.", "redbeat::schedule", "{habeat}:prefixes")
CONNECTIONS = DOCS / "reference" / "connections.md"


@pytest.mark.parametrize("dispatch", BOTH if FULL else ("atomic",))
def test_bad_entries_and_a_user_with_few_rights(
    request: pytest.FixtureRequest,
    arena_on: MakeArena,
    private_server: Callable[..., Server],
    dispatch: str,
) -> None:
    rabbit = request.getfixturevalue("rabbitmq") if dispatch == "outbox" else None
    server = private_server(redis70_binary(), aclfile=f"user beat {_rights(rabbit is None)}\n")
    url = f"redis://beat:secret@{server.host}:{server.port}/0"
    conf = {"habeat_redis_url": url, **({"broker_url": url} if rabbit is None else {})}
    arena = arena_on(server, rabbit, SCHEDULE, proxied=False, conf=conf)
    arena.sick = SICK
    _take_the_queue(arena)
    arena.start()
    with arena.during(Kind.POISON):
        _poison(arena)
        with habeat.Client(server.url(), prefix="habeat:proj") as client:
            soon = datetime.now(UTC) + timedelta(seconds=1)
            to_foreign = {"queue": FOREIGN}
            client.add("foreign-queue", "proj.work", habeat.once(soon), options=to_foreign)
        arena.fires()
        inflicting.kill(arena, arena.leader())
        arena.fires()
        inflicting.stop(arena, arena.leader())
        arena.fires()
        arena.top_up()
        until(lambda: _given_up(arena), 60, arena.beats.logs)
    refused: Any = server.admin.acl_log()
    assert [line for line in refused if not any(look in line["object"] for look in LOOKS)] == []
    arena.finish()


def _take_the_queue(arena: Arena) -> None:
    """The queue's key has another type."""
    if arena.queue is None:
        assert arena.server is not None
        arena.server.admin.set(FOREIGN, "no list")
    else:
        with Connection(arena.queue.url) as connection:
            connection.default_channel.queue_declare(FOREIGN, durable=False, auto_delete=False)


def _given_up(arena: Arena) -> bool:
    found: Any = arena.beats.client.xrange(arena.beats.key("ledger"))
    outcomes = [fields[b"outcome"] for _, fields in found if fields[b"entry"] == b"foreign-queue"]
    return outcomes == [b"failed"]


def _poison(arena: Arena) -> None:
    client, entries = arena.beats.client, arena.beats.key("entries")
    definition = json.loads(client.hget(entries, OF_AN_UNKNOWN_KIND))  # type: ignore[arg-type]
    lunar = {**definition, "schedule": {"kind": "lunar", "phase": "full"}}
    bare = {key: value for key, value in definition.items() if key != "schedule"}
    client.hset(entries, GARBLED, b'{"v": 1, "schedule": {"kind": "interval", "every": "\xff"')
    client.hset(entries, OF_AN_UNKNOWN_KIND, json.dumps(lunar))
    client.hset(entries, OF_NO_SCHEDULE, json.dumps(bare))
    bad = {GARBLED, OF_AN_UNKNOWN_KIND, OF_NO_SCHEDULE}
    until(lambda: _quarantined(arena) == bad, 30, arena.beats.logs)


def _quarantined(arena: Arena) -> set[str]:
    found: Any = arena.beats.client.hkeys(arena.beats.key("quarantine"))
    return {name.decode() for name in found}


def _rights(with_broker: bool) -> str:
    """The permissions in docs/reference/connections.md, word for word."""
    text = CONNECTIONS.read_text()
    found = re.search(r"ACL SETUSER beat (.*?)```", text, re.DOTALL)
    assert found, "the documented permissions have moved"
    more = re.search(r"atomic dispatch \| `([^`]*)`", text)
    assert more, "the documented permissions for a broker have moved"
    return " ".join((found[1] + (more[1] if with_broker else "")).split())
