"""A recorder of a real server: what MONITOR says of a schedule's keys, as events.

One thread reads one server; for a Cluster or Sentinels start one Monitor per node and merge
(`events.merged`). Only what scripts did is taken: a Redis replica repeats its master's writes
under the master's address, so nothing is recorded twice.

The server may die and come back: the Monitor connects again and again, and what it has not seen is
a `Gap`. Where the gap ends, all that matters is read in one transaction with a mark in it; the
mark shows up in MONITOR at the very place in the order of writes at which the reading was done. So
the checker continues from known ground. FLUSHALL and FLUSHDB become `Lost`; any other loss of
data is for who made it to tell (`kept_by` reads what is left).

Messages pushed to the broker's queues on the same server become `Arrival`, without a sender.
"""

from __future__ import annotations

import secrets
import ssl
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import redis

from tests.verification.history.arrivals import arrival_of_message
from tests.verification.history.events import (
    FIRED,
    NEEDED,
    Event,
    Gap,
    Lost,
    ScriptEnd,
    Words,
    Write,
)
from tests.verification.history.lines import Line, parse

#: The hashes that are read at the end of a gap.
_KEPT = ("entries", "state", "inflight", "paused", "quarantine", "controls")
_RETRY_S = 0.02
_READ_S = 0.2
_MARK_S = 5.0


class Monitor:
    """Records one server until it is stopped.

    client: makes a new plain redis-py client of that server, for the readings. base: what the
    schedule's keys begin with. queues: keys of the broker's queues on this server.
    """

    def __init__(
        self,
        client: Callable[[], redis.Redis],
        base: str,
        *,
        queues: Sequence[str] = (),
    ) -> None:
        self._make_client = client
        self._base = base.encode()
        self._fired = self._base + FIRED
        self._needed = {(name, self._base + key) for name, key in NEEDED}
        self._queues = {queue.encode() for queue in queues}
        self._events: list[Event] = []
        self._open = False
        self._last_us = 0
        self._over = threading.Event()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self, timeout_s: float = 10) -> Monitor:
        """Begin; returns when the first line would be seen. RuntimeError if it never is."""
        self._thread.start()
        if not self._ready.wait(timeout_s):
            self._over.set()
            raise RuntimeError("the server does not answer to MONITOR")
        return self

    def stop(self, settle_s: float = _READ_S) -> list[Event]:
        """End; what was recorded. Waits a moment for what the server has said already."""
        time.sleep(settle_s)
        self._over.set()
        self._thread.join(10)
        self._end_script()
        return self._events

    @property
    def recorded(self) -> list[Event]:
        """What was recorded so far."""
        return list(self._events)

    # -- the thread -----------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._over.is_set():
            try:
                self._follow()
            except (OSError, redis.RedisError):
                self._end_script()
            time.sleep(_RETRY_S)

    def _follow(self) -> None:
        """From one connection to its end."""
        client = self._make_client()
        lines = _Lines(client)
        try:
            lines.begin()
            mark = secrets.token_hex(8)
            kept, now_us = self._read(client, mark)
            behind = self._pass_mark(lines, mark.encode())
            if kept or self._events:
                self._events.append(Gap(min(self._last_us, now_us), now_us, kept))
            self._last_us = now_us
            for raw in behind:
                self._hear(raw)
            self._ready.set()
            while not self._over.is_set():
                for raw in lines.read():
                    self._hear(raw)
        finally:
            lines.close()
            client.close()

    def _read(self, client: redis.Redis, mark: str) -> tuple[tuple[Words, ...] | None, int]:
        """What the server holds, if it is the one that is written to, and its clock."""
        try:
            if client.role()[0] in (b"master", "master"):
                return kept_by(client, self._base.decode(), mark)
        except (redis.exceptions.ExecAbortError, redis.exceptions.MovedError):
            pass  # a node of a Cluster that does not own the keys
        seconds, micros = client.time()
        client.echo(mark)
        return None, int(seconds) * 1_000_000 + int(micros)

    def _pass_mark(self, lines: _Lines, mark: bytes) -> list[bytes]:
        """What came after the mark; everything before it is in the reading already."""
        ends_s = time.monotonic() + _MARK_S
        while time.monotonic() < ends_s:
            came = list(lines.read())
            for number, raw in enumerate(came):
                if mark in raw and b'"ECHO"' in raw.upper():
                    return came[number + 1 :]
        raise OSError("MONITOR never showed the mark")

    # -- what is heard --------------------------------------------------------------------------

    def _hear(self, raw: bytes) -> None:
        head = raw[:80]
        in_script = b" lua] " in head
        if not in_script:
            self._end_script()
        if self._base in raw or b'"FLUSH' in head.upper() or self._is_push(raw):
            line = parse(raw)
            if line is not None:
                self._last_us = max(self._last_us, line.at_us)
                self._take(line)

    def _is_push(self, raw: bytes) -> bool:
        return b'"LPUSH"' in raw[:80].upper() and any(queue in raw for queue in self._queues)

    def _take(self, line: Line) -> None:
        words = line.words
        if words[0] in (b"FLUSHALL", b"FLUSHDB"):
            self._events.append(Lost(line.at_us, words[0].decode(), ()))
        elif words[0] == b"LPUSH" and words[1] in self._queues:
            self._arrived(line)
        elif line.in_script and len(words) > 1 and self._is_needed(words):
            self._open = True
            self._events.append(Write(line.at_us, line.at_us, words))

    def _is_needed(self, words: Words) -> bool:
        if words[:2] in self._needed:
            return True
        return words[0] == b"SET" and words[1].startswith(self._fired)

    def _arrived(self, line: Line) -> None:
        for message in line.words[2:]:
            found = arrival_of_message(message, line.at_us)
            if found is not None:
                self._events.append(found)

    def _end_script(self) -> None:
        if self._open:
            self._events.append(ScriptEnd(self._last_us))
            self._open = False


class _Lines:
    """A connection in MONITOR mode, made by redis-py, which handles auth, TLS and sockets."""

    def __init__(self, client: redis.Redis) -> None:
        self._connection: Any = client.connection_pool.make_connection()
        self._buffer = b""

    def begin(self) -> None:
        self._connection.connect()
        self._connection.send_command("MONITOR")
        if self._connection.read_response() not in (b"OK", "OK"):
            raise OSError("MONITOR was refused")
        self._socket: Any = self._connection._sock
        self._socket.settimeout(_READ_S)

    def read(self) -> list[bytes]:
        """The whole lines that have come; none if nothing came for a while. OSError at the end."""
        try:
            got = self._socket.recv(1 << 18)
        except (TimeoutError, ssl.SSLWantReadError):
            return []
        if not got:
            raise OSError("the server has closed the connection")
        *lines, self._buffer = (self._buffer + got).split(b"\r\n")
        return list(lines)

    def close(self) -> None:
        self._connection.disconnect()


def kept_by(client: redis.Redis, base: str, mark: str = "") -> tuple[tuple[Words, ...], int]:
    """What a server holds of a schedule, as `Lost.kept` and `Gap.kept` have it; its clock, µs."""
    pipe = client.pipeline(transaction=True)
    pipe.time()
    for name in _KEPT:
        pipe.hgetall(base + name)
    pipe.get(base + "lease")
    pipe.pttl(base + "lease")
    if mark:
        pipe.echo(mark)
    (seconds, micros), *hashes, token, left_ms = pipe.execute()[: len(_KEPT) + 3]
    kept: list[Words] = []
    for name, found in zip(_KEPT, hashes, strict=True):
        key = (base + name).encode()
        kept += [(b"HSET", key, field, value) for field, value in found.items()]
    if token is not None:
        kept.append((b"SET", f"{base}lease".encode(), token, b"PX", b"%d" % max(0, left_ms)))
    return tuple(kept), int(seconds) * 1_000_000 + int(micros)
