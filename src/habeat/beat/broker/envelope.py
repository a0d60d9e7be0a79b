"""habeat's own form of a message, between Celery, which builds it, and the broker, which takes it.

`Recorder` replaces the producer that Celery expects. Celery's own send path runs to its end
(routing, signals, Task subclasses, canvas), and the recorder keeps what it would have published. It
imitates only the public call `Producer.publish` and uses none of kombu's internals. An envelope
holds all messages of one firing, in order, so that Redis can store it and another replica can send
the same bytes again.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from kombu import Connection, Exchange, Queue, binding
from kombu.serialization import dumps
from kombu.utils import json

VERSION = 1


@dataclass(frozen=True, slots=True)
class Publication:
    """One call of `Producer.publish`, with its body already serialised."""

    body: bytes | str
    content_type: str
    content_encoding: str
    arguments: Mapping[str, Any] = field(default_factory=dict)


class Recorder:
    """Replaces a producer, and keeps what is published.

    Celery and result backends use a producer's connection and channel. The recorder has both; they
    connect only when used.
    """

    auto_declare = False
    #: It never waits for the broker.
    waited_us = 0

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.published: list[Publication] = []

    @property
    def channel(self) -> Any:
        return self.connection.default_channel

    def publish(
        self,
        body: Any,
        routing_key: str | None = None,
        *,
        serializer: str | None = None,
        content_type: str | None = None,
        content_encoding: str | None = None,
        retry: bool = False,
        retry_policy: Mapping[str, Any] | None = None,
        timeout: float | None = None,
        confirm_timeout: float | None = None,
        **arguments: Any,
    ) -> None:
        """Keep one message; its retry and timeout options are dropped, as habeat sets its own."""
        if content_type is None:
            content_type, content_encoding, body = dumps(body, serializer=serializer or "json")
        kept = {name: value for name, value in arguments.items() if value is not None}
        if routing_key is not None:
            kept["routing_key"] = routing_key
        kept["headers"] = dict(kept.get("headers") or {})
        self.published.append(
            Publication(body, content_type or "", content_encoding or "binary", kept)
        )

    def maybe_declare(self, entity: Any, *_: Any, **__: Any) -> None:
        """Do nothing: entities are declared when the message is really published."""

    def release(self) -> None:
        """Do nothing, as there is nothing to release."""

    close = release

    def __enter__(self) -> Recorder:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


class BoundedProducer:
    """A producer that never retries and waits `timeout_s` at most, whatever its caller asks for."""

    def __init__(self, producer: Any, timeout_s: float, monotonic_us: Callable[[], int]) -> None:
        self._producer = producer
        self._timeout_s = timeout_s
        self._monotonic_us = monotonic_us
        #: How long the broker took, in microseconds.
        self.waited_us = 0
        #: Whether anything was asked of the producer.
        self.used = False

    def publish(self, *args: Any, **given: Any) -> Any:
        """`Producer.publish`, without retries and within the time limit."""
        self.used = True
        given.pop("retry_policy", None)
        bounds = {"timeout": self._timeout_s, "confirm_timeout": self._timeout_s}
        began_us = self._monotonic_us()
        try:
            return self._producer.publish(*args, **{**given, **bounds, "retry": False})
        finally:
            self.waited_us += self._monotonic_us() - began_us

    def __getattr__(self, name: str) -> Any:
        self.used = True
        return getattr(self._producer, name)


def seal(published: list[Publication]) -> bytes:
    """The envelope of these messages; TypeError or ValueError if JSON cannot hold a header."""
    return str(
        json.dumps({"v": VERSION, "messages": [_sealed(message) for message in published]})
    ).encode()


def unseal(envelope: bytes) -> list[Publication]:
    """The messages of an envelope; ValueError if it cannot be read."""
    data = json.loads(envelope)
    if not isinstance(data, dict) or data.get("v") != VERSION:
        raise ValueError(f"unknown version of envelope: expected {VERSION}")
    return [_unsealed(message) for message in data["messages"]]


def _sealed(message: Publication) -> dict[str, Any]:
    body = message.body
    arguments = dict(message.arguments)
    if isinstance(arguments.get("exchange"), Exchange):
        arguments["exchange"] = _sealed_entity(arguments["exchange"])
    arguments["declare"] = [_sealed_entity(entity) for entity in arguments.get("declare") or ()]
    return {
        "body": body if isinstance(body, str) else base64.b64encode(body).decode(),
        "text": isinstance(body, str),
        "content_type": message.content_type,
        "content_encoding": message.content_encoding,
        "arguments": arguments,
    }


def _sealed_entity(entity: Queue | Exchange) -> dict[str, Any]:
    kind = "queue" if isinstance(entity, Queue) else "exchange"
    return {kind: _without_defaults(entity.as_dict(recurse=True))}


def _without_defaults(described: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _plain(value) for name, value in described.items() if value is not None}


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return _without_defaults(value)
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(each) for each in value]
    return value


def _unsealed(data: Mapping[str, Any]) -> Publication:
    arguments = dict(data["arguments"])
    if isinstance(arguments.get("exchange"), dict):
        arguments["exchange"] = _entity(json.dumps(arguments["exchange"]))
    arguments["declare"] = [_entity(json.dumps(entity)) for entity in arguments["declare"]]
    body = data["body"] if data["text"] else base64.b64decode(data["body"])
    return Publication(body, data["content_type"], data["content_encoding"], arguments)


@lru_cache(maxsize=256)
def _entity(written: str) -> Queue | Exchange:
    """One object per queue or exchange, so that `KnownQueues` recognises it as declared."""
    return _unsealed_entity(json.loads(written))


def _unsealed_entity(data: Mapping[str, Any]) -> Queue | Exchange:
    if "exchange" in data:
        return Exchange(**data["exchange"])
    arguments = _with_exchange(data["queue"])
    arguments["bindings"] = [
        binding(**_with_exchange(each)) for each in arguments.get("bindings") or ()
    ]
    return Queue(**arguments)


def _with_exchange(data: Mapping[str, Any]) -> dict[str, Any]:
    arguments = dict(data)
    if isinstance(arguments.get("exchange"), Mapping):
        arguments["exchange"] = Exchange(**arguments["exchange"])
    return arguments
