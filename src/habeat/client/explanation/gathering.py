"""Read what is known about a slot, and have it explained."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import chain

from habeat.client.calls import RetryingCalls, Session
from habeat.client.explanation import which_slot
from habeat.client.explanation.chain import exact
from habeat.client.explanation.circumstances import changed, circumstances
from habeat.client.explanation.coming import (
    PROMPT_MS,
    explain_coming,
    explain_given_up,
    explain_in_flight,
    explain_unknown,
    none_to_come,
)
from habeat.client.explanation.facts import Facts, InFlight, Leading, QueueLook
from habeat.client.explanation.links import Explanation
from habeat.client.explanation.past import explain_past
from habeat.client.explanation.trail import Trail, TrailFinder
from habeat.client.guard import Scope
from habeat.client.holding import controls_in
from habeat.client.replicas import replica
from habeat.client.status import read_status
from habeat.core.entry import Entry
from habeat.core.events import EventCode
from habeat.core.firing import Outcome
from habeat.core.health import Finding
from habeat.core.holds import Held
from habeat.entries.readable import shown
from habeat.errors import EntryNotFound, HabeatError
from habeat.schedules.schedule import Run, moment
from habeat.store.inspection import Record
from habeat.store.slots import SlotTraces

#: The findings that concern every slot that is due.
_HOLDS_ALL_UP = (
    *(EventCode.TICK_HANGS, EventCode.TICK_FAILED, EventCode.BROKER_UNAVAILABLE),
    *(EventCode.DISPATCH_STALLED, EventCode.DISPATCH_LATE),
)
#: The slots of longer runs are not compared with the schedule.
_COUNTED_AT_MOST = 10_000
#: What a client with a scope is shown of a leader.
_A_BEAT = "a beat"

#: Asks the broker about the queue of an entry; None if it is not to be asked.
AskBroker = Callable[[Entry], QueueLook | None]


def explained(
    calls: RetryingCalls, name: str, at_ms: int | None, timezone: str, ask: AskBroker
) -> Explanation:
    """The explanation of the last slot at or before `at_ms`; None: of the last and of the next."""
    return calls.read(lambda session: _Explainer(calls, session, name, timezone, ask).at(at_ms))


@dataclass(frozen=True, slots=True)
class _Choice:
    """The slot to explain, and what the ledger has about it."""

    slot_ms: int | None
    trail: Trail


class _Explainer:
    """Explains slots of one entry, which is read once."""

    def __init__(
        self, calls: RetryingCalls, session: Session, name: str, timezone: str, ask: AskBroker
    ) -> None:
        self._calls = calls
        self._session = session
        self._name = name
        self._timezone = timezone
        self._ask = ask
        #: Tenants are not shown hosts, nor anything about the entries of others.
        self._is_scoped = calls.guard.scope != Scope()
        snapshot = session.entries.read([name])
        [stored] = snapshot.stored
        self._now_ms = snapshot.now_ms
        exists = stored.exists or stored.state.quarantined is not None
        self._entry = shown(stored) if exists else None

    def at(self, at_ms: int | None) -> Explanation:
        """See `explained`."""
        if at_ms is not None:
            return self._explained(at_ms, self._last_slot_ms(at_ms))
        last_ms = self._last_slot_ms(self._now_ms)
        if last_ms is not None and (self._effective_ms(last_ms) or last_ms) > self._now_ms:
            last_ms = self._last_slot_ms(last_ms - 1)  # its offset is not over yet
        next_ms = self._after(self._now_ms if last_ms is None else last_ms)
        if next_ms is None:
            last = replace(self._explained(self._now_ms, last_ms), asked=None)
            return last if self._entry is None else self._with_no_next(last, self._entry)
        following = replace(self._explained(next_ms, next_ms), asked=None)
        if last_ms is None:
            return following
        last = replace(self._explained(self._now_ms, last_ms), asked=None, following=following)
        return following if last.outcome == "no slot" else last

    def _with_no_next(self, last: Explanation, entry: Entry) -> Explanation:
        """The last slot, followed by why no other one comes."""
        none = Explanation(
            self._name, None, None, None, outcome="no slot", sentence=none_to_come(entry)
        )
        return none if last.outcome == "no slot" else replace(last, following=none)

    # -- the schedule ---------------------------------------------------------------------------

    def _last_slot_ms(self, at_ms: int) -> int | None:
        return None if self._entry is None else which_slot.last_slot_ms(self._entry, at_ms)

    def _after(self, at_ms: int) -> int | None:
        return None if self._entry is None else which_slot.next_slot_ms(self._entry, at_ms)

    def _effective_ms(self, slot_ms: int) -> int | None:
        return None if self._entry is None else which_slot.effective_ms(self._entry, slot_ms)

    @property
    def _zone(self) -> str:
        zone = getattr(self._entry.schedule, "tz", None) if self._entry is not None else None
        return zone if isinstance(zone, str) else self._timezone

    # -- one slot -------------------------------------------------------------------------------

    def _explained(self, at_ms: int, slot_ms: int | None) -> Explanation:
        explanation = self._chosen(at_ms, slot_ms)
        if explanation.slot is None and self._is_later_than(at_ms):
            return replace(explanation, zone=self._zone)
        slot_ms = at_ms if explanation.slot is None else _ms(explanation)
        before, after = self._last_slot_ms(slot_ms - 1), self._after(slot_ms)
        return replace(
            explanation,
            asked=moment(at_ms),
            before=None if before is None else moment(before),
            after=None if after is None else moment(after),
            zone=self._zone,
        )

    def _chosen(self, at_ms: int, slot_ms: int | None) -> Explanation:
        """Explain the slot of the present schedule, or the one that the ledger has there."""
        traces = self._traces(at_ms if slot_ms is None else slot_ms)
        entry = self._entry
        if entry is not None and slot_ms is not None and slot_ms > entry.state.cursor_ms:
            return self._coming(entry, slot_ms, traces)
        trail = self._trail(at_ms, slot_ms)
        if trail.requested is not None and not self._had_slot(at_ms, trail):
            return self._past(trail.requested, trail.requested.slot_ms, traces, trail)
        if slot_ms is not None and trail.record is not None:
            nearest = trail.nearest or trail.record
            if nearest.id == trail.record.id and self._is_of_the_schedule(nearest):
                return self._past(nearest, slot_ms, traces, trail)
            return self._untraced(at_ms, slot_ms, traces, replace(trail, nearest=nearest))
        if slot_ms is not None and (traces.intent is not None or traces.dead is not None):
            return self._unrecorded(slot_ms, traces, trail)
        return self._untraced(at_ms, slot_ms, traces, trail)

    @staticmethod
    def _had_slot(at_ms: int, trail: Trail) -> bool:
        """Whether the entry had a slot at this instant, by a record."""
        return trail.nearest is not None and trail.nearest.slot_ms == at_ms

    def _is_of_the_schedule(self, record: Record) -> bool:
        """Whether a run of slots is one of the present schedule, so that its slots are known."""
        entry, first_ms, last_ms = self._entry, record.slot_ms, record.last_ms
        if entry is None or record.count == 1 or record.count > _COUNTED_AT_MOST:
            return True
        try:
            run = entry.count_between(first_ms - 1, last_ms, record.count + 1)
        except HabeatError:
            return False
        return run == Run(record.count, first_ms, last_ms)

    def _untraced(
        self, at_ms: int, slot_ms: int | None, traces: SlotTraces, trail: Trail
    ) -> Explanation:
        """Explain a slot of the present schedule that has left no trace.

        If the ledger has an earlier one, it was no slot then, and the earlier one is explained:
        records are written in the order of slots, and the oldest are deleted first.
        """
        nearest = trail.nearest
        if nearest is not None:
            slot_ms = nearest.last_ms if nearest.last_ms <= at_ms else nearest.slot_ms
            return self._past(nearest, slot_ms, self._traces(slot_ms), replace(trail, others=[]))
        if self._entry is None and not trail.any:
            raise EntryNotFound(self._name)
        if slot_ms is None or self._is_later_than(slot_ms):
            return self._no_slot(at_ms, traces.loss.declared_ms)
        return explain_unknown(self._facts(slot_ms, traces, trail))

    def _is_later_than(self, slot_ms: int) -> bool:
        """Whether the entry was added after this slot."""
        return self._entry is not None and self._entry.created_ms >= slot_ms

    def _no_slot(self, at_ms: int, lost_ms: int) -> Explanation:
        sentence = "the entry has no slot at or before that time"
        entry = self._entry
        if entry is not None and entry.created is not None and entry.created_ms >= at_ms:
            added = f"{entry.created:%Y-%m-%d %H:%M:%S} UTC"
            sentence = f"the entry did not exist then: it was added {added}"
            if at_ms <= lost_ms:
                sentence = f"unknown: Redis lost data; the entry has been stored since {added}"
        return Explanation(self._name, None, None, None, outcome="no slot", sentence=sentence)

    def _past(self, record: Record, slot_ms: int, traces: SlotTraces, trail: Trail) -> Explanation:
        sent = record.outcome in (Outcome.SENT, Outcome.LATE)
        facts = replace(
            self._facts(slot_ms, traces, trail),
            record=record,
            queue=self._queue() if sent else None,
            changed=self._changed(),
        )
        return explain_past(self._with_circumstances(facts, record), record)

    def _unrecorded(self, slot_ms: int, traces: SlotTraces, trail: Trail) -> Explanation:
        facts = self._facts(slot_ms, traces, trail)
        intent = facts.in_flight
        if intent is None:
            return explain_given_up(facts)
        facts = replace(facts, finding=self._finding(slot_ms), changed=self._changed())
        return explain_in_flight(self._waiting(facts, intent.epoch))

    def _coming(self, entry: Entry, slot_ms: int, traces: SlotTraces) -> Explanation:
        facts = self._facts(slot_ms, traces, Trail())
        known = self._session.known_tasks.read()
        histograms = self._session.inspection.lateness([self._name])
        usual = histograms.get(self._name)
        facts = replace(
            facts,
            is_unregistered=known is not None and not known.has(entry.task_name),
            usual_ms=usual.quantile_ms(0.99) if usual else None,
            finding=self._finding(slot_ms),
            queue=self._queue(),
            changed=self._changed(),
            held=self._held(entry, slot_ms, facts.effective_ms or slot_ms),
        )
        return explain_coming(self._waiting(facts, 0), entry)

    # -- facts ----------------------------------------------------------------------------------

    def _traces(self, slot_ms: int) -> SlotTraces:
        return self._session.slots.traces(self._name, slot_ms, self._now_ms)

    def _trail(self, at_ms: int, slot_ms: int | None) -> Trail:
        scope = self._calls.guard.scope  # a tag says nothing of another name
        finder = TrailFinder(
            self._session.inspection,
            self._name,
            at_ms,
            slot_ms,
            is_last=slot_ms is not None and self._is_surely_last(slot_ms, at_ms),
            may_see=lambda name: not scope.tag and scope.has_name(name),
        )
        return finder.find(self._calls.check)

    def _is_surely_last(self, slot_ms: int, at_ms: int) -> bool:
        """Whether no other definition of the entry can have had a slot between the two."""
        entry = self._entry
        is_first = entry is not None and entry.rev == 1 and entry.created_ms < slot_ms
        return slot_ms == at_ms or is_first

    def _queue(self) -> QueueLook | None:
        if self._entry is None or self._is_scoped:  # a queue may be shared with other tenants
            return None
        return self._ask(self._entry)

    def _finding(self, slot_ms: int) -> Finding | None:
        """What `health` finds that keeps back a slot which has been due for a while."""
        due_ms = self._effective_ms(slot_ms) or slot_ms
        if self._is_scoped or self._now_ms - due_ms <= PROMPT_MS:
            return None
        grace_ms = self._calls.location.policies.misfire_grace_ms
        found = read_status(self._session.inspection, grace_ms).findings
        own = (each for each in found if each.entry == self._name)
        general = (each for each in found if not each.entry and each.code in _HOLDS_ALL_UP)
        return next(chain(own, general), None)

    def _held(self, entry: Entry, slot_ms: int, due_ms: int) -> Held | None:
        """The hold on a slot: one in which it is due or, if it is due already, one that is on."""
        holds = controls_in(self._session).holds.of(entry)
        if not holds:
            return None
        try:
            return holds.held(slot_ms, due_ms, max(due_ms, self._now_ms))
        except HabeatError:  # the schedule of a window that is too expensive
            return None

    def _changed(self) -> str:
        """The last change of the entry, in words."""
        found = self._session.changes.last_of(self._name)
        if found is None or self._entry is None:
            return ""
        if self._is_scoped:
            found = replace(found, by="")
        return changed(found, exact(found.at_ms))

    def _with_circumstances(self, facts: Facts, record: Record) -> Facts:
        """The facts, with what happened around a slot; nothing is read if all went well."""
        epoch = record.lease_epoch
        is_known = facts.leading is not None and facts.leading.epoch == epoch
        if self._is_scoped or (record.outcome is Outcome.SENT and (is_known or not epoch)):
            return facts
        due_ms = facts.effective_ms or facts.slot_ms
        found = circumstances(self._session, epoch, due_ms, record.at_ms, self._now_ms)
        happened = () if record.outcome is Outcome.SENT else found.happened
        return replace(facts, hosts=found.hosts, elected=found.elected, happened=happened)

    def _waiting(self, facts: Facts, epoch: int) -> Facts:
        """The facts, with what happened since a slot without an outcome became due."""
        due_ms = facts.effective_ms or facts.slot_ms
        if self._is_scoped or self._now_ms - due_ms <= PROMPT_MS:
            return facts
        found = circumstances(self._session, epoch, due_ms, self._now_ms, self._now_ms)
        return replace(facts, hosts=found.hosts, happened=found.happened)

    def _facts(self, slot_ms: int, traces: SlotTraces, trail: Trail) -> Facts:
        intent = traces.intent
        leading, standbys = _leading(traces)
        if leading is not None and self._is_scoped:
            leading = replace(leading, where=_A_BEAT)
        return Facts(
            name=self._name,
            now_ms=self._now_ms,
            slot_ms=slot_ms,
            effective_ms=self._effective_of(slot_ms, trail.record),
            entry=self._entry,
            cluster=traces.cluster,
            record=trail.record,
            others=trail.others,
            in_flight=intent and InFlight(intent[0].epoch if intent[0] else 0, *intent[1:]),
            given_up=(traces.dead.why or "attempts used up") if traces.dead else "",
            leading=leading,
            standbys=standbys,
            circuit=traces.circuit,
            loss=traces.loss,
            ledger_begins_ms=traces.oldest_ms,
            renamed_from=trail.renamed_from,
            renamed_to=trail.renamed_to,
        )

    def _effective_of(self, slot_ms: int, record: Record | None) -> int | None:
        """When the slot was due: by the present definition, unless the record refutes it."""
        found_ms = self._effective_ms(slot_ms)
        if record is None or record.count != 1 or not record.lateness_ms:
            return found_ms
        is_possible = found_ms is not None and found_ms + record.lateness_ms <= record.at_ms
        return found_ms if is_possible else None


def _leading(traces: SlotTraces) -> tuple[Leading | None, int]:
    """The leader, and how many replicas could take its place."""
    holder = traces.holder
    known = {
        nonce: replica(nonce, facts, 0, leads=holder is not None and nonce == holder.nonce)
        for nonce, facts in traces.replicas.items()
    }
    standbys = sum(each.role == "standby" for each in known.values())
    if holder is None:
        return None, standbys
    registered = known.get(holder.nonce)
    where = registered.where if registered else f"replica {holder.nonce}"
    dispatch = registered.dispatch if registered else ""
    return Leading(holder.epoch, where, traces.leader_since_ms, dispatch), standbys


def _ms(explanation: Explanation) -> int:
    assert explanation.slot is not None
    return round(explanation.slot.timestamp() * 1_000)
