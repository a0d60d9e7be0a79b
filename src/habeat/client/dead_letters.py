"""Dead firings and requests: list, show, resend, purge. Arguments are never shown.

A client with a scope sees those of its entries only. With a tag, that means entries that still
exist: the tags of a removed entry are not known.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from habeat.client.calls import Overtaken, RetryingCalls, Session
from habeat.client.guard import Scope
from habeat.client.holding import check_not_paused
from habeat.entries.changes import check_stays
from habeat.entries.codec import decode_request
from habeat.entries.readable import shown
from habeat.errors import (
    DeadNotFound,
    DeadUnreadable,
    DefinitionError,
    EntryNotFound,
    NotAllowed,
    ValidationError,
)
from habeat.schedules.schedule import moment
from habeat.store.dead_letters import DeadRecord
from habeat.store.pages import PAGE


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A firing or a request that was given up. Instants are aware datetimes in UTC.

    `id` identifies it for `show`, `resend` and `purge`. `kind` is "firing", "trigger", "backfill",
    or "request" for a request that cannot be read. `attempts` is how often its message was tried,
    `size` the bytes stored. `task` and `task_id` come from its message. `resendable` says whether
    `resend` can send it.
    """

    id: str
    kind: str
    entry: str
    at: datetime | None
    why: str
    slot: datetime | None
    identity: str
    attempts: int | None
    task: str
    task_id: str
    size: int
    resendable: bool


def letters(
    calls: RetryingCalls, entry: str | None, older_than: timedelta | None, limit: int | None
) -> list[DeadLetter]:
    """The dead firings and requests that match, the oldest first."""
    scope = calls.guard.scope

    def attempt(session: Session) -> list[DeadLetter]:
        found: list[DeadLetter] = []
        for record in _records(session, scope, entry, older_than):
            if limit is not None and len(found) >= limit:
                break
            found.append(letter_of(record))
        return found

    return calls.read(attempt)


def letter(calls: RetryingCalls, identity: str) -> DeadLetter:
    """The dead firing or request with this id; DeadNotFound."""
    scope = calls.guard.scope
    return calls.read(lambda session: letter_of(_found(session, scope, identity)))


def resent(calls: RetryingCalls, identity: str) -> DeadLetter:
    """Have it sent again; DeadNotFound, DeadUnreadable, EntryNotFound, EntryMoving."""

    def attempt(session: Session) -> DeadLetter:
        check_not_paused(session)
        record = _found(session, calls.guard.scope, identity)
        dead = letter_of(record)
        if not dead.resendable:
            raise DeadUnreadable(identity)
        word = session.dead.resend(replace(record, entry=dead.entry))
        if word == "gone":
            raise EntryNotFound(dead.entry)
        if word == "moving":
            [stored] = session.entries.read([dead.entry]).stored
            check_stays(stored)
            raise Overtaken(dead.entry)  # the move has ended since
        if word == "there":
            raise DeadUnreadable(identity, "it is already being sent")
        if word == "changed":
            raise DeadNotFound(identity)
        return dead

    return calls.write(attempt)


def purged(
    calls: RetryingCalls, identity: Any, entry: str | None, older_than: timedelta | None
) -> int:
    """Remove one by id, or (None) all that match; returns how many. ValidationError, NotAllowed."""
    scope = calls.guard.scope
    if identity is not None and not (isinstance(identity, str) and identity):
        raise ValidationError("id", identity, "an id that is not empty, or None")
    if identity is None and entry is None and scope != Scope():
        raise NotAllowed("", "entry", "one entry by its name: this client has a scope")

    def attempt(session: Session) -> int:
        if identity is not None:
            return session.dead.purge([_found(session, scope, identity).field])
        fields = [record.field for record in _records(session, scope, entry, older_than)]
        return sum(
            session.dead.purge(fields[start : start + PAGE])
            for start in range(0, len(fields), PAGE)
        )

    return calls.write(attempt)


def _records(
    session: Session, scope: Scope, entry: str | None, older_than: timedelta | None
) -> Iterator[DeadRecord]:
    before_ms = None
    if older_than is not None:
        now_ms = session.inspection.now_ms()
        before_ms = now_ms - older_than // timedelta(milliseconds=1)
    start = 0
    while page := session.dead.page(start, PAGE):
        inside = _inside(session, scope, page)
        for record in page:
            if before_ms is not None and (record.at_ms or 0) > before_ms:
                return
            name = _entry_of(record)
            if name in inside and (entry is None or name == entry):
                yield record
        start += PAGE


def _inside(session: Session, scope: Scope, records: Sequence[DeadRecord]) -> set[str]:
    """The names of the entries of these records that are in the scope."""
    names = {name for name in map(_entry_of, records) if scope.has_name(name)}
    if not scope.tag or not names:
        return names
    stored = session.entries.read(sorted(names)).stored
    return {each.name for each in stored if each.exists and scope.has(shown(each))}


def _found(session: Session, scope: Scope, identity: str) -> DeadRecord:
    record = session.dead.find(identity)
    if record is None or not _inside(session, scope, [record]):
        raise DeadNotFound(identity)
    return record


def letter_of(record: DeadRecord) -> DeadLetter:
    """What may be shown of a stored record."""
    kind, entry, slot_ms, readable = "firing", record.entry, record.slot_ms, True
    task = task_id = ""
    if record.request:
        try:
            request = decode_request(record.message)
        except DefinitionError:
            kind, readable = "request", False
        else:
            kind, entry, slot_ms = request.kind, request.entry, request.at_ms
    else:
        task, task_id, readable = _headers(record)
    suffix = record.field.rpartition("@")[2] if not record.request else record.request
    return DeadLetter(
        id=record.field,
        kind=kind,
        entry=entry,
        at=None if record.at_ms is None else moment(record.at_ms),
        why=record.why,
        slot=_moment(slot_ms),
        identity=suffix,
        attempts=record.attempts,
        task=task,
        task_id=task_id,
        size=len(record.message),
        resendable=readable,
    )


def _moment(at_ms: int | None) -> datetime | None:
    try:
        return None if at_ms is None else moment(at_ms)
    except (ValueError, OverflowError):
        return None


def _entry_of(record: DeadRecord) -> str:
    return letter_of(record).entry if record.request else record.entry


def _headers(record: DeadRecord) -> tuple[str, str, bool]:
    """Task and task id of a firing's message, and whether any process can send it."""
    if record.attempts is None:
        return "", "", False
    try:
        messages: Any = json.loads(record.message)["messages"]
        headers = messages[0]["arguments"].get("headers") or {}
        return str(headers.get("task", "")), str(headers.get("id", "")), True
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError):
        return "", "", False
