"""The loop: one tick, from top to bottom.

    open the wake channel ─ step the election ─┬─ leading: read what is due, plan, skip,
                                               │           resend, send, carry out requests
                                               └─ standing by: nothing
    wait on the wake channel until something is due, the lease needs renewal, or a message arrives

`tick` never raises an Exception:

- Redis is unavailable: nothing is dispatched, and the pause before the next tick grows to a second.
  One log line when it starts, one when it ends.
- The broker is unavailable: nothing is claimed, and slots stay due. After repeated failures, the
  leader hands over once to a standby that can reach the broker.
- Any other exception is a bug in habeat. It is logged, and the next tick runs as usual. After a few
  in a row, the leader hands over.

Everything runs in one thread, so this loop over the ports is the whole protocol, and the simulator
runs exactly this code.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from habeat.core.entry import Policies
from habeat.core.events import EventCode, Level
from habeat.engine.atomic import AtomicClaims
from habeat.engine.building import Building
from habeat.engine.bulkhead import Bulkhead
from habeat.engine.calendar_watch import CalendarWatch
from habeat.engine.circuits import Circuits
from habeat.engine.claim_results import ClaimResults
from habeat.engine.dispatch import Dispatch, Dispatched
from habeat.engine.election import DataLost, Election, LeaseLost
from habeat.engine.fenced import Lead
from habeat.engine.outages import Outages
from habeat.engine.outbox import OutboxClaims, Sender
from habeat.engine.planning import DefinitionSource, Plan, Planner
from habeat.engine.prefetch import DUE_PER_TICK, FIRINGS_PER_TICK, Lookahead, Prefetch, ahead_ms
from habeat.engine.recovery import Recovery
from habeat.engine.rendering import Renderer
from habeat.engine.report import LoopReport
from habeat.engine.requests import Requests
from habeat.engine.setting_aside import SettingAside
from habeat.engine.trouble_log import TroubleLog
from habeat.log import log_event
from habeat.ports import (
    BrokerUnavailable,
    Clock,
    DispatchStore,
    Publisher,
    ScheduleAsker,
    Skip,
    StoreUnavailable,
    Tick,
    WakeChannel,
)
from habeat.ports.events import EventLog, NoEventLog
from habeat.printable import printable

LONGEST_WAIT_MS = 1_000
SKIP_BATCH = 50
BACKOFF_MS = (50, 100, 200, 500, 1_000)
#: After this many ticks in a row that failed because of a bug, another replica may try.
BUGS_BEFORE_YIELD = 3
GIVE_WAY_MS = 10_000
#: A leader that was asked to step down does not compete for the lease for this long, unless
#: another replica has had it since.
STEP_DOWN_MS = 10_000
#: How often in a row refused claims and skips are planned again without a pause.
AT_ONCE = 10
REPEAT_PAUSE_MS = 100

#: The parts of a tick that may fail on their own, as named in the log.
CHORE, RESUMING, REQUESTS, RECOVERY = (
    "a chore",
    "ending pauses",
    "carrying out requests",
    "resending what is in flight",
)


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """Times in milliseconds."""

    ttl_ms: int
    renew_after_ms: int
    publish_timeout_ms: int
    policies: Policies
    outbox_window: int = 50
    longest_wait_ms: int = LONGEST_WAIT_MS


class Housekeeping(Protocol):
    """Chores of the loop: a replica registers that it is alive; a leader also reconciles."""

    def each_tick(self, lead: Lead | None) -> int | None:
        """Do the chores that are due; return the time until the next in ms (None: no hurry)."""
        ...

    def mend(self, lead: Lead | None) -> None:
        """Repair habeat's own keys, after a stored value may have made a tick fail."""
        ...

    def resume(self, lead: Lead, names: Sequence[str]) -> None:
        """End the pauses of these entries, because their time is over."""
        ...


def _dispatching(
    store: DispatchStore,
    publisher: Publisher,
    settings: EngineSettings,
    circuits: Circuits,
    report: LoopReport,
) -> tuple[Renderer, Sender, Dispatch]:
    """What builds messages, what publishes them, and the way from one to the other."""
    building = Building(circuits)
    delivery = settings.policies.delivery
    renderer = Renderer(
        publisher, store, delivery=delivery, circuits=circuits, building=building, report=report
    )
    claim_results = ClaimResults(publisher, circuits)
    bounds = (settings.publish_timeout_ms, settings.outbox_window)
    sender = Sender(store, publisher, *bounds, circuits, building)
    atomic = AtomicClaims(store, claim_results, circuits)
    outbox = OutboxClaims(store, sender, claim_results)
    return renderer, sender, Dispatch(renderer, atomic, outbox, sender)


class Engine:
    """One replica's loop over the ports."""

    def __init__(
        self,
        *,
        election: Election,
        store: DispatchStore,
        wake_channel: WakeChannel,
        clock: Clock,
        publisher: Publisher,
        definitions: DefinitionSource,
        housekeeping: Housekeeping,
        settings: EngineSettings,
        asker: ScheduleAsker,
        stopping: Callable[[], bool] = lambda: False,
        event_log: EventLog | None = None,
    ) -> None:
        self._outages = Outages(event_log or NoEventLog())
        self._election = election
        self._wake_channel = wake_channel
        self._clock = clock
        self._housekeeping = housekeeping
        self._settings = settings
        self._publisher = publisher
        self._lead = Lead(election, store, clock, settings.ttl_ms, stopping)
        self._planner = Planner(
            definitions=definitions,
            defaults=settings.policies,
            fetch=store.definitions,
            asker=asker,
            monotonic_us=clock.monotonic_us,
            between=self._lead.keep,
        )
        #: What a watching thread may read.
        self.report = LoopReport(waits=self._lead.waits)
        self._circuits = circuits = Circuits(store)
        renderer, self._sender, self._dispatch = _dispatching(
            store, publisher, settings, circuits, self.report
        )
        self._prefetch = Prefetch(renderer, self._dispatch, self._hold, election.time_us)
        self._ahead_ms = ahead_ms(settings.ttl_ms, settings.longest_wait_ms)
        self._lookahead = Lookahead(
            self._prefetch, self._planner, election, self._ahead_ms, circuits
        )
        self._requests = Requests(definitions, self._planner, self._dispatch, circuits)
        self._recovery = Recovery(self._sender, circuits)
        self._trouble = TroubleLog()
        self._bulkhead = Bulkhead(self._trouble)
        self._aside = SettingAside(self._trouble)
        self._failures = 0
        self._bugs = 0
        self._repeats = 0
        self._woken = False
        self.broker_failures = 0
        self._calendars = CalendarWatch(self.report, self._trouble)

    @property
    def prepared(self) -> int:
        """How many messages are prepared for slots that are not due yet."""
        return self._prefetch.prepared

    def tick(self) -> None:
        """One pass of the loop, waiting included; about a second at most."""
        began_us = self._clock.monotonic_us()
        self.report.ticks += 1
        wait_ms = self._guarded()
        spent_ms = (self._clock.monotonic_us() - began_us) // 1_000  # holding counts as waiting
        wait_ms = min(wait_ms, self._settings.longest_wait_ms - spent_ms)
        if wait_ms > 0 and not self._lead.stopping():
            self._listen(wait_ms)

    # -- the tick ---------------------------------------------------------------------------

    def _guarded(self) -> int:
        """Run one tick and handle its failure; returns how long to wait after it, in ms."""
        began_us = self._clock.monotonic_us()
        try:
            wait_ms = self._turn()
        except StoreUnavailable as error:
            self._trouble.error(
                "redis",
                EventCode.REDIS_UNAVAILABLE,
                "habeat: %s; not dispatching until it answers again",
                error,
            )
            self.report.redis_error = str(error)
            self._outages.redis_failed(error, began_us)
            self._bulkhead.suspect(error)
            return self._back_off()
        except (LeaseLost, DataLost):
            return 0
        except Exception as error:
            self._trouble.error(
                "bug",
                EventCode.TICK_FAILED,
                "habeat: a tick failed (%r); the loop continues",
                error,
                traceback=True,
            )
            self._bugs += 1
            self.report.tick_error = repr(error)
            self._bulkhead.suspect(error)
            if self._bugs % BUGS_BEFORE_YIELD == 0:
                self._give_way()
            return self._back_off()
        self._bugs = 0
        self.report.tick_error = ""
        self._trouble.over("bug")
        return wait_ms

    def _give_way(self) -> None:
        """Hand over: a leader whose ticks fail would keep the lease and send nothing."""
        if self._election.leading:
            log_event(
                EventCode.HANDING_OVER,
                "habeat: %d ticks failed in a row; handing over",
                self._bugs,
                level=Level.ERROR,
                cause="failures",
            )
            with contextlib.suppress(StoreUnavailable):
                self._election.resign(GIVE_WAY_MS, "failures")

    def _back_off(self) -> int:
        self._failures += 1
        return BACKOFF_MS[min(self._failures, len(BACKOFF_MS)) - 1]

    def _turn(self) -> int:
        self._bulkhead.mend(self._mend)
        # Settle what was sent before anything is recovered; otherwise it would be resent.
        self._sender.settle(self._lead)
        # Opened: look at once, because a message may have been missed while it was closed.
        if self._wake_channel.open():
            self._election.look_now()
        looks = self._election.looks
        if self._election.step():
            wait_ms = self._leader_turn()
            # Not before the tick: leading on the trust that is left does not involve Redis.
            self._redis_answers(self._lead.now_ms())
            return wait_ms
        if self._election.looks > looks:
            self._redis_answers(self._election.looked_us // 1_000)
        self.broker_failures, self.report.broker_error = 0, ""
        self._prefetch.forget()
        self._bulkhead.run(CHORE, partial(self._housekeeping.each_tick, None))
        return self._election.wait_ms()

    def _mend(self) -> None:
        self._housekeeping.mend(self._lead if self._election.leading else None)

    def _redis_answers(self, server_ms: int) -> None:
        self._failures = 0
        self.report.redis_error = ""
        self._trouble.over("redis", "habeat: Redis answers again; resuming")
        self._outages.redis_answers(self._clock.monotonic_us(), server_ms)
        self._outages.store()

    def _leader_turn(self) -> int:
        lead = self._lead
        found = self._look_around(lead)
        self._woken = False
        lead.anchor(found.now_us)
        if self._steps_down(lead):
            return 0
        self._tell_of_pause(lead)
        if found.resumes:
            self._bulkhead.run(RESUMING, partial(self._housekeeping.resume, lead, found.resumes))
        planned = self._act_on(found)
        if found.listeners == 0:  # standbys would see the same, and take this leader for dead
            self._wake_channel.resubscribe()
            self._wake_channel.open()
        chores_ms = self._bulkhead.run(CHORE, partial(self._housekeeping.each_tick, lead))
        return 0 if self._woken else self._wait_ms(planned, chores_ms)

    def _steps_down(self, lead: Lead) -> bool:
        """Release the lease if a person has asked this leader to.

        Nothing is being sent at this point, and what was sent before is settled.
        """
        asked = lead.controls.step_down
        if asked is None or not asked.is_for(str(lead.token), lead.now_ms()):
            return False
        log_event(
            EventCode.HANDING_OVER,
            "habeat: stepping down, as asked by %s%s; not competing for the lease for %d s",
            printable(asked.by),
            f", in favour of replica {printable(asked.to)}" if asked.to else "",
            STEP_DOWN_MS // 1_000,
            cause="step-down",
        )
        self._election.resign(STEP_DOWN_MS, "step-down", until_taken=True)
        return True

    def _tell_of_pause(self, lead: Lead) -> None:
        """Log once that the schedule is paused, and once that it is not any more."""
        pause = lead.controls.holds.pause_at(lead.now_ms())
        if pause is None:
            self._trouble.over("pause", "habeat: the pause of the schedule is over")
            return
        why = f": {printable(pause.reason)}" if pause.reason else ""
        self._trouble.error(
            "pause",
            EventCode.SCHEDULE_PAUSED,
            "habeat: the schedule is paused%s%s; due slots are skipped",
            f" by {printable(pause.by)}" if pause.by else "",
            why,
        )

    def _look_around(self, lead: Lead) -> Tick:
        lost_after_ms = self._election.timeline.lost_after_ms
        found = lead.store.tick(DUE_PER_TICK, self._ahead_ms, lost_after_ms=lost_after_ms)
        self._election.heard(found, declared=lost_after_ms is not None)
        self._election.heed(found)
        return found

    def _wait_ms(self, planned: Plan, chores_ms: int | None) -> int:
        waits = [self._settings.renew_after_ms]
        if planned.next_due_ms is not None:
            # If nothing could be prefetched, looking ahead again would find the same firings.
            in_vain = planned.again_ms is not None and not planned.sent_ahead
            early_ms = 0 if in_vain else self._ahead_ms
            waits.append(self._lead.until_ms(planned.next_due_ms - early_ms))
        if planned.again_ms is not None:
            waits.append(self._lead.until_ms(planned.again_ms))
        if chores_ms is not None:
            waits.append(chores_ms)
        if self.broker_failures:  # back off, but renew the lease in time
            pause_ms = BACKOFF_MS[min(self.broker_failures, len(BACKOFF_MS)) - 1]
            longest_ms = min(self._settings.renew_after_ms, self._lead.spare_ms())
            waits = [min(longest_ms, max(pause_ms, min(waits)))]
        return min(waits)

    # -- dispatch ---------------------------------------------------------------------------

    def _act_on(self, found: Tick) -> Plan:
        """Plan and dispatch what is due; the plan notes what comes next."""
        planned = self._plan(found)
        # Before the skips, which name an open circuit, and before a probe: it may take longer than
        # the lease.
        self._circuits.write(self._lead)
        stale = self._skip(planned.skips)
        self._circuits.close_ended(stale)
        try:
            complete = self._send(found, planned, stale)
        except BrokerUnavailable as error:
            self._circuits.write(self._lead)
            self._broker_failed(error)
            for firing in planned.ahead:
                planned.note_again(firing.expected.due_ms)
            return planned
        in_vain = stale or not complete
        self._repeats = self._repeats + 1 if in_vain else 0
        if self._repeats:
            pause_ms = 0 if self._repeats <= AT_ONCE else REPEAT_PAUSE_MS
            planned.note_again(self._lead.now_ms() + pause_ms)
        return planned

    def _plan(self, found: Tick) -> Plan:
        """Plan what is due, without what an open circuit or an unreadable definition holds back."""
        lead = self._lead
        planned = self._planner.plan(
            found.due,
            now_ms=lead.now_ms(),
            loss=found.loss,
            limit=FIRINGS_PER_TICK,
            holds=lead.controls.holds,
        )
        planned.note_next(found.next_due_ms)
        self._circuits.begin(lead, found.due)
        self._circuits.hold_back(planned, lead.now_ms())
        self._aside.run(lead, planned)
        self._calendars.look(planned.calendars, lead.controls.holds, lead.now_ms())
        return planned

    def _send(self, found: Tick, planned: Plan, stale: set[str]) -> bool:
        """Send what is due and prepare what is due soon; whether nothing has to be repeated.

        Raises BrokerUnavailable.
        """
        lead = self._lead
        self._publisher.prepare(min(self._settings.publish_timeout_ms, lead.spare_ms()))
        resent = self._recover(found, planned)
        firings = [f for f in planned.firings if f.entry.name not in stale]
        parts = self._circuits.parted(firings, lambda firing: firing.entry.name)
        sent = self._dispatch.send(lead, *parts)
        sent &= self._carry_out(found, planned)
        if sent.unfinished:  # hold nothing now, or the rest of the backlog would wait for it
            planned.note_again(lead.now_ms())
        ahead = Dispatched() if sent.unfinished else self._lookahead.run(lead, found, planned)
        planned.sent_ahead = ahead.count > 0
        self._circuits.write(lead)
        if firings or sent.count or ahead.count or resent:  # otherwise the broker was not used
            self.broker_failures, self.report.broker_error = 0, ""
            self._trouble.over("broker", "habeat: the broker takes messages again")
            self._outages.broker_works(lead.last_token.epoch, lead.now_ms())
        return (sent & ahead).complete

    def _hold(self, timeout_ms: float) -> bool:
        """Wait until held firings are due; True if a message on the wake channel ended the wait."""
        self._woken = bool(self._wake_channel.wait(timeout_ms))
        return self._woken

    def _recover(self, found: Tick, planned: Plan) -> int:
        """Resend the intents that are due; returns how many there were."""
        if not planned.is_time(found.resend_ms, self._lead.now_ms()):
            return 0
        resent = self._bulkhead.run(RECOVERY, partial(self._recovery.run, self._lead))
        planned.note_again(self._lead.now_ms() + (BACKOFF_MS[-1] if resent is None else 0))
        return resent or 0

    def _carry_out(self, found: Tick, planned: Plan) -> Dispatched:
        """Send the requests that are due; while the schedule is paused, they wait."""
        pause = self._lead.controls.holds.pause_at(self._lead.now_ms())
        if pause is not None:
            planned.note_again(pause.until_ms)
            return Dispatched()
        if not planned.is_time(found.request_ms, self._lead.now_ms()):
            return Dispatched()
        return self._bulkhead.run(REQUESTS, partial(self._requests.run, self._lead)) or Dispatched()

    def _broker_failed(self, error: BrokerUnavailable) -> None:
        self.broker_failures += 1
        self.report.broker_error = str(error)
        lead = self._lead
        self._outages.broker_failed(error, lead.last_token.epoch, lead.now_ms())
        self._trouble.error(
            "broker",
            EventCode.BROKER_UNAVAILABLE,
            "habeat: the broker takes no messages (%s); slots stay due",
            error,
        )

    def _skip(self, skips: Sequence[Skip]) -> set[str]:
        """Record slots that will not fire; returns the entries that must be planned again."""
        stale: set[str] = set()
        for start in range(0, len(skips), SKIP_BATCH):
            batch = skips[start : start + SKIP_BATCH]
            reply = self._lead.store.skip(batch)
            stale |= {
                skip.entry for skip, word in zip(batch, reply.words, strict=True) if word != "ok"
            }
        return stale

    # -- waiting ----------------------------------------------------------------------------

    def _listen(self, timeout_ms: int) -> None:
        try:
            said = self._wake_channel.wait(timeout_ms)
        except StoreUnavailable:
            return
        if "released" in said:
            self._election.look_now()
