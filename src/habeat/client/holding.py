"""Pausing the whole schedule: `client.pause_all` and `client.resume_all`.

The pause is one of the controls (core/controls.py): it is stored once, and every replica plans
under it. Pauses that are over are kept for a while, because a slot that fell due in one may be
found later.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import TypeVar

from habeat.client.calls import Overtaken, RetryingCalls, Session
from habeat.client.guard import NO_GUARD
from habeat.client.schedule_pause import SchedulePause as SchedulePause
from habeat.client.schedule_pause import shown_pause
from habeat.core.controls import (
    ANY_NUMBER,
    PAUSE,
    WORDS_MAX,
    Controls,
    controls_of,
    stored_pauses,
)
from habeat.core.holds import Pause
from habeat.errors import NotAllowed, SchedulePaused, ValidationError
from habeat.schedules.schedule import moment, to_ms

Result = TypeVar("Result")


def paused_all(
    calls: RetryingCalls, reason: object, until: datetime | None, by: str
) -> SchedulePause:
    """Pause the schedule from now on; without a reason or end, an earlier pause keeps its own."""
    _refuse_tenants(calls, "pause_all")
    if not isinstance(reason, str) or len(reason) > WORDS_MAX:
        raise ValidationError("reason", reason, f"a string of at most {WORDS_MAX} characters")
    until_ms = None if until is None else to_ms("until", until)

    def change(pauses: tuple[Pause, ...], now_ms: int) -> tuple[Pause, ...]:
        if until_ms is not None and until_ms <= now_ms:
            allowed = f"a time in the future: it is {moment(now_ms)} by Redis' clock"
            raise ValidationError("until", until, allowed)
        if pauses and pauses[-1].is_on(now_ms):
            before = pauses[-1]
            ends_ms = before.until_ms if until_ms is None else until_ms
            now = replace(before, until_ms=ends_ms, reason=reason or before.reason, by=by)
            return (*pauses[:-1], now)
        return (*pauses, Pause(now_ms, until_ms, reason, by))

    found = shown_pause(_changed(calls, change)[-1])
    assert found is not None
    return found


def resumed_all(calls: RetryingCalls) -> SchedulePause | None:
    """End the pause of the schedule now; the pause as it was, None if there was none."""
    _refuse_tenants(calls, "resume_all")
    ended: list[
        Pause
    ] = []  # also if the reply to the write is lost, and the next attempt finds none

    def change(pauses: tuple[Pause, ...], now_ms: int) -> tuple[Pause, ...]:
        ended.extend(each for each in pauses if each.is_on(now_ms))
        return tuple(
            replace(each, until_ms=max(now_ms, each.since_ms), over=True)
            if each.is_on(now_ms)
            else each
            for each in pauses
        )

    _changed(calls, change)
    return shown_pause(ended[0]) if ended else None


def schedule_paused(calls: RetryingCalls) -> SchedulePause | None:
    """The pause of the schedule; with a guard, without its reason and who asked for it."""

    def look(session: Session) -> Pause | None:
        found = controls_in(session).holds
        return found.pause_at(session.inspection.now_ms()) if found.pauses else None

    pause = calls.read(look)
    if pause is not None and calls.guard is not NO_GUARD:
        pause = replace(pause, reason="", by="")
    return shown_pause(pause)


def check_not_paused(session: Session) -> None:
    """SchedulePaused if the whole schedule is paused: then nothing is fired by hand either."""
    found = controls_in(session).holds
    if found.pauses and found.pause_at(session.inspection.now_ms()):
        raise SchedulePaused()


def controls_in(session: Session) -> Controls:
    """The controls as they are now."""
    return session.inspection.controls()


def _refuse_tenants(calls: RetryingCalls, what: str) -> None:
    if calls.guard is not NO_GUARD:
        raise NotAllowed("", what, "a client without a guard")


def _changed(
    calls: RetryingCalls, change: Callable[[tuple[Pause, ...], int], tuple[Pause, ...]]
) -> tuple[Pause, ...]:
    """The pauses after a change."""

    def attempt(session: Session) -> tuple[Pause, ...]:
        stamp = secrets.token_hex(8)
        now_ms = session.inspection.now_ms()
        found = session.controls.read()
        before = controls_of(found.stamp, found.fields).holds.pauses
        after = change(before, now_ms)
        if after == before:
            return after
        raw = found.fields.get(PAUSE, "")
        # A pause always finds room, even among fields that other programs have written.
        stored = stored_pauses(after, now_ms)
        if session.controls.write(stamp, PAUSE, raw, stored, most=ANY_NUMBER) == "conflict":
            raise Overtaken("")
        return after

    return calls.write(attempt)
