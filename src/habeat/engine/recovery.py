"""Resends intents of the outbox whose messages may not have been sent.

    recover (restamp) ─ mark (count the attempt) ─ publish ─ settle

A new leader recovers its predecessor's intents, and a running leader its own stale ones, whichever
dispatch is in use now. The store returns those that are due, alternating between entries. After
each attempt an intent waits, longer each time (core/backoff.py). An entry whose messages are
refused gets only a few attempts per tick, so it does not hold up the others.

An at-most-once intent is not resent; it is given up as ambiguous. An intent whose attempts are used
up is given up as failed. Both are kept in :dead, where a person can resend or delete them.
"""

from __future__ import annotations

from collections.abc import Sequence

from habeat.core.backoff import ATTEMPTS, FIRST_MS, pause_ms
from habeat.core.entry import Delivery
from habeat.core.events import EventCode
from habeat.engine.circuits import Circuits
from habeat.engine.fenced import Lead
from habeat.engine.once_a_minute import OnceAMinute
from habeat.engine.outbox import Sender
from habeat.log import log_event
from habeat.ports import Intent, Parcel

RECOVER_BATCH = 100
#: How many attempts are marked: all but the first, which follows the claim.
ATTEMPTS_CAP = ATTEMPTS - 1
#: After this many refused messages of one entry in a tick, its other intents wait for a second.
REFUSED_IN_A_TURN = 3


class Recovery:
    """Resends intents whose messages may not have been sent, including our own stale ones."""

    def __init__(self, sender: Sender, circuits: Circuits) -> None:
        self._circuits = circuits
        self._sender = sender
        self._lines = OnceAMinute()

    def _given_up(self, intent: Intent, why: str, now_us: int) -> None:
        """Log it, once a minute for each entry; the lines say how many others there were."""
        more = self._lines.due(intent.entry, now_us)
        if more is None:
            return
        log_event(
            EventCode.FIRING_GIVEN_UP,
            "habeat: the firing %s of %r was given up and is kept in :dead%s%s",
            intent.identity,
            intent.entry,
            why,
            more,
            entry=intent.entry,
        )

    def run(self, lead: Lead) -> int:
        """Resend a batch of the intents that are due; returns its size. BrokerUnavailable."""
        # Settle first whatever was sent but could not be settled; otherwise it would be resent.
        self._sender.settle(lead)
        found = lead.store.recover(RECOVER_BATCH)
        if found.intents:
            self._resend_all(lead, found.intents)
        return len(found.intents)

    def _resend_all(self, lead: Lead, intents: Sequence[Intent]) -> None:
        left: list[str] = []
        self._sender.ready(lead)
        try:
            for intent in intents:
                if not lead.may_go_on():
                    break
                if self._circuits.failures[intent.entry] >= REFUSED_IN_A_TURN:
                    left.append(intent.field)
                else:
                    self._resend(lead, intent)
        finally:
            self._sender.settle(lead)
        if left:
            until_ms = lead.now_ms() + FIRST_MS
            lead.store.put_off("inflight", left, until_ms)

    def _resend(self, lead: Lead, intent: Intent) -> None:
        bury = "at most once" if intent.delivery == Delivery.AT_MOST_ONCE else ""
        wait_ms = pause_ms(intent.attempts + 2)
        why = self._circuits.why(intent.entry)
        # Count the attempt before sending, or a crash in between would allow one more than the cap.
        marked = lead.store.mark(intent, ATTEMPTS_CAP, bury, wait_ms, why)
        if marked.buried:
            self._given_up(intent, ": it may not be repeated" if bury else "", lead.monotonic_us())
        elif marked.attempt:  # otherwise it was sent after all, and is settled
            attempt = marked.attempt + 1
            parcel = Parcel(
                intent.entry,
                intent.identity,
                intent.envelope,
                attempt=attempt,
                expires_ms=intent.expires_ms,
            )
            self._sender.send(lead, [parcel])
