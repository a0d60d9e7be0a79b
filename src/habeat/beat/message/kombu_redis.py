"""The only module that knows kombu's internals: a message as the Redis commands that enqueue it.

No other module depends on these assumptions, and this one checks them itself.
`CommandRecorder.check` records a probe message and decodes it. It then writes a key through the
broker's connection and reads it through the schedule's, which proves that both are one server. If
anything is unexpected (kombu has changed shape, an ACL, another server, a Cluster), it says why,
and the outbox is used. To remove the atomic dispatch, delete this module and its use in
publisher.py.

How it works: on a kombu channel of our own connection, `basic_publish` runs with a client that
records LPUSH, PUBLISH and PEXPIRE instead of sending them. Everything else (declaring queues,
looking up bindings) goes to the broker as usual. Routing, priorities, key prefixes and fan-out are
therefore kombu's own.
"""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from kombu.utils import json

from habeat.beat.broker.broker import Broker, no_queue, way_of
from habeat.beat.broker.envelope import Publication
from habeat.beat.broker.known_queues import KnownQueues
from habeat.beat.message.unrouted import OwnKey, check_declared

Words = Sequence[bytes | str | int]

PROBE_TTL_MS = 10_000


class CannotRecord(Exception):
    """Why messages cannot be recorded as commands; a sentence for the log."""


class RecordingUncertain(Exception):
    """Redis or the broker did not answer, so it is not known yet; check again later."""


class NoQueue(Exception):
    """kombu would silently drop this message: no queue is bound to its destination."""


class CommandRecorder:
    """Has kombu turn publications into Redis commands, and records those."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._channel: Any = None
        self._producer: Any = None
        self._connection: Any = None
        self._known_queues = KnownQueues()

    def commands(self, published: Sequence[Publication]) -> list[Words]:
        """The commands that enqueue these messages, in order; NoQueue, OwnKey."""
        producer = self._bound_producer()
        kept: list[Words] = []
        self._channel.habeat_recorded = kept
        for message in published:
            before = len(kept)
            check_declared(message.arguments.get("declare"), self._broker.own_names)
            producer.publish(
                message.body,
                content_type=message.content_type,
                content_encoding=message.content_encoding,
                retry=False,
                **self._known_queues.without_known(message.arguments),
            )
            self._known_queues.add(message.arguments.get("declare"))
            if len(kept) == before:
                raise NoQueue(no_queue(*way_of(message.arguments)))
            self._check_keys(kept[before:])
        return kept

    def _check_keys(self, commands: Sequence[Words]) -> None:
        """OwnKey if a command writes to a key of habeat's own, for example by a foreign binding."""
        prefix = str(getattr(self._channel, "global_keyprefix", "") or "")
        for words in commands:
            name = str(words[1]).removeprefix(prefix)
            if name.startswith(self._broker.own_names):
                raise OwnKey(name)

    def default_queue(self) -> str:
        """The key of the app's default queue, as it appears in a command."""
        name = str(self._broker.app.conf.task_default_queue)
        (words,) = self.commands([_to_queue(name)])
        return str(words[1])

    def check(self, same_server: Callable[[int, str], str]) -> int:
        """The broker's database number, once recording is proven to work here.

        `same_server(db, key)` reads a key through the schedule's connection. Raises
        CannotRecord, or RecordingUncertain when Redis or the broker did not answer.
        """
        try:
            self._bound_producer()
        except CannotRecord:
            raise
        except Exception as error:
            raise RecordingUncertain(f"{type(error).__name__}: {error}") from error
        self.check_shape()
        database = self._database()
        self._check_server(database, same_server)
        return database

    def discard(self) -> None:
        """Drop the channel; the next use opens a new one on the broker's connection."""
        self._channel = self._producer = self._connection = None

    def _bound_producer(self) -> Any:
        connection = self._broker.connection
        if self._producer is None or self._connection is not connection:
            self._channel = _recording_channel(connection)
            self._producer = self._broker.producer.__class__(self._channel, auto_declare=False)
            self._connection = connection
            self._known_queues = KnownQueues()
        return self._producer

    def pool(self) -> Any:
        """The connection pool that kombu sends with."""
        self._bound_producer()
        return self._channel.pool

    def check_shape(self) -> None:
        """Record a probe message and decode it; CannotRecord."""
        probe = f"habeat.probe.{secrets.token_hex(8)}"
        try:
            commands = self.commands([_to_queue(probe)])
            words = commands[0]
            sent = json.loads(words[2])
            shaped = (
                len(commands) == 1
                and words[0] == "LPUSH"
                and str(words[1]).endswith(probe)
                and bool(sent["properties"]["delivery_tag"])
                and sent["properties"]["delivery_info"]["routing_key"] == probe
            )
        except Exception as error:
            raise CannotRecord(
                f"kombu's Redis transport has an unknown shape ({type(error).__name__}: {error})"
            ) from error
        if not shaped:
            raise CannotRecord("kombu's Redis transport has an unknown shape")

    def _database(self) -> int:
        try:
            return int(self._channel.pool.connection_kwargs.get("db") or 0)
        except Exception as error:
            raise CannotRecord("the number of the broker's database is unknown") from error

    def _check_server(self, database: int, same_server: Callable[[int, str], str]) -> None:
        key, nonce = f"habeat.probe.{secrets.token_hex(8)}", secrets.token_hex(16)
        client = self._channel.client
        written = _prefixed(client, ("SET", key, nonce))
        try:
            client.set(key, nonce, px=PROBE_TTL_MS)
        except Exception as error:
            raise _judged(error) from error
        try:
            seen = same_server(database, str(written[1]))
        finally:
            with contextlib.suppress(Exception):
                client.delete(key)
        if seen != nonce:
            raise CannotRecord("schedule and broker are not the same Redis server")


def _to_queue(name: str) -> Publication:
    where = {"exchange": "", "routing_key": name}
    return Publication(f'"{name}"', "application/json", "utf-8", where)


def _judged(error: Exception) -> Exception:
    text = str(error)
    if "NOPERM" in text or "permission" in text.lower():
        return CannotRecord(f"the broker's user may not write a probe key ({text})")
    return RecordingUncertain(f"{type(error).__name__}: {text}")


def _recording_channel(connection: Any) -> Any:
    """A channel of this connection that records what it would enqueue."""
    transport = connection.transport
    base = getattr(transport, "Channel", None)
    if base is None or not all(
        hasattr(base, name) for name in ("_put", "_put_fanout", "_create_client", "basic_publish")
    ):
        raise CannotRecord("the broker's transport is not kombu's Redis transport")
    connection.connect()
    return type("RecordingChannel", (_RecordingChannel, base), {})(connection.connection)


class _RecordingChannel:
    """Mixed into kombu's Redis channel."""

    habeat_recorded: list[Words]
    _habeat_publishing = False
    _habeat_reader: Any = None

    def basic_publish(self, message: Any, exchange: str, routing_key: str, **kwargs: Any) -> Any:
        self._habeat_publishing = True
        try:
            return super().basic_publish(  # type: ignore[misc]
                message, exchange=exchange, routing_key=routing_key, **kwargs
            )
        finally:
            self._habeat_publishing = False

    def _create_client(self, asynchronous: bool = False) -> Any:
        if not self._habeat_publishing:
            return super()._create_client(asynchronous=asynchronous)  # type: ignore[misc]
        if self._habeat_reader is None:  # creating a client takes longer than everything else here
            self._habeat_reader = super()._create_client()  # type: ignore[misc]
        return _RecordingClient(self._habeat_reader, self.habeat_recorded)

    @contextlib.contextmanager
    def conn_or_acquire(self, client: Any = None) -> Iterator[Any]:
        yield client or self._create_client()


class _RecordingClient:
    """A client that records writes and really executes reads."""

    def __init__(self, client: Any, kept: list[Words]) -> None:
        self._client = client
        self._kept = kept

    def lpush(self, key: str, *values: Any) -> None:
        self._keep("LPUSH", key, *values)

    def publish(self, channel: str, message: Any) -> None:
        self._keep("PUBLISH", channel, message)

    def pexpire(self, key: str, time_ms: int) -> None:
        self._keep("PEXPIRE", key, time_ms)

    def smembers(self, key: str) -> Any:
        return self._client.smembers(key)

    def pipeline(self, *_: Any, **__: Any) -> _RecordingClient:
        return self

    def execute(self) -> None:
        """Nothing to do: the commands were recorded one by one."""

    def __enter__(self) -> _RecordingClient:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing to close."""

    def _keep(self, *words: Any) -> None:
        self._kept.append(tuple(_prefixed(self._client, words)))


def _prefixed(client: Any, words: Sequence[Any]) -> Sequence[Any]:
    """The words with kombu's global_keyprefix added to the key."""
    prefix = getattr(client, "_prefix_args", None)
    return words if prefix is None else list(prefix(list(words)))
