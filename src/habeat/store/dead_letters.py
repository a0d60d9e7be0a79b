"""Records of :dead: firings and requests that were given up, with the time and the reason.

A value starts with a line ``dead <ms> <why>``, followed by the intent of the outbox or the request.
Values written by older releases lack that first line.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import unquote

from habeat.entries.codec import digest_of
from habeat.store.calling import Caller, text

_HEAD = re.compile(rb"dead (\d{1,15}) ([^\n]*)\n", re.ASCII)
_INTENT = re.compile(rb"[^\n]*\n(\d{1,9})\n(\d{1,15})\n([^\n]*)\n(.*)", re.ASCII | re.DOTALL)
_FIELD = re.compile(r"(.*)@(-?\d+)([^@]*)", re.DOTALL)
_REQUEST = "request "


@dataclass(frozen=True, slots=True)
class DeadRecord:
    """One record of :dead. `message` is the message of a firing, or the text of a request.

    `attempts` is 0 for requests, and None if the record cannot be read. `at_ms` is None for records
    of older releases.
    """

    field: str
    digest: str
    at_ms: int | None
    why: str
    message: bytes
    request: str = ""
    entry: str = ""
    slot_ms: int | None = None
    attempts: int | None = None
    effective_ms: int = 0
    reason: str = ""

    @property
    def kept(self) -> bytes:
        """The value to store for the next attempt: no token, no attempts, at least once."""
        if self.request:
            return self.message
        head = f"\n0\n{self.effective_ms}\n{self.reason}/at_least_once\n"
        return head.encode() + self.message


class DeadStore:
    """Reads, removes and resends records of :dead."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    def count(self) -> int:
        """The number of records."""
        key = self._caller.keys.dead
        return int(self._caller.do(lambda client: client.hlen(key)))

    def page(self, start: int, count: int) -> list[DeadRecord]:
        """Records by age, oldest first; one that :dead_at lacks appears once it is indexed."""
        keys = self._caller.keys
        fields: Any = self._caller.do(
            lambda client: client.zrange(keys.dead_at, start, start + count - 1)
        )
        return [each for each in map(self._read, fields, self._values(fields)) if each is not None]

    def find(self, field: str) -> DeadRecord | None:
        """The record of this field; None if there is none."""
        stored = _stored(field)
        (value,) = self._values([stored])
        return self._read(stored, value)

    def purge(self, fields: Sequence[str]) -> int:
        """Remove these records; returns how many existed."""
        keys = self._caller.keys
        if not fields:
            return 0
        stored: Any = [_stored(field) for field in fields]
        gone = int(self._caller.do(lambda client: client.hdel(keys.dead, *stored)))
        self._caller.do(lambda client: client.zrem(keys.dead_at, *stored))
        return gone

    def resend(self, record: DeadRecord) -> str:
        """Resend the record; returns ok, changed, there, gone or moving (see resend.lua)."""
        return text(self._caller.run("resend", *_resend_words(record))[0])

    def _values(self, fields: Sequence[bytes]) -> Sequence[bytes | None]:
        key = self._caller.keys.dead
        found: Any = self._caller.do(lambda client: client.hmget(key, fields)) if fields else []
        return list(found)

    @staticmethod
    def _read(field: bytes, value: bytes | None) -> DeadRecord | None:
        return None if value is None else read_dead(text(field), bytes(value))


def _stored(name: str) -> bytes:
    """A name as stored; a name that is not UTF-8 keeps its bytes (see calling.text)."""
    try:
        return name.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return name.encode("utf-8", "surrogatepass")


def _resend_words(record: DeadRecord) -> Sequence[bytes | str | int]:
    entry, slot_ms, request = _stored(record.entry), record.slot_ms or 0, _stored(record.request)
    return (_stored(record.field), record.digest, entry, slot_ms, request, record.kept)


def read_dead(field: str, value: bytes) -> DeadRecord:
    """Parse the value stored under this field."""
    head = _HEAD.match(value)
    raw = value[head.end() :] if head else value
    at_ms, why = (int(head[1]), text(head[2])) if head else (None, "")
    record = DeadRecord(field, digest_of(value), at_ms, why, raw)
    if field.startswith(_REQUEST):
        identity = unquote(field.removeprefix(_REQUEST))  # escaped by drop.lua
        return replace(record, request=identity, attempts=0)
    named, intent = _FIELD.fullmatch(field), _INTENT.fullmatch(raw)
    if named is None:
        return replace(record, entry=field)
    record = replace(record, entry=named[1], slot_ms=int(named[2]))
    if intent is None:
        return record
    return replace(
        record,
        attempts=int(intent[1]) + 1,
        effective_ms=int(intent[2]),
        reason=text(intent[3]).rpartition("/")[0],
        message=intent[4],
    )
