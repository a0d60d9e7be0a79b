"""Seeing messages arrive, from outside, by the server's own clock.

One thing is asked of the server again and again, about once a millisecond, over a bare socket
(a client library would spend ten times the CPU, on a machine where the beat wants it too):
the time and the length of the queue, or the time and whatever is in the queue. Both questions
go out in one packet and are answered together, so the time belongs to the length. What is seen
is seen at most one poll too late, never too early. MONITOR is not used: it halves the server's
speed. While a script runs the server answers nobody, and the poll waits with the rest.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from kombu import Connection
from tests.support.servers.redis_server import Server

from benchmarks.figures import Sample

POLL_S = 0.001
#: How long a queue must stand still, after all have arrived, to be sure that no more come.
STILL_S = 0.3
AT_ONCE = 1_000
#: When messages are taken out: if none has come for so long, or if so many lie there.
STILL_US, MANY = 20_000, 20_000


def request(*words: str | bytes | int) -> bytes:
    """A command as Redis reads it."""
    parts = [word if isinstance(word, bytes) else str(word).encode() for word in words]
    return b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(p), p) for p in parts)


class Wire:
    """A bare connection to Redis."""

    def __init__(self, server: Server, db: int = 0) -> None:
        self._socket = socket.create_connection((server.host, server.port), timeout=30)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._lines = self._socket.makefile("rb", buffering=1 << 16)
        self.ask(request("SELECT", db), 1)

    def ask(self, requests: bytes, replies: int) -> list[Any]:
        """Send some requests in one packet and read their replies."""
        self._socket.sendall(requests)
        return [self._reply() for _ in range(replies)]

    def close(self) -> None:
        self._lines.close()
        self._socket.close()

    def _reply(self) -> Any:
        line = self._lines.readline()
        if not line:
            raise ConnectionError("the server hung up on the watcher")
        kind, rest = line[:1], line[1:-2]
        if kind == b"$":
            size = int(rest)
            return None if size < 0 else self._lines.read(size + 2)[:-2]
        if kind == b"*":
            return None if int(rest) < 0 else [self._reply() for _ in range(int(rest))]
        if kind == b"-":
            raise RuntimeError(f"the watcher was told: {rest.decode()}")
        return int(rest) if kind == b":" else rest


def micros(told: list[bytes]) -> int:
    """The reply of TIME."""
    return int(told[0]) * 1_000_000 + int(told[1])


@dataclass
class RedisQueue:
    """A queue on Redis: its length now, with the server's clock."""

    wire: Wire
    key: str = "celery"

    def __post_init__(self) -> None:
        self._look = request("TIME") + request("LLEN", self.key)
        self._take = request("TIME") + request("RPOP", self.key, AT_ONCE)

    poll_s = POLL_S

    def now_us(self) -> int:
        return micros(self.wire.ask(request("TIME"), 1)[0])

    def look(self) -> Sample:
        told, length = self.wire.ask(self._look, 2)
        return micros(told), length

    def take(self) -> tuple[int, list[bytes]]:
        """What is in the queue, oldest first; it is taken out."""
        told, messages = self.wire.ask(self._take, 2)
        return micros(told), messages or []

    def close(self) -> None:
        self.wire.close()


class RabbitQueue:
    """A queue on RabbitMQ: its length, by our own clock; asked less often, for it costs more."""

    poll_s = 0.005

    def __init__(self, url: str, queue: str = "celery") -> None:
        self._connection = Connection(url)
        self._queue = queue
        # Made as a worker would make it, so that there is something to look at from the start.
        self._connection.SimpleQueue(queue).close()

    def now_us(self) -> int:
        return time.time_ns() // 1_000

    def look(self) -> Sample:
        told = self._connection.default_channel.queue_declare(self._queue, passive=True)
        return self.now_us(), int(told.message_count)

    def empty(self) -> None:
        self._connection.default_channel.queue_purge(self._queue)

    def close(self) -> None:
        self._connection.release()


def watch(
    queue: RedisQueue | RabbitQueue,
    count: int,
    until_us: int,
    alive: Callable[[], bool],
    still_s: float = STILL_S,
) -> list[Sample]:
    """Follow a queue until `count` are in it (and no more come), or until this instant.

    Returns the samples at which the length was another one than before. Ends early when what
    fills the queue has died.
    """
    samples: list[Sample] = []
    still_until_us = 0
    while True:
        at_us, length = queue.look()
        if length != (samples[-1][1] if samples else 0):
            samples.append((at_us, length))
            still_until_us = at_us + int(still_s * 1e6)
        if at_us > (still_until_us if length >= count else until_us):
            return samples
        if not length and not alive():
            raise RuntimeError("what was to fill the queue has ended")
        time.sleep(queue.poll_s)


def drain(queue: RedisQueue, until: Callable[[int, int], bool]) -> list[tuple[int, bytes]]:
    """Take messages out as they come, with the clock at which each was seen.

    `until` is asked with the server's clock and the number taken so far.
    """
    taken: list[tuple[int, bytes]] = []
    while True:
        at_us, messages = queue.take()
        taken.extend((at_us, message) for message in messages)
        if until(at_us, len(taken)):
            return taken
        if len(messages) < AT_ONCE:
            time.sleep(queue.poll_s)


def follow(queue: RedisQueue, until_us: int) -> list[tuple[int, bytes]]:
    """The messages that come until this instant, with the clock at which each was seen.

    Only the length is asked for while messages come: to be handed a thousand of them would keep
    the server from its work. They are taken out when none has come for a while, oldest first,
    which is the order in which they came.
    """
    seen_us: list[int] = []
    messages: list[bytes] = []
    at_us = still_since_us = 0
    while at_us <= until_us:
        at_us, length = queue.look()
        new = len(messages) + length - len(seen_us)
        if new > 0:
            seen_us += [at_us] * new
            still_since_us = at_us
        if length and (at_us - still_since_us > STILL_US or length >= MANY):
            at_us, taken = queue.take()
            messages += taken
            seen_us += [at_us] * (len(messages) - len(seen_us))
        else:
            time.sleep(queue.poll_s)
    while len(messages) < len(seen_us):
        messages += queue.take()[1]
    return list(zip(seen_us, messages, strict=False))
