"""Alarms for slots that are not sent within their entry's `start_by` (core/promises.py).

The leader looks every two seconds; while no replica leads, the standbys do. A slot that waits is
found among the entries that are overdue, or in flight. One that was sent late, or never will be, is
found in the ledger, which is read only when a slot has ended otherwise than sent in time. Redis
remembers the last slot of each entry for which an alarm was raised, so each slot raises one alarm,
whichever replica finds it. While all is well, a look costs Redis one command, and every second look
three.

In an outage, all entries are late at once: the log names some of them, and counts the others.
Signals and webhooks get each one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from habeat.core.entry import instant
from habeat.core.events import EventCode, Level
from habeat.core.firing import Outcome
from habeat.core.promises import BrokenPromise, is_broken
from habeat.log import Event, announce, log_event
from habeat.ports import Clock, StoreUnavailable
from habeat.store.inspection import Record
from habeat.store.promises import ALARMED_MAX, PromiseStore, Unsent

EVERY_MS = 2_000
#: Only every n-th look reads the messages in flight and the ledger.
SELDOM = 2
#: How often Redis is asked for its time.
ANCHOR_EVERY_MS = 60_000
PAGE = 100
PAGES_MOST = 20
IN_FLIGHT = 50
#: The least `start_by`, so nothing that is due for less long has to be read.
LEAST_MS = 1_000
#: A new leader looks at records that are not older than this.
BACK_MS = 60_000
#: How many alarms are logged within a minute.
LINES = 20

Receiver = Callable[[BrokenPromise], None]


class PromiseWatch:
    """Finds broken promises and raises one alarm for each. One thread calls its methods."""

    def __init__(self, store: PromiseStore, clock: Clock, receive: Receiver) -> None:
        self._store = store
        self._clock = clock
        self._receive = receive
        self._looked_ms = -EVERY_MS
        self._looks = 0
        #: Redis' time minus this host's monotonic clock, and until when that is believed.
        self._offset_ms = self._anchored_until_ms = 0
        self._after = ""
        self._outcomes: Mapping[str, int] | None = None
        #: The last slot of each entry for which this replica has raised an alarm, or tried to.
        self._known: dict[str, int] = {}
        self._uncertain: set[tuple[str, int]] = set()
        self._minute_ms = 0
        self._lines = self._unlisted = 0

    def look(self, *, leads: bool) -> None:
        """Look if it is time: as the leader, or as a standby without a leader. StoreUnavailable."""
        now_ms = self._clock.monotonic_us() // 1_000
        if now_ms - self._looked_ms < EVERY_MS:
            return
        self._looked_ms = now_ms
        if now_ms >= self._anchored_until_ms:
            self._offset_ms = self._store.now_ms() - now_ms
            self._anchored_until_ms = now_ms + ANCHOR_EVERY_MS
        redis_ms = now_ms + self._offset_ms
        if self._looks % SELDOM == 0:
            if leads:
                self._look_at_the_ledger(redis_ms)
            self._waiting(self._store.in_flight(redis_ms - LEAST_MS, IN_FLIGHT), redis_ms)
        self._look_at_what_waits(redis_ms)
        self._looks += 1
        self._sum_up(now_ms)

    def rest(self) -> None:
        """Another replica looks now."""
        self._after, self._outcomes = "", None
        self._looks = self._anchored_until_ms = 0
        self._known.clear()

    # -- what waits -------------------------------------------------------------------------

    def _look_at_what_waits(self, now_ms: int) -> None:
        for page in range(PAGES_MOST):
            found, more = self._store.overdue(now_ms - LEAST_MS, page * PAGE, PAGE)
            self._waiting(found, now_ms)
            if not more:
                return

    def _waiting(self, unsent: Sequence[Unsent], now_ms: int) -> None:
        unknown = [each for each in unsent if self._is_news(each.entry, each.slot_ms)]
        promises = self._store.start_by_ms([each.entry for each in unknown])
        for each in unknown:
            start_by_ms = promises.get(each.entry)
            if start_by_ms is not None and now_ms - each.due_ms > start_by_ms:
                self._alarm(
                    BrokenPromise(
                        entry=each.entry,
                        slot_ms=each.slot_ms,
                        last_ms=each.slot_ms,
                        count=1,
                        start_by_ms=start_by_ms,
                        outcome=None,
                        reason="",
                        late_ms=now_ms - each.due_ms,
                    )
                )

    # -- what the ledger has ----------------------------------------------------------------

    def _look_at_the_ledger(self, now_ms: int) -> None:
        outcomes = self._store.outcomes()
        self._after = self._after or f"{now_ms - BACK_MS}-0"
        if outcomes == self._outcomes:
            return
        for _ in range(PAGES_MOST):
            found = self._store.records(self._after, PAGE)
            self._recorded(record for record in found if record.outcome is not Outcome.SENT)
            if found:
                self._after = found[-1].id
            if len(found) < PAGE:
                self._outcomes = outcomes
                return

    def _recorded(self, records: Iterable[Record]) -> None:
        news = [
            each
            for each in records
            # A record of no slots is about the entry; older releases wrote such as missed.
            if each.count > 0
            and not each.request
            and self._is_news(each.entry, each.last_ms or each.slot_ms)
        ]
        promises = self._store.start_by_ms(list(dict.fromkeys(each.entry for each in news)))
        for each in news:
            start_by_ms = promises.get(each.entry)
            if start_by_ms is not None and is_broken(
                each.outcome, each.reason, each.lateness_ms, start_by_ms
            ):
                self._alarm(_of_record(each, start_by_ms))

    # -- the alarm --------------------------------------------------------------------------

    def _is_news(self, entry: str, slot_ms: int) -> bool:
        return slot_ms > self._known.get(entry, slot_ms - 1)

    def _alarm(self, broken: BrokenPromise) -> None:
        """Raise the alarm, unless another replica has; if the reply is lost, at the next look."""
        subject = broken.entry, broken.last_ms
        try:
            is_new = self._store.alarm(broken.entry, broken.last_ms, broken.count)
        except StoreUnavailable:
            self._uncertain.add(subject)
            raise
        if len(self._known) >= ALARMED_MAX:
            self._known.clear()
        self._known[broken.entry] = broken.last_ms
        if is_new or subject in self._uncertain:
            self._receive(broken)
            self._say(broken)
        self._uncertain.discard(subject)

    def _say(self, broken: BrokenPromise) -> None:
        text = "habeat: entry %r: the slot %s %s; its start_by is %g s"
        slots = f"{_shown(broken.slot_ms)}" + (
            f" and {broken.count - 1} more" if broken.count > 1 else ""
        )
        args = (broken.entry, slots, broken.sentence, broken.start_by_ms / 1_000)
        slot, start_by_ms, code = _shown(broken.slot_ms), broken.start_by_ms, EventCode.SLOT_LATE
        if self._lines < LINES:
            self._lines += 1
            log_event(code, text, *args, entry=broken.entry, slot=slot, start_by_ms=start_by_ms)
        else:
            self._unlisted += 1
            facts = {"slot": slot, "start_by_ms": start_by_ms}
            announce(Event(code, Level.ERROR, text % args, broken.entry, facts=facts))

    def _sum_up(self, now_ms: int) -> None:
        if now_ms - self._minute_ms < 60_000:
            return
        if self._unlisted:
            text = "habeat: %d more slots were not sent within their start_by in the last minute"
            log_event(EventCode.SLOT_LATE, text, self._unlisted)
        self._minute_ms, self._lines, self._unlisted = now_ms, 0, 0


def _shown(slot_ms: int) -> str:
    moment = instant(slot_ms)
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z") if moment else "?"


def _of_record(record: Record, start_by_ms: int) -> BrokenPromise:
    return BrokenPromise(
        entry=record.entry,
        slot_ms=record.slot_ms,
        last_ms=record.last_ms or record.slot_ms,
        count=record.count,
        start_by_ms=start_by_ms,
        outcome=record.outcome,
        reason=record.reason,
        late_ms=record.lateness_ms,
    )
