"""The atomic dispatch: schedule and broker are one Redis, one script claims and enqueues.

A batch is rendered, then claimed; the script answers for each firing. Nothing is in flight
between two batches, so there is nothing to recover, and a leader that lost its lease finds
that its whole batch was refused. The lost reply of a claim needs no care: the next tick reads
the cursors, and they have moved.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

from habeat.engine.lead import Lead
from habeat.engine.planning import PlannedFiring
from habeat.engine.render import Renderer
from habeat.engine.reporting import Once
from habeat.ports import Claim, DispatchStore, DueEntry, StoreUnavailable

BATCH = 100


class AtomicDispatch:
    """Sends planned firings by claiming them."""

    def __init__(self, store: DispatchStore, renderer: Renderer) -> None:
        self._store = store
        self._renderer = renderer
        self._refused = Once()

    def send(self, lead: Lead, firings: Sequence[PlannedFiring]) -> bool:
        """Claim all firings, batch by batch; False if some must be planned again."""
        complete = True
        claims = self._renderer.claims(lead, firings)
        while lead.may_go_on() and (batch := list(islice(claims, BATCH))):
            complete &= self._claim(lead, batch)
        return complete

    def _claim(self, lead: Lead, batch: Sequence[Claim]) -> bool:
        reply = lead.call(
            lambda token, ttl: self._store.claim(token, ttl, batch, atomic=True)
        )
        complete = True
        for claim, word in zip(batch, reply.words, strict=True):
            complete &= self._judge(lead, claim, word, reply.now_us)
        return complete

    def _judge(self, lead: Lead, claim: Claim, word: str, now_us: int) -> bool:
        name = claim.firing.entry
        if word.startswith("error "):
            if "OOM" in word:
                raise StoreUnavailable("out_of_memory", word)
            self._refused.error(name, "habeat: entry %r was refused by Redis: %s", name, word)
            until_ms = lead.now_ms() + 1_000
            due = DueEntry(name, claim.planned_due_ms, claim.digest, claim.cursor_ms)
            lead.call(lambda token, ttl: self._store.defer(token, ttl, due, until_ms))
            return False
        self._refused.over(name)
        if word == "early":
            lead.anchor(now_us)
        return word in ("ok", "mine settled", "duplicate")
