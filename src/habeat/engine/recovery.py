"""Resending the intents of the outbox whose messages may not have left.

    recover (restamp) ─ mark (count the attempt) ─ publish ─ settle

A new leader does this for those of its predecessor, and a live one for its own stale intents,
whichever dispatch is in use now. The store hands out those that are due, in turns between their
entries. After each attempt an intent waits, longer each time (core/backoff.py), and an entry whose
messages are refused has few attempts in one turn, so that no entry waits for another's.

An intent that may be sent at most once is not sent again but buried as ambiguous; one whose
attempts are used up is buried as failed; both are kept in :dead for a person.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from habeat.core.backoff import ATTEMPTS, FIRST_MS, pause_ms
from habeat.core.entry import Delivery
from habeat.engine.circuits import Circuits
from habeat.engine.fenced import Lead
from habeat.engine.outbox import Sender
from habeat.ports import Intent, Parcel

log = logging.getLogger("habeat")

RECOVER_BATCH = 100
#: The first attempt is not marked: that of the claim.
ATTEMPTS_CAP = ATTEMPTS - 1
#: After so many refused messages of one entry, its others are left for a second.
REFUSED_IN_A_TURN = 3


class Recovery:
    """Resends intents whose messages may not have left, our own stale ones included."""

    def __init__(self, sender: Sender, circuits: Circuits) -> None:
        self._circuits = circuits
        self._sender = sender

    def run(self, lead: Lead) -> int:
        """Resend a batch of those that are due; how many there were. BrokerUnavailable.

        What has left and could not be settled is settled first, or it would be resent.
        """
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
        marked = lead.store.mark(intent, ATTEMPTS_CAP, bury, wait_ms, why)
        if marked.buried:
            log.error(
                "habeat: the firing %s of %r was given up and is kept in :dead%s",
                intent.identity,
                intent.entry,
                ": it may not be repeated" if bury else "",
            )
        elif marked.attempt:  # else its message had left after all, and is settled
            attempt = marked.attempt + 1
            self._sender.send(
                lead, [Parcel(intent.entry, intent.identity, intent.envelope, attempt)]
            )
