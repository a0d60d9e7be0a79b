"""Looking ahead: what will be due within a second is prepared now, and claimed when it is due.

What is late then is the claim and not the building of messages. A prepared firing is a claim that
has not been sent: an edit, a pause or another leader meanwhile is told by the script, as ever, and
one that is dropped (somebody woke us, the lease was lost) has left no trace. So only messages that
nobody sees being made are prepared: those made from a template. The others are built when due.

Prepared claims outlive the turn that made them. Whoever wakes the leader (an entry was added, and
may be due at once) ends the holding; the next tick finds the same firings due soon, and they are
taken from here. What a tick does not find any more is forgotten.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import groupby

from habeat.engine.circuits import Circuits
from habeat.engine.dispatch import Dispatch, Dispatched, batches
from habeat.engine.election import Election
from habeat.engine.fenced import Lead
from habeat.engine.planning import LOOKED_AT_MOST, Plan, PlannedFiring, Planner
from habeat.engine.rendering import Renderer
from habeat.ports import Claim, Expected, Tick

AHEAD_MOST_MS = 1_000
#: What is held is not due later than this, unless Redis' clock was set back: then the turn ends.
LONGEST_US = 2 * AHEAD_MOST_MS * 1_000
#: A claim takes some 4 KB with its message, once as it is and once packed.
PREPARED_AT_MOST = 10_000

#: So long before the first is due the time is asked for once more: twice as long as that took the
#: last time, within these. The tick's answer took as long to come as the tick takes, and so late
#: would everything leave; and whoever has just answered is awake.
CLOCK_US, CLOCK_MOST_US = 5_000, 250_000

#: So long before the first is due the time is asked for again and again: nobody oversleeps then, on
#: either side, and the answer that came quickest tells the time best. An answer that would come so
#: much after the instant is not asked for, so a far server is asked once or not at all.
NEAR_US, ASKED_AT_MOST, LATE_US = 2_000, 12, 100

#: So that no look keeps the server busy for 2 ms.
DUE_PER_TICK = 150
FIRINGS_PER_TICK = 2_000
#: With less than this left, no further page of what will be due soon is looked for.
PAGE_MS = 20

Key = tuple[str, str, Expected]


def ahead_ms(ttl_ms: int, longest_wait_ms: int) -> int:
    """How far to look ahead: holding must neither cost the lease nor keep a tick from ending."""
    return min(AHEAD_MOST_MS, ttl_ms // 6, longest_wait_ms)


class Prefetch:
    """Prepares firings, holds them, and sends them when they are due."""

    def __init__(
        self,
        renderer: Renderer,
        dispatch: Dispatch,
        wait: Callable[[float], bool],
        time_us: Callable[[], int],
    ) -> None:
        self._renderer = renderer
        self._dispatch = dispatch
        self._wait = wait
        self._time_us = time_us
        self._kept: dict[Key, Claim] = {}
        self._found: dict[Key, Claim] = {}
        self._under: tuple[int, bool] = (0, False)
        self._sent = 0
        self._complete = True
        self._set_clock: Callable[[Lead], bool] | None = None
        #: How long it took to ask for the time, and how long before a due time it is asked for.
        self._took_us, self._early_us = 0, CLOCK_MOST_US

    @property
    def has_room(self) -> bool:
        """Whether more may be prepared in this turn."""
        return len(self._found) < PREPARED_AT_MOST

    def begin(self, lead: Lead) -> None:
        """A new look: what it does not find again is forgotten.

        So is all of it under another lease epoch, which messages name, or another dispatch.
        """
        under = (lead.token.epoch, self._renderer.atomic)
        if under != self._under:
            self._kept, self._under = {}, under
        self._found = {}

    def forget(self) -> None:
        """We do not lead (any more)."""
        self._kept = {}

    def prepare(self, lead: Lead, planned: Iterable[PlannedFiring]) -> list[PlannedFiring]:
        """Prepare these; those that have to wait until they are due."""
        left: list[PlannedFiring] = []
        for each in planned:
            key = _key(each)
            claim = self._kept.get(key) or self._renderer.prepared(lead, each)
            if claim is None or not self.has_room:
                left.append(each)
            else:
                self._found[key] = claim
        return left

    def send(
        self, lead: Lead, set_clock: Callable[[Lead], bool], until_ms: int | None = None
    ) -> Dispatched:
        """Claim what is prepared, as it falls due.

        `set_clock` is called once, before the first wait; False from it is a reason to look again.
        Ends early when somebody wakes or stops us, and before what is due later than `until_ms`,
        when something else is to be done; the rest stays prepared. BrokerUnavailable.
        """
        self._kept, self._found = self._found, {}
        waiting = sorted(self._kept.items(), key=lambda item: item[1].expected.due_ms)
        self._complete, self._sent = True, 0
        self._set_clock = set_clock
        try:
            for due_ms, group in groupby(waiting, lambda item: item[1].expected.due_ms):
                later = until_ms is not None and due_ms > until_ms
                if later or not self._held(lead, due_ms):
                    break
                self._complete &= self._claim(lead, (key for key, _ in group))
            self._complete &= self._dispatch.finish(lead)
        finally:
            self._set_clock = None
            self._dispatch.drop(lead)
        return Dispatched(self._sent, self._complete)

    def _claim(self, lead: Lead, keys: Iterable[Key]) -> bool:
        complete = True
        for batch in batches((self._kept.pop(key) for key in keys), lead):
            if not lead.may_go_on():
                return False
            complete &= self._dispatch.claim(lead, batch)
            self._sent += len(batch)
        return complete

    def _held(self, lead: Lead, due_ms: int) -> bool:
        """Wait until then, with nothing under way; False if something else is to be done first."""
        if lead.until_us(due_ms) > 0:
            self._complete &= self._dispatch.finish(lead)
        return self._clock_set(lead, due_ms) and self._waited(lead, due_ms, 0) and lead.may_go_on()

    def _waited(self, lead: Lead, due_ms: int, early_us: int) -> bool:
        left_us = lead.until_us(due_ms) - early_us
        while left_us > 0:
            if left_us > LONGEST_US or self._wait(left_us / 1_000) or not lead.may_go_on():
                return False
            left_us = lead.until_us(due_ms) - early_us
        return True

    def _clock_set(self, lead: Lead, due_ms: int) -> bool:
        """Ask for the time before the first is due; False if all is to be looked at anew."""
        if self._set_clock is None:
            return True
        if not self._waited(lead, due_ms, self._early_us):
            return False
        too_late_us = min(max(self._took_us, CLOCK_US // 2), self._early_us // 2)
        if lead.until_us(due_ms) < too_late_us:
            return True
        set_clock, self._set_clock = self._set_clock, None
        began_us = lead.monotonic_us()
        if not set_clock(lead):
            self._complete = False
            return False
        self._took_us = lead.monotonic_us() - began_us
        self._early_us = min(max(CLOCK_US, 2 * self._took_us), CLOCK_MOST_US)
        return self._waited(lead, due_ms, NEAR_US) and self._counted_down(lead, due_ms)

    def _counted_down(self, lead: Lead, due_ms: int) -> bool:
        """Ask for the time until it has come, as long as an answer comes in time."""
        took_us = self._took_us
        for _ in range(ASKED_AT_MOST):
            if not lead.may_go_on():
                return False
            if lead.until_us(due_ms) < took_us - min(took_us // 2, LATE_US):
                break
            began_us = lead.monotonic_us()
            lead.sharpen(self._time_us())
            took_us = lead.monotonic_us() - began_us
        return True


class Lookahead:
    """Prepares what will be due soon, and sends it when it is."""

    def __init__(
        self,
        prefetch: Prefetch,
        planner: Planner,
        election: Election,
        ahead_ms: int,
        circuits: Circuits,
    ) -> None:
        self._circuits = circuits
        self._prefetch = prefetch
        self._planner = planner
        self._election = election
        self._ahead_ms = ahead_ms
        #: Whether Redis has lost data since the turn began.
        self._lost = False

    def run(self, lead: Lead, found: Tick, planned: Plan) -> Dispatched:
        """Prepare, hold, send. BrokerUnavailable.

        Nothing is held beyond the instant at which something unprepared is to be looked at.
        """
        self._prefetch.begin(lead)
        self._lost = False
        for page in self._pages(lead, found, planned):
            for left in self._prefetch.prepare(lead, page.ahead):
                planned.note_again(left.expected.due_ms)
        if self._lost:
            return Dispatched(complete=False)
        return self._prefetch.send(lead, self._set_clock, planned.again_ms)

    def _pages(self, lead: Lead, found: Tick, planned: Plan) -> Iterator[Plan]:
        """What the tick has found due soon; then the next pages, while time and room last."""
        yield planned
        if not planned.ahead or len(found.due) > len(planned.ahead):
            return  # what was due has gone meanwhile: the pages are not what they were
        first_ms, seen = planned.ahead[0].expected.due_ms, len(found.due)
        while (
            len(found.due) >= DUE_PER_TICK
            and self._prefetch.has_room
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


def _key(planned: PlannedFiring) -> Key:
    return planned.entry.name, planned.firing.identity, planned.expected
