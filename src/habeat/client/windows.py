"""Holds: keeping the entries of a scope from firing, once or again and again.

A hold is one of the controls (core/controls.py, core/holds.py). Tenants, who have a guard with a
scope, may hold only what is in their scope, and see only such holds.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Literal

from habeat.client.calls import Overtaken, RetryingCalls, Session
from habeat.client.guard import Scope
from habeat.client.preview import in_zone
from habeat.core.controls import HOLD, HOLDS_MAX, WORDS_MAX, controls_of, stored_window
from habeat.core.entry import Entry, instant
from habeat.core.holds import Window
from habeat.entries.affordable import check_affordable
from habeat.entries.draft import checked_name
from habeat.entries.schedules import schedule_of
from habeat.entries.values import span_ms
from habeat.errors import NotAllowed, ValidationError
from habeat.schedules.custom import Code
from habeat.schedules.schedule import Schedule, moment, to_ms

LEAST_MS, MOST_MS = 1_000, 31 * 86_400_000
TAGS_MAX = 20
#: The most holds of a client with a scope: there is room for few, and the leader checks each of
#: them for each of its entries.
SCOPE_HOLDS_MAX = 20


@dataclass(frozen=True, slots=True)
class Hold:
    """A hold on the entries with this prefix and all these tags. Instants are aware, in UTC.

    Once: from `start` to `end` (None: until it is removed). With `schedule`, again and again
    between these, for `duration` each time. `misfire` says what becomes of the slots: "skip", or
    "latest": the newest of each entry fires at the end. `until` is when the present window ends;
    None if the hold is not on.
    """

    name: str
    start: datetime
    end: datetime | None
    schedule: Schedule | None
    duration: timedelta | None
    prefix: str
    tags: tuple[str, ...]
    misfire: Literal["skip", "latest"]
    reason: str
    by: str
    until: datetime | None


@dataclass(frozen=True, slots=True)
class Wanted:
    """The arguments of `add_hold`, not checked yet."""

    start: datetime | None
    end: datetime | None
    schedule: Any
    duration: float | timedelta | None
    prefix: Any
    tags: Iterable[Any]
    misfire: str
    reason: Any


def added(
    calls: RetryingCalls, name: str, wanted: Wanted, *, replace: bool, timezone: str, by: str
) -> Hold:
    """Store a hold. ValidationError, NotAllowed."""
    checked_name(name)
    make = _maker(name, wanted, timezone, by)

    def attempt(session: Session) -> Hold:
        stamp = secrets.token_hex(8)
        now_ms = session.inspection.now_ms()
        window = make(now_ms)
        _check_scope(calls.guard.scope, window)
        stored = session.controls.read()
        before, after = stored.fields.get(HOLD + name, ""), stored_window(window)
        if before and before != after and not replace:
            raise ValidationError("name", name, "a new name, or replace=True")
        _check_replaced(calls.guard.scope, name, before)
        if not before:
            _check_room(calls.guard.scope, name, stored.fields)
        word = session.controls.write(stamp, HOLD + name, before, after, most=HOLDS_MAX)
        if word == "full":
            raise ValidationError("name", name, f"at most {HOLDS_MAX} holds: remove some")
        if word == "conflict":
            raise Overtaken("")
        return _shown_to(calls.guard.scope, window, now_ms)

    return calls.write(attempt)


def listed(calls: RetryingCalls) -> tuple[Hold, ...]:
    """The holds, by name; with a scope, those in it."""

    def look(session: Session) -> tuple[Hold, ...]:
        now_ms = session.inspection.now_ms()
        found = session.inspection.controls().holds.windows.values()
        scope = calls.guard.scope
        return tuple(_shown_to(scope, each, now_ms) for each in found if _is_in(scope, each))

    return calls.read(look)


def removed(calls: RetryingCalls, name: str) -> bool:
    """Remove a hold; False if there is none of this name."""
    checked_name(name)
    found: list[str] = []  # kept over attempts: a reply may be lost

    def attempt(session: Session) -> bool:
        stamp = secrets.token_hex(8)
        before = session.controls.read().fields.get(HOLD + name, "")
        _check_replaced(calls.guard.scope, name, before)
        if before:
            found.append(before)
            if session.controls.write(stamp, HOLD + name, before, "") == "conflict":
                raise Overtaken("")
        return bool(found)

    return calls.write(attempt)


def shown_hold(window: Window, now_ms: int) -> Hold:
    """The hold as the API has it."""
    recurs = window.schedule is not None
    return Hold(
        name=window.name,
        start=moment(window.from_ms),
        end=None if window.until_ms is None else moment(window.until_ms),
        schedule=window.schedule,
        duration=timedelta(milliseconds=window.for_ms) if recurs else None,
        prefix=window.prefix,
        tags=window.tags,
        misfire="latest" if window.latest else "skip",
        reason=window.reason,
        by=window.by,
        until=instant(window.end_of(now_ms)),
    )


def _shown_to(scope: Scope, window: Window, now_ms: int) -> Hold:
    """The hold, for tenants without the user and host of the process that added it."""
    return shown_hold(window if scope == Scope() else replace(window, by=""), now_ms)


def _maker(name: str, wanted: Wanted, timezone: str, by: str) -> Callable[[int], Window]:
    """Makes the window when Redis' time is known; ValidationError."""
    start_ms = None if wanted.start is None else to_ms("start", wanted.start)
    end_ms = None if wanted.end is None else to_ms("end", wanted.end)
    schedule, for_ms = _recurrence(name, wanted, timezone)
    if wanted.misfire not in ("skip", "latest"):
        raise ValidationError("misfire", wanted.misfire, "'skip' or 'latest'")
    for field, text in (("prefix", wanted.prefix), ("reason", wanted.reason)):
        if not isinstance(text, str) or len(text) > WORDS_MAX:
            raise ValidationError(field, text, f"a string of at most {WORDS_MAX} characters")
    tags = tuple(wanted.tags)
    if len(tags) > TAGS_MAX or not all(isinstance(tag, str) and len(tag) <= 200 for tag in tags):
        raise ValidationError("tags", wanted.tags, f"at most {TAGS_MAX} tags, strings")

    def make(now_ms: int) -> Window:
        begins_ms = now_ms if start_ms is None else start_ms
        if end_ms is not None and end_ms <= max(begins_ms, now_ms):
            allowed = f"an instant after the start, in the future: it is {moment(now_ms)}"
            raise ValidationError("end", wanted.end, allowed)
        if schedule is not None:
            check_affordable(Entry(name, "hold", schedule), begins_ms)
        return Window(
            name=name,
            from_ms=begins_ms,
            until_ms=end_ms,
            schedule=schedule,
            for_ms=for_ms,
            prefix=wanted.prefix,
            tags=tags,
            latest=wanted.misfire == "latest",
            reason=wanted.reason,
            by=by,
        )

    return make


def _recurrence(name: str, wanted: Wanted, timezone: str) -> tuple[Schedule | None, int]:
    if wanted.schedule is not None and wanted.duration is None:
        raise ValidationError("duration", None, "how long each window of the schedule is (--for)")
    if wanted.schedule is None and wanted.duration is not None:
        expected = "a schedule beside it (--cron, --every), or else the end of the window (--to)"
        raise ValidationError("duration", wanted.duration, expected)
    if wanted.schedule is None or wanted.duration is None:
        return None, 0
    for_ms = span_ms("duration", wanted.duration)
    if not LEAST_MS <= for_ms <= MOST_MS:
        raise ValidationError("duration", wanted.duration, "1 second to 31 days")
    schedule = in_zone(schedule_of(wanted.schedule), timezone).bound(name, timezone)
    if isinstance(schedule, Code):
        raise ValidationError("schedule", wanted.schedule, "a schedule that can be stored")
    return schedule, for_ms


def _is_in(scope: Scope, window: Window) -> bool:
    """Whether the hold concerns nothing outside of a guard's scope."""
    tagged = not scope.tag or scope.tag in window.tags
    return scope.has_name(window.name) and window.prefix.startswith(scope.prefix) and tagged


def _check_scope(scope: Scope, window: Window) -> None:
    if not scope.has_name(window.name):
        raise NotAllowed("", "name", f"names that begin with {scope.prefix!r}")
    if not window.prefix.startswith(scope.prefix):
        raise NotAllowed("", "prefix", f"a prefix that begins with {scope.prefix!r}")
    if not _is_in(scope, window):
        raise NotAllowed("", "tags", f"entries with the tag {scope.tag!r}")


def _check_room(scope: Scope, name: str, fields: Mapping[str, str]) -> None:
    """NotAllowed if a scope has as many holds as one may have."""
    if scope == Scope():
        return
    windows = controls_of("", fields).holds.windows.values()
    if sum(_is_in(scope, each) for each in windows) >= SCOPE_HOLDS_MAX:
        raise NotAllowed("", "name", f"at most {SCOPE_HOLDS_MAX} holds within a guard's scope")


def _check_replaced(scope: Scope, name: str, before: str) -> None:
    """NotAllowed if the hold that has this name now is not in the scope."""
    if scope == Scope():
        return
    found = controls_of("", {HOLD + name: before}).holds.windows.values() if before else ()
    known = all(_is_in(scope, each) for each in found)
    if not scope.has_name(name) or not known or (before and not found):
        raise NotAllowed("", "name", "a hold within the scope of the client's guard")
