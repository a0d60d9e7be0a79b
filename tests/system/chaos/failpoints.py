"""Inside a beat: end or freeze its own process at an exact point of the protocol.

The app's module calls `install()`. It wraps what redis-py and py-amqp send and read; nothing of
habeat's is touched. An order is a file named by the process id, in the folder that
HABEAT_CHAOS_ORDERS names, so that a running process can be given one:

    claim:before:3:KILL     when its third claim from now on is about to be sent
    publish:after:1:STOP    when the broker's confirmation has arrived and is still unread
    settle:after:1:TERM     when Redis has carried the settling out, and the reply waits

"After" waits until the reply is in the socket's buffer: the server has done what it was asked.
On a busy machine, an answer may come too late by itself: each one that was given up
is recorded in `<pid>.unanswered` (what, from when, until when), as it is a fault like any other.

A hit is recorded in a file `<pid>.hit` with the moment in it, written before the signal. The nonce
of the process is left in `<pid>.nonce`.
"""

from __future__ import annotations

import hashlib
import os
import select
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ORDERS = "HABEAT_CHAOS_ORDERS"
SCRIPTS = (
    *("acquire", "tick", "claim", "settle", "recover", "mark", "release", "observe", "steal"),
    "register",
)
POINTS = (*SCRIPTS, "publish")
SIDES = ("before", "after")
SIGNALS = ("KILL", "STOP", "TERM")
#: Headers of each message on RabbitMQ; the moment is that of the monotonic clock, for the other
#: may be stepped.
SENDER = "chaos_sender"
SENT_US = "chaos_sent_us"
#: How long "after" waits for a reply; if none comes, it is not a hit.
REPLY_S = 1.0
#: A script's digest, its keys and its first argument are among these.
FIRST_WORDS = 40


@dataclass
class Failpoints:
    """The orders of this process, and how far it has come with the present one."""

    folder: Path
    names: dict[str, str]
    order: str = ""
    left: int = 0
    nonce: str = ""
    waiting: dict[int, str] = field(default_factory=dict)

    @property
    def _path(self) -> Path:
        return self.folder / str(os.getpid())

    def passed(self, point: str, side: str) -> None:
        """Note that this place was reached, and act if an order says so."""
        if not self._wanted(point, side):
            return
        self.left -= 1
        if self.left > 0:
            return
        how = self.order.rpartition(":")[2]
        self.order = ""
        self._path.unlink(missing_ok=True)
        put(self._path.with_suffix(".hit"), str(time.monotonic_ns() // 1_000))
        os.kill(os.getpid(), getattr(signal, f"SIG{how}"))

    def unanswered(self, what: str, asked_us: int) -> None:
        """Note that an answer was given up."""
        with self._path.with_suffix(".unanswered").open("a") as out:
            out.write(f"{what} {asked_us} {time.monotonic_ns() // 1_000}\n")

    def wanted(self, point: str, side: str) -> bool:
        """Whether there is an order for this place at all."""
        return self._wanted(point, side)

    def _wanted(self, point: str, side: str) -> bool:
        try:
            order = self._path.read_text()
        except FileNotFoundError:
            order = ""
        if order != self.order:
            self.order = order
            self.left = int(order.split(":")[2]) if order else 0
        return order.startswith(f"{point}:{side}:")

    def point_of(self, words: tuple[Any, ...]) -> str:
        """The place that a command stands for; "" if it is not one."""
        command = str(words[0]).upper()
        if command == "LPUSH":
            return "publish"
        if command not in ("EVALSHA", "EVAL"):
            return ""
        name = self.names.get(str(words[1]), "") or self.names.get(_sha(words[1]), "")
        if name in ("acquire", "register") and not self.nonce:
            self.nonce = str(words[3 + int(words[2])])
            put(self._path.with_suffix(".nonce"), self.nonce)
        return "" if ":probe:" in str(words[3]) else name


def put(path: Path, text: str) -> None:
    """Write a file that is seen whole or not at all."""
    draft = path.with_name(path.name + ".new")
    draft.write_text(text)
    draft.rename(path)


def _sha(text: Any) -> str:
    return hashlib.sha1(str(text).encode(), usedforsecurity=False).hexdigest()


def install() -> None:
    """Wrap the senders and readers of redis-py and py-amqp, if a folder of orders is named."""
    folder = os.environ.get(ORDERS)
    if not folder:
        return
    from habeat.store.scripting import script

    points = Failpoints(Path(folder), {script(name).sha: name for name in SCRIPTS})
    _wrap_redis(points)
    _wrap_amqp(points)


def _wrap_redis(points: Failpoints) -> None:
    import redis
    from redis.connection import AbstractConnection

    send: Callable[..., Any] = AbstractConnection.send_packed_command
    read: Callable[..., Any] = AbstractConnection.read_response

    def send_packed_command(self: Any, packed: Any, *arguments: Any, **options: Any) -> Any:
        point = points.point_of(_first_words(packed))
        points.waiting.pop(id(self), None)
        if point:
            points.passed(point, "before")
            points.waiting[id(self)] = point
        return send(self, packed, *arguments, **options)

    def read_response(self: Any, *arguments: Any, **options: Any) -> Any:
        point = points.waiting.pop(id(self), "")
        if point and points.wanted(point, "after") and _comes(self._sock):
            points.passed(point, "after")
        asked_us = time.monotonic_ns() // 1_000
        try:
            return read(self, *arguments, **options)
        except (TimeoutError, OSError, redis.TimeoutError, redis.ConnectionError):
            if point:
                points.unanswered("redis", asked_us)
            raise

    AbstractConnection.send_packed_command = (  # type: ignore[method-assign]
        send_packed_command
    )
    AbstractConnection.read_response = read_response  # type: ignore[method-assign]


def _wrap_amqp(points: Failpoints) -> None:
    from amqp.channel import Channel
    from amqp.connection import Connection

    publish: Callable[..., Any] = Channel._basic_publish
    drain: Callable[..., Any] = Connection.drain_events

    def basic_publish(self: Any, *arguments: Any, **options: Any) -> Any:
        points.passed("publish", "before")
        _sign(arguments[0] if arguments else options["msg"], points.nonce)
        result = publish(self, *arguments, **options)
        if points.wanted("publish", "after") and _comes(self.connection.transport.sock):
            points.passed("publish", "after")
        return result

    def drain_events(self: Any, timeout: float | None = None) -> Any:
        asked_us = time.monotonic_ns() // 1_000
        try:
            return drain(self, timeout=timeout)
        except Exception:
            if timeout != 0:  # 0 looks whether something is there, and asks for nothing
                points.unanswered("broker", asked_us)
            raise

    Channel._basic_publish = Channel.basic_publish = basic_publish
    Connection.drain_events = drain_events


def _first_words(packed: Any) -> tuple[str, ...]:
    """Of a request as it goes over the wire: habeat packs some of its own."""
    whole = packed if isinstance(packed, (bytes, str)) else b"".join(packed)
    raw = whole.encode() if isinstance(whole, str) else whole
    words: list[str] = []
    at = raw.find(b"\r\n") + 2
    while len(words) < FIRST_WORDS and raw[at : at + 1] == b"$":
        begins = raw.index(b"\r\n", at) + 2
        ends = begins + int(raw[at + 1 : begins - 2])
        words.append(raw[begins:ends].decode("utf-8", "replace"))
        at = ends + 2
    return tuple(words) or ("",)


def _sign(message: Any, nonce: str) -> None:
    """The queue shows neither who sent a message nor when; the history needs both."""
    headers = message.properties.get("application_headers") or {}
    signed = {SENDER: nonce, SENT_US: str(time.monotonic_ns() // 1_000)}
    message.properties["application_headers"] = {**headers, **signed}


def _comes(sock: Any) -> bool:
    return sock is not None and bool(select.select([sock], [], [], REPLY_S)[0])
