"""The outbox's fast path: send several messages to a Redis broker as one packet.

kombu enqueues each message with a separate call and waits for the answer. Here, kombu's commands
for several messages are recorded (kombu_redis.py), written to a connection of kombu's own pool in
one go, and their answers are read together. The answer to each command belongs to the message that
it enqueues. If the server refuses a command (WRONGTYPE, NOPERM), only that message has failed, and
the others have arrived. If the server refuses because of its own state (READONLY, OOM), the broker
has failed.

If the connection fails, each message without an answer may or may not have arrived. A probe then
shows whether the broker is to blame (blame.py). If it is not, one of the messages is to blame; to
find out which, they are sent again one by one. The entry whose message then closes a connection is
left to kombu's publish until one of its messages is taken.

`Outgoing` leaves messages that cannot be recorded to kombu's publish. To remove this path, delete
this module and its use in publisher.py and outgoing.py.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import redis
from redis.exceptions import RedisError, ResponseError

from habeat.beat.broker.blame import Blame, blame, text_of
from habeat.beat.broker.broker import Broker
from habeat.beat.broker.envelope import Publication
from habeat.beat.message.kombu_redis import CannotRecord, CommandRecorder, Words
from habeat.ports import Answered, BrokerUnavailable, PublishRefused, PublishUnknown
from habeat.store.pipelining import packed, taken


class RedisPackets:
    """Sends recorded messages in packets, over the broker's own connections."""

    def __init__(self, broker: Broker, now_ms: Callable[[], int]) -> None:
        self._broker = broker
        self._now_ms = now_ms
        self._command_recorder = CommandRecorder(broker)
        self._checked: Any = None
        self._why_not = ""

    @property
    def ready(self) -> bool:
        """Whether messages can be recorded now; False while the broker is not connected."""
        connection = self._broker.connection
        if self._why_not or not connection.connected:
            return False
        if self._checked is not connection:
            if connection.transport.driver_type != "redis":
                self._why_not = "the broker is not Redis"
                return False
            try:
                self._command_recorder.check_shape()
            except CannotRecord as reason:
                self._why_not = str(reason)
                return False
            except Exception:  # kombu's publish meets the same error and reports it
                self._command_recorder.discard()
                return False
            self._checked = connection
        return True

    def commands(self, published: Sequence[Publication], attempt: int) -> Sequence[Words]:
        """The commands that enqueue these messages; empty if kombu has to publish them."""
        if not self.ready:
            return ()
        try:
            return self._command_recorder.commands([_at(message, attempt) for message in published])
        except (OSError, redis.ConnectionError, redis.TimeoutError):
            self._broker.discard()  # else the next call would wait as long
            return ()
        except Exception:  # left to kombu's publish, whose error is judged
            self._command_recorder.discard()
            return ()

    def send(self, per_message: Sequence[Sequence[Words]], ends_ms: int, alone: str = "") -> Packet:
        """Write the commands of these messages; failures are in the answers.

        `alone` is the entry's name if its message is the only one.
        """
        packet = Packet(self._broker, [len(each) for each in per_message], self._now_ms, alone)
        request = b"".join(packed(words) for each in per_message for words in each)
        packet.write(self._command_recorder.pool, request, ends_ms)
        return packet


class Packet:
    """Messages on their way to a Redis broker; `answer` reads the result of the next one."""

    def __init__(
        self, broker: Broker, sizes: Sequence[int], now_ms: Callable[[], int], alone: str
    ) -> None:
        self._broker = broker
        self._alone = alone
        self._left = sum(sizes)
        self._sizes = list(reversed(sizes))
        self._now_ms = now_ms
        self._pool: Any = None
        self._connection: Any = None
        self._failed: BrokerUnavailable | PublishRefused | None = None

    def write(self, pool_of: Callable[[], Any], request: bytes, ends_ms: int) -> None:
        """Send the whole packet before `ends_ms`; an error becomes the answer to every message."""
        try:
            self._pool = pool_of()
            self._connection = taken(self._pool)
            self._limit(ends_ms)
            self._connection.send_packed_command([request], check_health=False)
        except Exception as error:
            self._fail(error, ends_ms)

    def answer(self, timeout_ms: int) -> Answered:
        """The result of the next message, in the order in which they were sent."""
        ends_ms = self._now_ms() + timeout_ms
        refused: PublishRefused | None = None
        for _ in range(self._sizes.pop()):
            if self._failed is not None:
                return self._failed
            try:
                self._limit(ends_ms)
                self._connection.read_response()
            except ResponseError as error:
                if blame(error) is not Blame.ENTRY:
                    return self._fail(error, ends_ms)
                refused = refused or PublishRefused(text_of(error))
            except Exception as error:
                return self._fail(error, ends_ms)
            self._left -= 1
        if not self._left:
            self._release()
        return refused

    def _limit(self, ends_ms: int) -> None:
        left_ms = ends_ms - self._now_ms()
        if left_ms <= 0:
            raise TimeoutError("the broker did not answer in time")
        self._connection._sock.settimeout(left_ms / 1_000)

    def _release(self) -> None:
        """Return the connection to the pool with its own timeout, as every answer was read."""
        connection, self._connection = self._connection, None
        connection._sock.settimeout(connection.socket_timeout)
        self._pool.release(connection)

    def _fail(self, error: Exception, ends_ms: int) -> Answered:
        """The answer to every message that has none of its own."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(RedisError, OSError):
                connection.disconnect()
            self._pool.release(connection)
        self._broker.discard()
        suspect: Exception = error
        if isinstance(error, (AttributeError, TimeoutError)):  # the socket was closed, or no answer
            suspect = redis.ConnectionError(text_of(error))
        # Probe before blaming: one of these messages may have made the server close the connection.
        left_s = max(0, ends_ms - self._now_ms()) / 1_000
        self._failed = self._broker.judged(suspect, left_s)
        if self._alone and isinstance(self._failed, PublishUnknown):
            self._broker.suspect(self._alone)
        return self._failed


def _at(message: Publication, attempt: int) -> Publication:
    headers = message.arguments.get("headers") or {}
    if headers.get("habeat_attempt") in (None, attempt):
        return message
    headers = {**headers, "habeat_attempt": attempt}
    return replace(message, arguments={**message.arguments, "headers": headers})
