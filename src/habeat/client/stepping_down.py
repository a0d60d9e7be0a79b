"""Handing over the lead on request: `client.step_down`.

The request is one of the controls (core/controls.py), for one leader, by its token, and void after
a few seconds. The leader reads it at the start of its next tick, when nothing is being sent and all
that was sent is settled, and releases the lease. A successor that was named has the lease to itself
for a moment (acquire.lua). A leader that hangs does not answer; the request then expires, so it
cannot take effect later, when it would surprise people.
"""

from __future__ import annotations

import secrets
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import NoReturn

from habeat.client.author import system_user
from habeat.client.calls import Overtaken, RetryingCalls, Session
from habeat.client.guard import NO_GUARD
from habeat.client.replicas import Leader, Replica
from habeat.client.status import Status, leader_of, read_status
from habeat.clock import SystemClock
from habeat.core.controls import STEP_DOWN, StepDown
from habeat.errors import NotAllowed, NotHandedOver, ValidationError
from habeat.printable import plural
from habeat.store.inspection import Facts

#: How long the request is valid, and how long a successor may take after that.
VALID_MS, TAKEN_UP_MS = 10_000, 5_000
LOOK_EVERY_S = 0.05


@dataclass(frozen=True, slots=True)
class HandOver:
    """What `client.step_down` did: who led, who leads now, and for how long no replica led.

    `gap` is None if it is not known: another replica led in between.
    """

    before: Leader
    after: Leader
    gap: timedelta | None


def stepped_down(
    calls: RetryingCalls, to: str | None, asked: Callable[[], None] | None = None
) -> HandOver:
    """Make the leader hand over, and wait until another replica leads. NotHandedOver.

    `asked` is called when the leader has been asked, before the wait.
    """
    if calls.guard is not NO_GUARD:
        raise NotAllowed("", "step_down", "a client without a guard")
    grace_ms = calls.location.policies.misfire_grace_ms
    status = calls.read(lambda session: read_status(session.inspection, grace_ms))
    leader = status.leader
    if leader is None:
        raise NotHandedOver("no replica leads: see `celery -A proj habeat status`")
    successor = _successor(status, to)
    if to is not None and successor is None:
        return HandOver(leader, leader, timedelta())
    token = f"{leader.lease_epoch}:{leader.id}"
    ask(calls, StepDown(token, successor.id if successor else "", 0, who()))
    if asked is not None:
        asked()
    return _awaited(calls, leader)


def _successor(status: Status, to: str | None) -> Replica | None:
    """The standby that `to` names; None if any will do, or if it is the leader already."""
    if to is None:
        if not status.standbys:
            raise NotHandedOver(
                "there is no other replica that could lead: start another beat, then repeat it"
            )
        return None
    found = [each for each in status.replicas if to in _names(each)]
    exact = [each for each in found if to in (each.id, f"{each.host}:{each.pid}")]
    found = exact or found
    if len(found) != 1:
        _refuse(status, to, found)
    if found[0].role == "inert":
        allowed = f"a replica that can lead; {found[0].where} cannot: {found[0].inert}"
        raise ValidationError("to", to, allowed)
    return None if found[0].role == "leader" else found[0]


def _names(replica: Replica) -> Sequence[str]:
    return replica.id, replica.host, f"{replica.host}:{replica.pid}"


def _refuse(status: Status, to: str, found: Sequence[Replica]) -> NoReturn:
    if found:
        names = ", ".join(f"{each.host}:{each.pid}" for each in found)
        raise ValidationError("to", to, f"one replica, but {len(found)} have this name: {names}")
    standbys = ", ".join(f"{each.host}:{each.pid}" for each in status.standbys) or "none is live"
    raise ValidationError("to", to, f"the id, host or host:pid of a live standby ({standbys})")


def who() -> str:
    """The user and the host of this process."""
    return f"{system_user() or '?'}@{socket.gethostname()}"[:200]


def ask(calls: RetryingCalls, wanted: StepDown) -> None:
    """Store the request, valid from now on."""

    def attempt(session: Session) -> None:
        stamp = secrets.token_hex(8)
        until_ms = session.inspection.now_ms() + VALID_MS
        asked = StepDown(wanted.token, wanted.to, until_ms, wanted.by)
        before = session.controls.read().fields.get(STEP_DOWN, "")
        word = session.controls.write(stamp, STEP_DOWN, before, asked.stored(), "step_down")
        if word == "full":
            raise NotHandedOver("there are too many controls: remove holds that are over")
        if word == "conflict":
            raise Overtaken("")

    calls.write(attempt)


def _awaited(calls: RetryingCalls, before: Leader) -> HandOver:
    clock = SystemClock()
    ends_ms = clock.monotonic_us() // 1_000 + VALID_MS + TAKEN_UP_MS
    while True:
        facts = calls.read(lambda session: session.inspection.facts())
        after = leader_of(facts)
        released = _released_by(facts, before)
        if after is not None and after.lease_epoch != before.lease_epoch:
            return _handed_over(facts, before, after)
        late = clock.monotonic_us() // 1_000 >= ends_ms
        if late and after is None:
            _complain_of_standbys(before, released=released)
        elif late:
            _complain_of_leader(before)
        calls.wait(LOOK_EVERY_S)


def _released_by(facts: Facts, leader: Leader) -> bool:
    return facts.meta.get("released", "") == f"{leader.lease_epoch}:{leader.id}"


def _handed_over(facts: Facts, before: Leader, after: Leader) -> HandOver:
    if after.id == before.id:
        raise NotHandedOver(
            f"{before.where} released the lease, but no other replica took it, so it leads again: "
            "the logs of the standbys say why they did not take it"
        )
    released, took = facts.meta.get("released_us", ""), facts.meta.get("leader_since", "")
    known = _released_by(facts, before) and released.isdigit() and took.isdigit()
    gap_us = int(took) - int(released) if known else -1
    return HandOver(before, after, timedelta(microseconds=gap_us) if gap_us >= 0 else None)


def _complain_of_leader(leader: Leader) -> NoReturn:
    raise NotHandedOver(
        f"{leader.where} still leads: it did not answer within "
        f"{plural(VALID_MS // 1_000, 'second')}, and will not do so later. It hangs, or runs an "
        "older release, which cannot step down on request. Look at its log; if it hangs, kill the "
        "process, and a standby takes over"
    )


def _complain_of_standbys(leader: Leader, *, released: bool) -> NoReturn:
    what = "released the lease" if released else "is gone"
    raise NotHandedOver(
        f"{leader.where} {what}, but no other replica took the lease within "
        f"{plural(TAKEN_UP_MS // 1_000, 'second')}: see `celery -A proj habeat status`"
    )
