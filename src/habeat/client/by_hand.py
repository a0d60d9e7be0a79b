"""Extra firings by hand: `client.trigger` and `client.backfill`.

Both store a request for the leader, under an id. Each id is used only once: if a person clicks
twice, or a call is repeated because its reply was lost, the second call finds the id known and
stores nothing. Ids are remembered for as long as the ledger keeps its records.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

from habeat.client.budget import Check
from habeat.client.calls import Overtaken, RetryingCalls, Session
from habeat.client.holding import check_not_paused
from habeat.client.preview import counted
from habeat.core.entry import Entry
from habeat.core.limits import within
from habeat.core.request import BACKFILL_MAX, BACKFILL_PACE, Request
from habeat.entries.changes import check_stays
from habeat.entries.codec import encode_request
from habeat.entries.readable import shown
from habeat.entries.serializers import check_arguments
from habeat.entries.values import arguments, keywords, pace_of
from habeat.errors import DefinitionError, EntryNotFound, ValidationError
from habeat.printable import repr_of
from habeat.schedules.custom import Code
from habeat.schedules.schedule import Run, moment, to_ms

ID_CHARS_MAX = 100
_ID = re.compile(rf"[A-Za-z0-9._:-]{{1,{ID_CHARS_MAX}}}", re.ASCII)


class RequestId(str):
    """The id of a request. `known` is True if it was used before; then nothing was stored again."""

    known: bool

    def __new__(cls, value: str, known: bool = False) -> Self:
        made = super().__new__(cls, value)
        made.known = known
        return made


@dataclass(frozen=True, slots=True)
class Backfill:
    """What `backfill` requested, or would request without `dry_run`.

    `first` and `last` (aware, UTC) are None if there is no slot; then nothing was requested and
    `request_id` is "". `known` is True if this id was used before; then nothing was stored again.
    """

    entry: str
    count: int
    first: datetime | None
    last: datetime | None
    pace: float
    request_id: str
    known: bool
    dry_run: bool

    @property
    def seconds(self) -> float:
        """How long the backfill takes at its pace."""
        return self.count / self.pace


def triggered(
    calls: RetryingCalls,
    name: str,
    args: Sequence[Any] | None,
    kwargs: Mapping[str, Any] | None,
    identity: str,
) -> RequestId:
    """Request one firing, as soon as possible."""
    try:
        request = firing(args, kwargs)
    except ValidationError as error:
        raise error.of_entry(name) from None
    return RequestId(identity, known=_ask(calls, name, identity, request))


def firing(
    args: Sequence[Any] | None, kwargs: Mapping[str, Any] | None
) -> Callable[[Entry, int], Request]:
    """Makes the request for one firing of an entry at Redis' time; ValidationError."""
    positional = None if args is None else arguments(args)
    named = None if kwargs is None else keywords(kwargs)

    def request(entry: Entry, now_ms: int) -> Request:
        return Request("trigger", entry.name, now_ms, positional, named)

    return request


def backfilled(
    calls: RetryingCalls,
    name: str,
    start: datetime,
    end: datetime,
    *,
    pace: float | None,
    dry_run: bool,
    identity: str,
) -> Backfill:
    """Request the slots with ``start < slot <= end`` again, at `pace` a second."""
    calls = calls.bounded()
    most_pace = calls.guard.most_pace or BACKFILL_PACE
    try:
        per_second = pace_of("pace", min(BACKFILL_PACE, most_pace) if pace is None else pace)
        start_ms, end_ms = to_ms("start", start), to_ms("end", end)
        if start_ms >= end_ms:
            raise ValidationError("start", start, f"an instant before the end ({end})")
    except ValidationError as error:
        raise error.of_entry(name) from None
    calls.guard.check_name(name)
    calls.guard.check_pace(name, "pace", per_second)
    found: Run | None = None

    def request(entry: Entry, now_ms: int) -> Request | None:
        nonlocal found
        if end_ms > now_ms:
            allowed = f"not later than now ({moment(now_ms)}, by Redis' clock)"
            raise ValidationError("end", end, allowed, entry=name)
        found = _counted(entry, start_ms, end_ms, end, calls.check)
        if found is None or dry_run:
            return None
        return Request("backfill", name, now_ms, cursor_ms=start_ms, end_ms=end_ms, pace=per_second)

    known = _ask(calls, name, identity, request)
    return Backfill(
        entry=name,
        count=found.count if found else 0,
        first=moment(found.first_ms) if found else None,
        last=moment(found.last_ms) if found else None,
        pace=per_second,
        request_id=identity if found and not dry_run else "",
        known=known,
        dry_run=dry_run,
    )


def _ask(
    calls: RetryingCalls, name: str, identity: str, request: Callable[[Entry, int], Request | None]
) -> bool:
    """Store the request, if there is one; returns whether its id was known."""
    mark = secrets.token_hex(8)

    def attempt(session: Session) -> bool:
        check_not_paused(session)
        snapshot = session.entries.read([name])
        stored = snapshot.stored[0]
        calls.guard.check_name(name)
        if not stored.exists:
            raise EntryNotFound(name)
        calls.guard.check_scope(shown(stored))
        check_stays(stored)
        if stored.entry is None:
            raise DefinitionError(name, stored.unreadable)
        wanted = request(stored.entry, snapshot.now_ms)
        if wanted is None:
            return False
        keep_ms = calls.location.ledger_age_ms
        raw = checked_request(calls, wanted, stored.entry)
        if calls.plans_only:
            return False
        reply = session.entries.add_request(identity, raw, keep_ms, name, mark)
        if reply.word == "gone":
            raise EntryNotFound(name)
        if reply.word == "moving":
            raise Overtaken(name)  # since it was read: the next attempt says where it goes
        if reply.entry != name:
            visible = calls.guard.scope.has_name(reply.entry)
            used = f"entry {repr_of(reply.entry)}" if visible else "another entry"
            allowed = f"another id: this one was used for {used}"
            raise ValidationError("request_id", identity, allowed, entry=name)
        return reply.word == "known"

    return calls.write(attempt)


def checked_request(calls: RetryingCalls, wanted: Request, entry: Entry) -> bytes:
    """The request as it is stored; ValidationError or NotAllowed if it cannot be sent."""
    raw, limits = encode_request(wanted), calls.location.limits
    within("request", len(raw), limits, "definition_bytes", entry.name)
    if wanted.args is not None or wanted.kwargs is not None:
        applied = wanted.applied(entry)
        calls.guard.check_sent(applied)
        check_arguments(applied, limits.task_serializer)
    return raw


def _counted(entry: Entry, start_ms: int, end_ms: int, end: datetime, check: Check) -> Run | None:
    if isinstance(entry.schedule, Code):
        raise ValidationError(
            "schedule",
            entry.schedule.describe(),
            "one that is stored: the slots of this one are known to code only",
            entry=entry.name,
        )
    limit = None if entry.schedule.arithmetic else BACKFILL_MAX + 1
    if limit is None:
        run = entry.count_between(start_ms, end_ms)
    else:
        run = counted(entry, start_ms, end_ms, limit, check)
    if run is not None and run.count > BACKFILL_MAX:
        count = f"{run.count}" if limit is None else "more"
        allowed = f"so that there are at most {BACKFILL_MAX} slots since the start, not {count}"
        raise ValidationError("end", end, allowed, entry=entry.name)
    return run


def request_id_of(entry: str, given: Any) -> str:
    """The id of a request for the entry: the one given, or a new one for None; ValidationError."""
    if given is None:
        return secrets.token_hex(8)
    if isinstance(given, str) and _ID.fullmatch(given):
        return str(given)
    allowed = f"1 to {ID_CHARS_MAX} letters, digits and . _ : -"
    raise ValidationError("request_id", given, allowed, entry=entry)
