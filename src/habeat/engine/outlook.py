"""Which firings are prepared: page by page of what the leader's tick finds due soon."""

from __future__ import annotations

from collections.abc import Iterator

from habeat.engine.circuits import Circuits
from habeat.engine.dispatch import Dispatched
from habeat.engine.election import Election
from habeat.engine.fenced import Lead
from habeat.engine.planning import LOOKED_AT_MOST, Plan, Planner
from habeat.engine.prefetch import Ahead
from habeat.ports import Tick

#: So that no look keeps the server busy for 2 ms.
DUE_PER_TICK = 150
FIRINGS_PER_TICK = 2_000
#: With less than this left, no further page of what will be due soon is looked for.
PAGE_MS = 20


class Outlook:
    """Prepares what will be due soon, and sends it when it is."""

    def __init__(
        self,
        ahead: Ahead,
        planner: Planner,
        election: Election,
        ahead_ms: int,
        circuits: Circuits,
    ) -> None:
        self._circuits = circuits
        self._ahead = ahead
        self._planner = planner
        self._election = election
        self._ahead_ms = ahead_ms
        #: Whether Redis has lost data since the turn began.
        self._lost = False

    def run(self, lead: Lead, found: Tick, planned: Plan) -> Dispatched:
        """Prepare, hold, send. BrokerUnavailable.

        Nothing is held beyond the instant at which something unprepared is to be looked at.
        """
        self._ahead.begin(lead)
        self._lost = False
        for page in self._pages(lead, found, planned):
            for left in self._ahead.prepare(lead, page.ahead):
                planned.note_again(left.expected.due_ms)
        if self._lost:
            return Dispatched(complete=False)
        return self._ahead.send(lead, self._set_clock, planned.again_ms)

    def _pages(self, lead: Lead, found: Tick, planned: Plan) -> Iterator[Plan]:
        """What the tick has found due soon; then the next pages, while time and room last."""
        yield planned
        if not planned.ahead or len(found.due) > len(planned.ahead):
            return  # what was due has gone meanwhile: the pages are not what they were
        first_ms, seen = planned.ahead[0].expected.due_ms, len(found.due)
        while (
            len(found.due) >= DUE_PER_TICK
            and self._ahead.has_room
            and seen < LOOKED_AT_MOST
            and lead.until_ms(first_ms) > PAGE_MS
        ):
            found = lead.store.tick(DUE_PER_TICK, self._ahead_ms, seen)
            if not self._hears(found):
                self._lost = True
                return
            page = self._planner.plan(
                found.due,
                now_ms=lead.now_ms(),
                loss=found.loss,
                limit=FIRINGS_PER_TICK,
            )
            planned.note_next(page.next_due_ms)
            planned.note_next(found.next_due_ms)
            self._circuits.hold_back_ahead(page)
            planned.note_again(page.again_ms)
            seen += len(found.due)
            yield page

    def _set_clock(self, lead: Lead) -> bool:
        """A short call, whose answer comes at once; False if Redis has lost data meanwhile."""
        found = lead.store.renew()
        lead.anchor(found.now_us)
        return self._hears(found)

    def _hears(self, found: Tick) -> bool:
        """Whether no loss was declared since the tick that this turn goes by. HistoryLost."""
        known = self._election.known
        self._election.heard(found)
        return found.loss == known.loss
