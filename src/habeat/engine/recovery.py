"""Resending the intents of the outbox whose messages may not have left.

    recover (restamp) ─ mark (count the attempt) ─ publish ─ settle

A new leader does this at once, and a live one for its own stale intents, whichever dispatch is
in use now. An intent that may be sent at most once is not sent again but buried as ambiguous;
one whose attempts are used up is buried as failed; both are kept in :dead for a person.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from habeat.core.entry import Delivery
from habeat.core.lease import Token
from habeat.engine.lead import Lead
from habeat.engine.outbox import Sender
from habeat.ports import DispatchStore, Intent, Parcel

log = logging.getLogger("habeat")

RECOVER_BATCH = 100
RECOVER_PAUSE_MS = 1_000
ATTEMPTS_CAP = 10


class Recovery:
    """Resends intents whose messages may not have left, our own stale ones included.

    At once under a new lease, then at most once a second: an intent that the broker refuses
    must not use up its attempts within a few busy ticks.
    """

    def __init__(self, store: DispatchStore, sender: Sender) -> None:
        self._store = store
        self._sender = sender
        self._under: Token | None = None
        self._again_ms = 0
        self._tried: dict[str, int] = {}
        #: Whether the broker has been asked, and has answered, in this tick.
        self.resent = False

    def run(self, lead: Lead) -> int:
        """Resend a batch if it is time; returns the instant (Redis, ms) of the next try.

        What has left and could not be settled is settled first, or it would be resent.
        """
        self._sender.settle(lead)
        now_ms = lead.now_ms()
        # Further away than it was ever set: the clock of Redis has stepped back.
        waits = now_ms < self._again_ms <= now_ms + RECOVER_PAUSE_MS
        if lead.token == self._under and waits:
            return self._again_ms
        self._under, self._again_ms = lead.token, now_ms + RECOVER_PAUSE_MS
        found = lead.call(lambda fence: self._store.recover(fence, RECOVER_BATCH))
        rested = self._rested(found.intents, now_ms)
        if rested:
            self._resend_all(lead, rested)
            self.resent = True
        if rested and len(found.intents) == RECOVER_BATCH:
            self._again_ms = now_ms
        elif found.wait_until_ms is not None:
            self._again_ms = min(self._again_ms, found.wait_until_ms)
        return self._again_ms

    def _rested(self, intents: Sequence[Intent], now_ms: int) -> Sequence[Intent]:
        """Those not tried a moment ago: what is in flight still was refused then."""
        self._tried = {
            field: at_ms
            for field, at_ms in self._tried.items()
            if 0 <= now_ms - at_ms < RECOVER_PAUSE_MS
        }
        rested = [intent for intent in intents if intent.field not in self._tried]
        self._tried |= {intent.field: now_ms for intent in rested}
        return rested

    def _resend_all(self, lead: Lead, intents: Sequence[Intent]) -> None:
        self._sender.ready(lead)
        try:
            for intent in intents:
                if not lead.may_go_on():
                    break
                self._resend(lead, intent)
        finally:
            self._sender.settle(lead)

    def _resend(self, lead: Lead, intent: Intent) -> None:
        bury = "at most once" if intent.delivery == Delivery.AT_MOST_ONCE else ""
        marked = lead.call(lambda fence: self._store.mark(fence, intent, ATTEMPTS_CAP, bury))
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
