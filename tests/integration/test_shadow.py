"""A shadow on a real server, in this process: it decides, watches, and sends nothing."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from amqp.exceptions import NotFound
from celery import Celery

import habeat
from habeat.beat.scheduler import Scheduler
from habeat.client import Client
from habeat.config import Settings
from habeat.core.comparison import Message, Slot
from habeat.errors import ForeignState, ValidationError
from habeat.store.calling import Caller
from habeat.store.connection import Connections
from habeat.store.keys import Keys
from habeat.store.shadow_log import ShadowLog
from tests.integration.test_cli import Shell
from tests.support.servers.children import until
from tests.support.servers.rabbitmq import RabbitMQNode
from tests.support.servers.redis_server import Server

BROKER_DB = 1
KEYS = Keys("habeat:proj-shadow")


@pytest.fixture
def app(valkey: Server) -> Celery:
    found = Celery("proj", broker=valkey.url(BROKER_DB), set_as_current=False)
    found.conf.update(
        habeat_redis_url=valkey.url(),
        habeat_shadow=True,
        result_expires=None,
        task_send_sent_event=True,
        beat_schedule={"tick": {"task": "proj.tick", "schedule": 0.2, "args": ("secret",)}},
    )

    @found.task(name="proj.tick", shared=False)
    def tick(word: str) -> None:
        """Does nothing."""

    found.finalize()
    return found


class Shadow:
    """The scheduler of a shadow, ticking in this thread."""

    def __init__(self, app: Celery, valkey: Server) -> None:
        self.scheduler = Scheduler(app)
        self.client = Client(app)
        self.log = ShadowLog(Caller(Connections(_target(app)), KEYS))
        self.server = valkey

    def until(self, found: Callable[[], Any], timeout_s: float = 15) -> Any:
        def ticked() -> Any:
            self.scheduler.tick()
            return found()

        return until(ticked, timeout_s, "it has not happened")

    def recorded(self) -> list[Slot | Message]:
        return list(self.log.between(0, 10**14))

    def close(self) -> None:
        parts = self.scheduler._parts
        self.scheduler.close()
        thread = parts and parts.watcher and parts.watcher._thread
        if thread:  # or it would write into the database of the next test
            thread.join(10)

    def decided(self) -> list[Slot]:
        return [each for each in self.recorded() if isinstance(each, Slot)]

    def seen(self) -> list[Message]:
        return [each for each in self.recorded() if isinstance(each, Message)]


def _target(app: Celery) -> Any:
    return Settings.from_conf(app.conf, app_main=app.main).redis


@pytest.fixture
def shadow(app: Celery, valkey: Server) -> Iterator[Shadow]:
    found = Shadow(app, valkey)
    yield found
    found.close()


def in_broker(server: Server) -> dict[str, str]:
    """What a broker could deliver: its lists, and messages that wait for an acknowledgement."""
    client = server.client(BROKER_DB)
    kinds = {name.decode(): client.type(name).decode() for name in client.keys("*")}
    return {name: kind for name, kind in kinds.items() if not name.startswith("_kombu.binding")}


def test_it_decides_every_slot_and_the_broker_stays_empty(shadow: Shadow) -> None:
    shadow.until(lambda: len(shadow.client.history(outcome="shadow")) >= 5)
    [record, *_] = shadow.client.history("tick", limit=1)
    assert record.outcome == "shadow"
    assert record.why == "not sent: this beat is a shadow"
    assert (record.task_id, record.lateness_ms) == (None, None)
    assert shadow.client.drift() == []
    assert in_broker(shadow.server) == {}
    status = shadow.client.status()
    assert status.dispatch == "shadow"
    assert status.accounting.claimed == 0
    stored: Any = shadow.server.client().zrange(KEYS.shadow, 0, -1)
    assert stored
    assert not any(b"secret" in each for each in stored)


def test_a_trigger_is_recorded_and_not_sent(shadow: Shadow) -> None:
    shadow.until(lambda: shadow.client.history(outcome="shadow"))
    shadow.client.trigger("tick")
    records = shadow.until(
        lambda: [each for each in shadow.client.history(outcome="shadow") if each.request_id]
    )
    assert records[0].why == "triggered by hand"
    assert in_broker(shadow.server) == {}


def test_a_message_that_a_handler_of_beat_sends_itself_is_not_sent(shadow: Shadow) -> None:
    entry = shadow.scheduler.schedule["tick"]
    assert shadow.scheduler.apply_async(entry) is None
    assert shadow.scheduler.send_task("proj.work") is None
    assert in_broker(shadow.server) == {}


def test_its_keys_are_not_those_of_the_real_run(shadow: Shadow, app: Celery) -> None:
    shadow.until(lambda: shadow.client.history(outcome="shadow"))
    assert list(shadow.client.list())
    real = Celery("proj", broker=app.conf.broker_url, set_as_current=False)
    real.conf.update(habeat_redis_url=app.conf.habeat_redis_url)
    with Client(real) as client:
        assert list(client.list()) == []
        with pytest.raises(ValidationError, match="what a shadow decided was never sent"):
            client.adopt("habeat:proj-shadow", force=True)
        client.add("own", "proj.tick", habeat.every(60))
        with pytest.raises(ValidationError, match="take the entries from the beats that send"):
            shadow.client.adopt("habeat:proj", force=True)
        assert [each.name for each in client.list()] == ["own"]
    real.conf.habeat_key_prefix = "habeat:proj-shadow"
    with Client(real) as client, pytest.raises(ForeignState, match="the shadow of 'proj'"):
        client.add("own", "proj.tick", habeat.every(60))


def test_a_purge_deletes_all_of_its_keys(shadow: Shadow) -> None:
    shadow.until(lambda: shadow.log.periods() and shadow.decided())
    shadow.close()
    assert set(shadow.client.purge().keys) >= {"shadow", "watched"}
    assert shadow.server.client().keys("{habeat:proj-shadow}:*") == []


def test_when_the_shadow_is_switched_off_nothing_fires_at_once_and_nothing_counts_as_sent(
    shadow: Shadow, app: Celery
) -> None:
    shadow.until(lambda: len(shadow.decided()) >= 5)
    shadow.close()
    app.conf.habeat_shadow = False
    real = Shadow(app, shadow.server)
    began = real.client.server_time()
    try:
        records = real.until(lambda: real.client.history(outcome=("sent", "late")))
        assert min(record.slot for record in records) > began
        assert {record.outcome for record in real.client.history()} == {"sent"}
        assert "celery" in in_broker(shadow.server)
        assert all(each.at_ms <= began.timestamp() * 1_000 for each in shadow.decided())
    finally:
        real.close()


def test_entries_of_redbeat_are_migrated_into_the_shadow_while_redbeat_lives(
    shadow: Shadow, app: Celery
) -> None:
    admin: Any = shadow.server.admin
    schedule = {"__type__": "interval", "every": 60.0, "relative": False}
    entry = {"name": "own", "task": "proj.tick", "args": [], "kwargs": {}, "options": {}}
    admin.hset("redbeat:own", "definition", json.dumps({**entry, "schedule": schedule}))
    admin.zadd("redbeat::schedule", {"redbeat:own": 1})
    admin.set("redbeat::lock", "x", px=60_000)
    app.conf.redbeat_redis_url = app.conf.habeat_redis_url
    shell = Shell(app.conf.habeat_redis_url)
    shell.app = app
    said = shell.ok("migrate", "--from", "redbeat", "--apply", "--even-if-alive")
    assert "as it should beside a shadow" in said
    assert "both beats send" not in said
    assert [each.name for each in shadow.client.list()] == ["own"]
    assert admin.hexists(KEYS.entries, "own")
    assert admin.zcard("redbeat::schedule") == 1


def test_it_sees_the_messages_of_another_beat_with_a_digest_of_their_arguments(
    shadow: Shadow, app: Celery
) -> None:
    shadow.until(lambda: shadow.log.periods())
    other = Celery("other", broker=app.conf.broker_url, set_as_current=False)
    other.conf.update(task_send_sent_event=True)
    sent = other.send_task("proj.tick", ["secret"])
    [message] = shadow.until(shadow.seen)
    [slot, *_] = shadow.until(shadow.decided)
    assert message.id == sent.id
    assert message.kind == slot.kind
    assert message.kind.queue == "celery"
    assert message.sender
    [(start_ms, end_ms)] = shadow.until(
        lambda: [each for each in shadow.log.periods() if each[1] >= message.at_ms]
    )
    assert start_ms <= message.at_ms <= end_ms


def test_after_a_lost_connection_it_watches_again_and_the_gap_shows(
    shadow: Shadow, app: Celery, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("habeat.beat.shadow.watcher.RETRY_S", 0.1)
    shadow.until(lambda: shadow.log.periods())
    shadow.server.admin.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
    shadow.until(lambda: len(shadow.log.periods()) == 2, 30)
    other = Celery("other", broker=app.conf.broker_url, set_as_current=False)
    other.conf.update(task_send_sent_event=True)
    other.send_task("proj.tick", ["secret"])
    [message] = shadow.until(shadow.seen)
    [first, second] = sorted(shadow.log.periods())
    assert first[1] < second[0] <= message.at_ms


def test_on_rabbitmq_it_sees_messages_and_no_queue_of_tasks_comes_to_be(
    app: Celery, valkey: Server, shared_rabbitmq: RabbitMQNode
) -> None:
    app.conf.broker_url = shared_rabbitmq.fresh_vhost()
    shadow = Shadow(app, valkey)
    try:
        shadow.until(lambda: shadow.log.periods() and shadow.decided(), 30)
        with app.connection_for_write() as connection, pytest.raises(NotFound):
            connection.channel().queue_declare("celery", passive=True)
        other = Celery("other", broker=app.conf.broker_url, set_as_current=False)
        other.conf.update(task_send_sent_event=True)
        sent = other.send_task("proj.tick", ["secret"])
        [message] = shadow.until(shadow.seen, 30)
        assert (message.id, message.kind) == (sent.id, shadow.decided()[0].kind)
    finally:
        shadow.close()
