"""What a server's MONITOR says, line by line.

    +1795182595.732402 [0 lua] "SET" "a" "v\\n\\x01" "PX" "1000"
    +1795182595.749744 [0 127.0.0.1:37216] "GET" "a"

MONITOR tells of commands, not of effects. Seen on Valkey 9, Redis 7.0 and 6.2: a command that the
server refuses (OOM, READONLY, NOREPLICAS, NOPERM) is *not* shown; one that fails on the type of
its key, and one that changes nothing (HDEL of a field that is not there, SET NX of a key that is)
are. Of what the checker reads, the shipped scripts run every command only where it takes effect:
HDEL inflight after an HGET that found the field, DEL and PEXPIRE of the lease after comparing it,
types are looked at before the first write, and there is no NX. The one that may do nothing is HDEL
of entries and state in remove.lua and rename.lua, for a field that was missing: the checker, who
does not know that entry then, passes over it. (test_monitor.py holds the scripts to this.)
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_HEAD = re.compile(rb"^\+?(\d+)\.(\d{6}) \[(\d+) ([^\]]*)\] ")
_WORD = re.compile(rb'"((?:[^"\\]|\\.)*)"')
_ESCAPE = re.compile(rb"\\(x[0-9a-fA-F]{2}|.)", re.DOTALL)
_PLAIN = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"a": b"\a", b"b": b"\b"}


@dataclass(frozen=True, slots=True)
class Line:
    """One command, as the server ran it. `in_script`: it was called by a script."""

    at_us: int
    db: int
    in_script: bool
    words: tuple[bytes, ...]


def parse(raw: bytes) -> Line | None:
    """One line; None if it is none of MONITOR's (a greeting, a cut one)."""
    head = _HEAD.match(raw)
    if head is None:
        return None
    words = tuple(_unescaped(word) for word in _WORD.findall(raw, head.end()))
    if not words:
        return None
    at_us = int(head[1]) * 1_000_000 + int(head[2])
    return Line(at_us, int(head[3]), head[4] == b"lua", (words[0].upper(), *words[1:]))


def _unescaped(word: bytes) -> bytes:
    return _ESCAPE.sub(_escape, word) if b"\\" in word else word


def _escape(found: re.Match[bytes]) -> bytes:
    code = found[1]
    if len(code) == 3:
        return bytes([int(code[1:], 16)])
    return _PLAIN.get(code, code)
