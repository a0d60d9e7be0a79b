"""A message in our own form, between Celery, which builds it, and a broker, which takes it.

`Recorder` stands where Celery expects a producer: Celery's own send path runs to its end
(routing, signals, Task subclasses, canvas), and what it would have published is kept. Only the
public call `Producer.publish` is imitated; nothing of kombu's inside is touched. An envelope
holds everything that was published for one firing, in order, so that it can be kept in Redis
and sent again, byte for byte, by another replica.
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
    """One call of `Producer.publish`, its body serialised already."""

    body: bytes | str
    content_type: str
    content_encoding: str
    arguments: Mapping[str, Any] = field(default_factory=dict)


class Recorder:
    """Takes the place of a producer and keeps what is published.

    It has the connection and channel that Celery and result backends ask a producer for; both
    connect only when used.
    """

    auto_declare = False
    #: Nothing is waited for.
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
        """Keep one message. Retrying and time limits are ours to decide, and are dropped."""
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
        """Entities are declared when a message is published for real."""

    def release(self) -> None:
        """A producer can be released."""

    close = release

    def __enter__(self) -> Recorder:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


class BoundedProducer:
    """A producer that neither retries nor waits longer than it may, whatever it is told."""

    def __init__(self, producer: Any, timeout_s: float, monotonic_us: Callable[[], int]) -> None:
        self._producer = producer
        self._timeout_s = timeout_s
        self._monotonic_us = monotonic_us
        #: How long the broker took.
        self.waited_us = 0

    def publish(self, *args: Any, **given: Any) -> Any:
        """As the producer's, within the time."""
        given.pop("retry_policy", None)
        bounds = {"timeout": self._timeout_s, "confirm_timeout": self._timeout_s}
        began_us = self._monotonic_us()
        try:
            return self._producer.publish(*args, **{**given, **bounds, "retry": False})
        finally:
            self.waited_us += self._monotonic_us() - began_us

    def __getattr__(self, name: str) -> Any:
        return getattr(self._producer, name)


def seal(published: list[Publication]) -> bytes:
    """The envelope of these messages; TypeError or ValueError if a header is no JSON."""
    return str(
        json.dumps({"v": VERSION, "messages": [_sealed(message) for message in published]})
    ).encode()


def unseal(envelope: bytes) -> list[Publication]:
    """The messages of an envelope; ValueError if it cannot be read."""
    data = json.loads(envelope)
    if not isinstance(data, dict) or data.get("v") != VERSION:
        raise ValueError("an envelope of another version")
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
    """One object for each queue or exchange, so that it is seen to have been declared."""
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
