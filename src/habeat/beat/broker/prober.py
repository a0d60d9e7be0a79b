"""Probe whether the broker takes messages: over a new connection, without any entry's data.

On Redis, kombu sends a PING when a channel is created. RabbitMQ under a memory alarm accepts
connections and channels but takes no messages. So a message is published there that reaches no
consumer: to the default exchange, for a queue that does not exist. RabbitMQ drops and confirms it.
A refusal (for example by an ACL) also shows that the broker answers.
"""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Callable

from amqp.exceptions import ChannelError
from celery import Celery
from kombu import Connection

from habeat.beat.broker.blame import text_of
from habeat.beat.broker.confirms import ConfirmingChannel, Nacked
from habeat.beat.broker.connection import connect, connection_of
from habeat.ports import BrokerUnavailable


def probe_anew(app: Celery, timeout_s: float, now_ms: Callable[[], int]) -> None:
    """Return if the broker takes messages, else raise BrokerUnavailable."""
    connection = None
    try:
        connection = connection_of(app, timeout_s)
        connect(connection, timeout_s)
        if ConfirmingChannel.fits(connection):
            _confirmed(app, connection, timeout_s, now_ms)
        else:
            connection.channel().close()
    except (ChannelError, Nacked):
        return  # refused, so the broker answers
    except Exception as error:
        raise BrokerUnavailable(text_of(error)) from error
    finally:
        if connection is not None:
            with contextlib.suppress(Exception):
                connection.collect(socket_timeout=0.1)


def _confirmed(
    app: Celery, connection: Connection, timeout_s: float, now_ms: Callable[[], int]
) -> None:
    confirming = ConfirmingChannel(connection)
    nowhere = f"habeat.probe.{secrets.token_hex(8)}"
    producer = app.amqp.Producer(confirming.channel, auto_declare=False)
    producer.publish(b"", routing_key=nowhere, delivery_mode=1, retry=False, timeout=timeout_s)
    number, ends_ms = confirming.published().number, now_ms() + round(timeout_s * 1_000)
    while confirming.awaits(number):
        left_ms = ends_ms - now_ms()
        if left_ms <= 0:
            raise TimeoutError("the broker did not confirm in time")
        confirming.listen(left_ms / 1_000)
