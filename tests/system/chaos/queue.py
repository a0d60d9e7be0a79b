"""The queue on RabbitMQ, read as a whole at the end, so that reading loses and delays nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kombu import Connection

from tests.system.acceptance.arrivals import QUEUE, of_headers
from tests.system.chaos.failpoints import SENDER, SENT_US
from tests.system.chaos.orders import of_monotonic_us
from tests.verification.history.events import Arrival


@dataclass
class Queue:
    """`url` is the test's own way to it."""

    url: str

    def take(self) -> list[Arrival]:
        found: list[Arrival] = []
        with Connection(self.url) as connection:
            channel = connection.default_channel
            try:
                waiting = int(channel.queue_declare(QUEUE, passive=True)[1])
            except connection.channel_errors:
                return []
            channel.basic_consume(
                QUEUE, no_ack=True, callback=lambda message: found.append(_arrival(message))
            )
            while len(found) < waiting:
                connection.drain_events(timeout=20)
        return found


def _arrival(message: Any) -> Arrival:
    headers: Mapping[str, Any] = message.properties["application_headers"]
    result = of_headers(headers)
    sent_us = of_monotonic_us(int(headers[SENT_US]))
    sender = str(headers[SENDER])
    return Arrival(
        sent_us, result.entry, str(result.slot_ms), result.task_id, sender, result.attempt
    )
