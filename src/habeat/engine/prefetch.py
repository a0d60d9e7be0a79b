"""Prepares the messages of firings due within a second, and claims them when they are due.

So the time it takes to build messages does not make firings late. A prepared firing is just a claim
that has not been sent. If the entry was edited or paused meanwhile, or another replica leads, the
claim script refuses it as usual. If the claim is dropped, because the leader was woken up or lost
the lease, it leaves no trace. That is also why only messages from a template are prepared: no other
code sees them being built. All other messages are built when they are due.

Prepared claims outlive the tick that made them. A message on the wake channel ends the holding,
because a new entry may be due at once. The next tick finds the same firings due soon, and their
prepared claims are used. What a tick no longer finds is forgotten. So is everything once other code
wants to see each message: a receiver may connect while claims are held.

`Lookahead` decides what to prepare, page by page of what the tick found; `Prefetch` holds the
claims and sends them on time.
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
#: A held claim is due sooner than this, unless Redis' clock was set back; in that case the tick
#: ends.
LONGEST_US = 2 * AHEAD_MOST_MS * 1_000
#: Each prepared claim takes about 4 KB: its message as it is, and once more packed.
PREPARED_AT_MOST = 10_000

#: Redis' time is read again this long before the first due time: twice as long as the last reading
#: took, clamped to these bounds. The tick's reply took as long to arrive as the whole tick, and
#: claims timed by it would all be that late. Besides, a server that has just answered is awake.
CLOCK_US, CLOCK_MOST_US = 5_000, 250_000

#: In the last `NEAR_US` before the first due time, Redis' time is read repeatedly. This keeps both
#: sides awake, and the quickest reply gives the most accurate time. No reading is started whose
#: reply would arrive more than `LATE_US` after the due time, so a distant server is asked once or
#: not at all.
NEAR_US, ASKED_AT_MOST, LATE_US = 2_000, 12, 100

#: Entries read by one tick: keeps the script under 2 ms of the server's time.
DUE_PER_TICK = 150
FIRINGS_PER_TICK = 2_000
#: With less time than this before the first due time, no further page is read.
PAGE_MS = 20

Key = tuple[str, str, Expected]


def ahead_ms(ttl_ms: int, longest_wait_ms: int) -> int:
    """How far to look ahead: holding must neither cost the lease nor make a tick too long."""
    return min(AHEAD_MOST_MS, ttl_ms // 6, longest_wait_ms)


class Prefetch:
    """Prepares firings, holds their claims, and sends them when they are due."""

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
        #: How long the last reading of Redis' time took; how long before a due time one starts.
        self._took_us, self._early_us = 0, CLOCK_MOST_US

    @property
    def has_room(self) -> bool:
        """Whether more may be prepared in this tick."""
        return len(self._found) < PREPARED_AT_MOST

    @property
    def prepared(self) -> int:
        """How many messages are prepared and not sent."""
        return len(self._kept)

    def begin(self, lead: Lead) -> None:
        """Start a new look ahead; what it does not find again will be forgotten.

        Everything is forgotten under a new lease epoch (messages contain it) or another dispatch.
        """
        under = (lead.token.epoch, self._renderer.atomic)
        if under != self._under:
            self._kept, self._under = {}, under
        self._found = {}

    def forget(self) -> None:
        """Drop everything, because this replica does not lead."""
        self._kept = {}

    def prepare(self, lead: Lead, planned: Iterable[PlannedFiring]) -> list[PlannedFiring]:
        """Prepare these firings; returns those that cannot be prepared before they are due."""
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
        """Claim each prepared firing when it is due. BrokerUnavailable.

        `set_clock` is called once, before the first wait; if it returns False, the result is not
        complete. Ends early when a message or a stop arrives, and before the first firing due after
        `until_ms`, when other work is due. The rest stays prepared.
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
                if not self._renderer.may_foresee:  # other code wants to see each message by now
                    self._kept, self._complete = {}, False
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
        """Wait until `due_ms` with nothing under way; False if other work comes first."""
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
        """Read Redis' time shortly before the first due time; False to end the holding."""
        if self._set_clock is None:
            return True
        if not self._waited(lead, due_ms, self._early_us):
            return False
        too_late_us = min(max(self._took_us, CLOCK_US // 2), self._early_us // 2)
        if lead.until_us(due_ms) < too_late_us:  # the reply might come too late
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
        """Read Redis' time repeatedly until it is due, while replies still arrive in time."""
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
    """Chooses the firings to prepare, page by page of what the leader's tick finds due soon."""

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
        #: Whether Redis has lost data since the tick began.
        self._lost = False

    def run(self, lead: Lead, found: Tick, planned: Plan) -> Dispatched:
        """Prepare, hold and send. BrokerUnavailable.

        Nothing is held beyond the next instant at which unprepared work is due.
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
        """The firings that the tick found due soon, then further pages while time and room last."""
        yield planned
        if not planned.ahead or len(found.due) > len(planned.ahead):
            return  # entries of this page were due and have moved since, so offsets have shifted
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
                holds=lead.controls.holds,
            )
            planned.note_next(page.next_due_ms)
            planned.note_next(found.next_due_ms)
            self._circuits.hold_back_ahead(page)
            planned.note_again(page.again_ms)
            seen += len(found.due)
            yield page

    def _set_clock(self, lead: Lead) -> bool:
        """Renew the lease and read Redis' time by a short call; False if a loss was declared."""
        found = lead.store.renew()
        lead.anchor(found.now_us)
        return self._hears(found)

    def _hears(self, found: Tick) -> bool:
        """Take in what a further look found; False if a loss was declared meanwhile. DataLost."""
        known = self._election.known
        self._election.heard(found)
        return found.loss == known.loss


def _key(planned: PlannedFiring) -> Key:
    return planned.entry.name, planned.firing.identity, planned.expected
