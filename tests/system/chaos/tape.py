"""A MONITOR stream as a history: what a server did, in its order, with its own clock.

Like the history's monitor.py, for servers that are ended and deposed on purpose: lines are kept as
they come and read when all is over, so that recording costs little; it is attached by hand, before
the beats are let in again through their proxy, so that nothing is missed; and writes that came
straight from a client are recorded too, since a test poisons entries that way.

A Redis replica repeats what its master did, under the master's address; what a server did itself
is what its scripts did (`own`).

A server whose clock is stepped, by multiples of `step_us`, is put right by the moments at which
the lines came: `at_us` is true time then, `server_us` what the server believed.
"""

from __future__ import annotations

import contextlib
import re
import socket
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from tests.verification.history.events import Arrival, Event, ScriptEnd, Write
from tests.verification.history.lines import parse
from tests.verification.history.monitor import arrival_of_message

#: When, by whom and what; the rest of a line is read only where it matters.
_HEAD = re.compile(rb'\+(\d+)\.(\d{6}) \[\d+ ([^\]]*)\] "(\w+)"')
_HASHES = (b"entries", b"state", b"inflight", b"dead", b"paused", b"quarantine")
_WRITES = (b"SET", b"DEL", b"PEXPIRE", b"HSET", b"HDEL", b"HINCRBY", b"XADD")


@dataclass
class Tape:
    """Records one server from `attach` to `stop`; `base` is what the schedule's keys begin with."""

    host: str
    port: int
    base: bytes
    step_us: int = 0
    _parts: list[list[tuple[int, bytes]]] = field(default_factory=list)
    _socket: socket.socket | None = None
    _thread: threading.Thread | None = None

    def attach(self) -> None:
        """Record from now on; nothing may have been written since the end of the last."""
        self.stop()
        connection = socket.create_connection((self.host, self.port), timeout=10)
        connection.sendall(b"MONITOR\r\n")
        stream = connection.makefile("rb", buffering=1 << 20)
        if stream.readline() != b"+OK\r\n":
            raise RuntimeError("MONITOR was refused")
        connection.settimeout(None)
        lines: list[tuple[int, bytes]] = []
        self._parts.append(lines)
        self._socket = connection
        self._thread = threading.Thread(target=_record, args=(stream, lines), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop recording; what the server has sent until now is still read."""
        if self._socket is None or self._thread is None:
            return
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)  # the server answers with an end of file
        self._thread.join(5)
        self._socket.close()
        self._thread.join(5)
        self._socket = self._thread = None

    def events(self, *, own: bool = False) -> list[Event]:
        """All that was recorded; with `own`, only what was not replicated from a master."""
        found: list[Event] = []
        there: set[tuple[bytes, bytes]] = set()
        for lines in self._parts:
            found += _events(lines, self.base, there, own, self.step_us)
        return found


def _record(stream: Iterable[bytes], lines: list[tuple[int, bytes]]) -> None:
    with contextlib.suppress(OSError):
        for line in stream:
            lines.append((time.time_ns() // 1_000, line))


def _events(
    lines: Sequence[tuple[int, bytes]],
    base: bytes,
    there: set[tuple[bytes, bytes]],
    own: bool,
    step_us: int,
) -> Iterator[Event]:
    """A script counts as one moment: its call, by which the server judges what it does."""
    in_script = False
    at_us = server_us = 0
    for came_us, line in lines:
        head = _HEAD.match(line)
        if head is None:
            continue
        by_script, command = head[3] == b"lua", head[4].upper()
        if not by_script:
            if in_script:
                yield ScriptEnd(at_us)
            in_script = False
            at_us = server_us = int(head[1]) * 1_000_000 + int(head[2])
            if step_us:
                at_us -= round((server_us - came_us) / step_us) * step_us
        event: Event | None = None
        if command in (b"FLUSHALL", b"FLUSHDB"):
            there.clear()
        elif command == b"LPUSH" and by_script:  # a worker may give a message back
            event = _arrival(line, at_us)
        elif command in _WRITES and (by_script or not own):
            event = _write(line, (at_us, server_us), base, there)
        if event is not None:
            in_script = by_script
            yield event


def _write(
    line: bytes, moments: tuple[int, int], base: bytes, there: set[tuple[bytes, bytes]]
) -> Write | None:
    parsed = parse(line)
    if parsed is None or not parsed.words[1].startswith(base):
        return None
    if parsed.words[1].startswith(base + b"probe:"):
        return None
    return Write(*moments, parsed.words) if _changes(parsed.words, base, there) else None


def _changes(words: Sequence[bytes], base: bytes, there: set[tuple[bytes, bytes]]) -> bool:
    """Whether it changed anything; keeps in mind which fields there are."""
    command, key, *rest = words
    name = key[len(base) :]
    if command == b"HSET" and name in _HASHES:
        there.update((name, at) for at in rest[::2])
    elif command == b"HDEL" and name in _HASHES:
        gone = [at for at in rest if (name, at) in there]
        there.difference_update((name, at) for at in gone)
        return bool(gone)
    return True


def _arrival(line: bytes, at_us: int) -> Arrival | None:
    parsed = parse(line)
    return arrival_of_message(parsed.words[2], at_us) if parsed is not None else None
