"""What a broker received, read from outside without any of habeat's code.

A queue is read as a whole when the test is over (`on_redis`, `on_rabbitmq`), so that the reader
cannot lose or delay anything; `Watch` reads while messages come and notes when they did.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

import redis
from kombu import Connection

from tests.support.servers.redis_server import Server

QUEUE = "celery"


@dataclass(frozen=True)
class Arrival:
    """One message. `at_s` is the wall clock at which it was read, 0 if that was not noted."""

    entry: str
    slot_ms: int
    task_id: str
    epoch: int
    attempt: int
    at_s: float = 0.0

    @property
    def firing(self) -> tuple[str, int]:
        return self.entry, self.slot_ms


def of_headers(headers: Mapping[str, Any], at_s: float = 0.0) -> Arrival:
    slot = datetime.fromisoformat(headers["habeat_slot"])
    return Arrival(
        entry=headers["habeat_entry"],
        slot_ms=round(slot.timestamp() * 1_000),
        task_id=headers["id"],
        epoch=int(headers["habeat_lease_epoch"]),
        attempt=int(headers["habeat_attempt"]),
        at_s=at_s,
    )


class Broker(Protocol):
    """A broker that beats write to and the test reads from."""

    conf: dict[str, Any]

    def length(self) -> int:
        """How many messages wait in the queue."""
        ...

    def take(self) -> list[Arrival]:
        """All waiting messages, in the order in which they came; the queue is empty afterwards."""
        ...


@dataclass
class OnRedis:
    """A queue on a Redis; `prefix` is kombu's global_keyprefix."""

    client: redis.Redis
    url: str
    prefix: str = ""
    queue: str = QUEUE
    conf: dict[str, Any] = field(init=False)

    def __post_init__(self) -> None:
        self.conf = {"broker_url": self.url}
        if self.prefix:
            self.conf["broker_transport_options"] = {"global_keyprefix": self.prefix}

    @property
    def key(self) -> str:
        return self.prefix + self.queue

    def length(self) -> int:
        return int(self.client.llen(self.key))  # type: ignore[arg-type]

    def take(self) -> list[Arrival]:
        pipe = self.client.pipeline(transaction=True)
        pipe.lrange(self.key, 0, -1)
        pipe.delete(self.key)
        raw = pipe.execute()[0]
        return [of_headers(json.loads(message)["headers"]) for message in reversed(raw)]


def redis_broker(server: Server, db: int = 1, prefix: str = "kp:") -> OnRedis:
    """Another database of the schedule's own server, behind a key prefix."""
    return OnRedis(server.client(db), server.url(db), prefix)


@dataclass
class OnRabbitMQ:
    """A queue on RabbitMQ; the test may reach it by another path than the beats."""

    url: str
    beats_url: str = ""
    conf: dict[str, Any] = field(init=False)

    def __post_init__(self) -> None:
        self.conf = {"broker_url": self.beats_url or self.url}

    def length(self) -> int:
        with Connection(self.url) as connection:
            try:
                return int(connection.default_channel.queue_declare(QUEUE, passive=True)[1])
            except connection.channel_errors:
                return 0

    def take(self) -> list[Arrival]:
        found: list[Arrival] = []
        with Connection(self.url) as connection:
            channel = connection.default_channel
            try:
                waiting = int(channel.queue_declare(QUEUE, passive=True)[1])
            except connection.channel_errors:
                return []
            # The basic calls: what the queue has at this moment, and no more.
            channel.basic_qos(0, 1_000, False)
            channel.basic_consume(
                QUEUE, no_ack=False, callback=lambda message: _acked(channel, message, found)
            )
            while len(found) < waiting:
                connection.drain_events(timeout=10)
        return found[:waiting] if len(found) == waiting else found


def _acked(channel: Any, message: Any, found: list[Arrival]) -> None:
    found.append(of_headers(message.properties["application_headers"]))
    channel.basic_ack(message.delivery_info["delivery_tag"])


class Watch:
    """Reads a queue on Redis in a thread, and notes the wall clock at each message."""

    def __init__(self, server_client: Callable[[], redis.Redis], key: str = QUEUE) -> None:
        self.seen: list[Arrival] = []
        self._client = server_client()
        self._key = key
        self._over = False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._over:
            try:
                popped: Any = self._client.brpop([self._key], timeout=1)
            except redis.RedisError:
                time.sleep(0.02)
                continue
            if popped is not None:
                now_s = time.time()
                self.seen.append(of_headers(json.loads(popped[1])["headers"], now_s))

    def stop(self) -> list[Arrival]:
        self._over = True
        self._thread.join(10)
        return self.seen
