"""The changes of entries, as the change log has them: `client.changes`.

A client with a scope sees the changes of its own entries. A name may have belonged to another
tenant before: with a tag, the records end where the entry was added, or came to have the tag. A
rename from or to a name outside the scope is shown without that name.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from habeat.client.budget import Check
from habeat.client.calls import RetryingCalls, Session
from habeat.client.guard import Scope
from habeat.client.history import CHECK_EVERY
from habeat.errors import ValidationError
from habeat.schedules.schedule import moment
from habeat.store.change_log import LoggedChange, fields_of


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One field before and after a change; None stands for its absence.

    `kept` is False if the log has only that it changed, as for arguments. Durations are seconds,
    instants are ISO 8601, and a schedule has its stored form.
    """

    before: Any = None
    after: Any = None
    kept: bool = True


@dataclass(frozen=True, slots=True)
class ChangeRecord:
    """One change of an entry, or of the schedule as a whole.

    `control` is "" for an entry. Otherwise it is "pause", "hold:NAME" or "calendar:NAME", and
    `entry` is "". `at` is aware, in UTC, by Redis' clock; `id` orders the records.

    `act` is "added", "changed", "paused", "resumed", "renamed" or "removed". `by` is who made the
    change, and `way` how: "api", "cli", "admin", "beat_schedule", "load", "restore", "adopt" or
    "migrate", or "leader" for what the leader did by itself, such as ending a pause. `before` and
    `after` are the digests of the entry's definition, "" where there was none.
    """

    id: str
    at: datetime
    entry: str
    act: str
    by: str
    way: str
    fields: Mapping[str, FieldChange] = field(default_factory=dict)
    before: str = ""
    after: str = ""
    control: str = ""


def changes_of(
    session: Session,
    name: str | None,
    from_ms: int | None,
    limit: int,
    *,
    scope: Scope,
    check: Check,
    with_controls: bool,
) -> list[ChangeRecord]:
    """The newest `limit` changes of one entry, or of all, newest first.

    `with_controls`: whether those of the schedule as a whole are among all.
    """
    if type(limit) is not int or limit < 1:
        raise ValidationError("limit", limit, "a whole number, 1 or more")
    found: list[ChangeRecord] = []
    for number, logged in enumerate(session.changes.newest_first(from_ms)):
        if number % CHECK_EVERY == 0:
            check(f"{number} records of the change log were read")
        if logged.entry == name or (name is None and (with_controls or not logged.control)):
            found.append(_within(_friendly(logged), scope))
            if len(found) == limit or (scope.tag and _begins(found[-1], scope)):
                break
    return found


def last_change(calls: RetryingCalls, name: str) -> ChangeRecord | None:
    """The newest change of an entry that exists; None if it has left the log."""
    found = calls.read(lambda session: session.changes.last_of(name))
    return None if found is None else _within(_friendly(found), calls.guard.scope)


def _friendly(logged: LoggedChange) -> ChangeRecord:
    return ChangeRecord(
        id=logged.id,
        at=moment(logged.at_ms),
        entry=logged.entry,
        act=logged.act,
        by=logged.by,
        way=logged.way,
        fields=dict(_fields(logged.fields)),
        before=logged.before,
        after=logged.after,
        control=logged.control,
    )


def field_changes(raw: bytes) -> Mapping[str, FieldChange]:
    """The fields that a change is about to record (entries/differing.py)."""
    return dict(_fields(fields_of(raw.decode())))


def _fields(raw: Mapping[str, Any]) -> Iterator[tuple[str, FieldChange]]:
    for name, pair in raw.items():
        yield name, FieldChange(kept=False) if pair is True else FieldChange(*pair)


def _begins(record: ChangeRecord, scope: Scope) -> bool:
    """Whether the entry was not in the scope before this change."""
    if record.act in ("added", "renamed"):
        return True
    tags = record.fields.get("tags")
    return tags is not None and not (isinstance(tags.before, list) and scope.tag in tags.before)


def _within(record: ChangeRecord, scope: Scope) -> ChangeRecord:
    """The record without the names of entries outside the scope."""
    names = record.fields.get("name")
    if scope == Scope() or names is None:
        return record
    old, new = (
        each if isinstance(each, str) and scope.has_name(each) and not scope.tag else None
        for each in (names.before, names.after)
    )
    return replace(record, fields={**record.fields, "name": FieldChange(old, new)})
