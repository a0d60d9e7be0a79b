"""The chain of a slot that has an outcome in the ledger. Pure."""

from __future__ import annotations

from dataclasses import replace

from habeat.client.explanation import chain, next_steps
from habeat.client.explanation.facts import Facts
from habeat.client.explanation.links import Explanation, Link, LinkState
from habeat.client.history import LedgerRecord, friendly
from habeat.core.firing import DECLINED, LATE_AFTER_MS, NOT_SENT, Outcome
from habeat.entries.spans import milliseconds
from habeat.printable import plural
from habeat.schedules.schedule import moment
from habeat.store.inspection import Record

_SENT = (Outcome.SENT, Outcome.LATE)
_LATE_BY_A_TAKEOVER = (Outcome.LATE, Outcome.MISSED)
#: Reasons for which a message that had been built was not sent, or not surely.
_AFTER_THE_CLAIM = (
    *("attempts used up", "at most once", "the intent cannot be read"),
    *(DECLINED, NOT_SENT),
)


def explain_past(facts: Facts, record: Record) -> Explanation:
    """What became of the slot, by its record."""
    shown = friendly(record, facts.cluster)
    links = _chain(facts, record, shown)
    sent = record.outcome in _SENT
    fired_ms = fired_at_ms(facts, record) if sent else None
    return Explanation(
        entry=facts.name,
        asked=None,
        slot=moment(facts.slot_ms),
        effective=None if facts.effective_ms is None else moment(facts.effective_ms),
        outcome=shown.outcome,
        sentence=_sentence(facts, record, shown),
        links=links,
        reason=record.reason,
        fired_at=None if fired_ms is None else moment(fired_ms),
        lateness_ms=shown.lateness_ms,
        lease_epoch=record.lease_epoch or None,
        leader=chain.leader_named(facts, record.lease_epoch),
        attempt=record.attempt or None,
        task_id=shown.task_id,
    )


def fired_at_ms(facts: Facts, record: Record) -> int:
    """When the message was handed to the broker.

    Lateness counts from the effective time. If that is unknown, the outbox recorded it later.
    """
    if facts.effective_ms is None:
        return record.at_ms
    return min(record.at_ms, facts.effective_ms + record.lateness_ms)


def _sentence(facts: Facts, record: Record, shown: LedgerRecord) -> str:
    if record.outcome in _SENT:
        late = milliseconds(record.lateness_ms)
        who = _who(facts, record)
        because = f": {shown.why}" if record.reason or record.attempt > 1 else ""
        at = chain.exact(fired_at_ms(facts, record))
        return f"fired at {at} by {who}, {late} after it was due{because}"
    among = ""
    if record.count > 1:
        among = f" (like the other {record.count - 1} of {plural(record.count, 'slot')})"
    match record.outcome:
        case Outcome.AMBIGUOUS:
            return f"it is unclear whether it fired: {shown.why}{among}"
        case Outcome.SUPPRESSED:
            return f"not sent again: {shown.why}{among}"
        case Outcome.SHADOW:
            return "not sent, because this beat is a shadow"
        case _:
            return f"not fired: {record.outcome}, {shown.why}{among}"


def _who(facts: Facts, record: Record) -> str:
    named = chain.leader_named(facts, record.lease_epoch)
    if not record.lease_epoch:
        return named or "an unknown leader"
    epoch = f"lease epoch {record.lease_epoch}"
    return f"{named} ({epoch})" if named else f"the leader of {epoch}"


def _chain(facts: Facts, record: Record, shown: LedgerRecord) -> tuple[Link, ...]:
    links = [chain.declared(facts), chain.due(facts), chain.effective(facts)]
    if record.lease_epoch:
        links.append(_leader(facts, record))
    links += _after_the_leader(facts, record, shown)
    return tuple(links)


def _leader(facts: Facts, record: Record) -> Link:
    """The leader that decided about the slot; broken if the slot waited for it."""
    led = chain.leader_named(facts, record.lease_epoch) or "host not recorded"
    since = chain.began(record.lease_epoch, record.at_ms)
    evidence = f"lease epoch {record.lease_epoch}" + (f", {facts.elected}" if facts.elected else "")
    due_ms = facts.effective_ms or facts.slot_ms
    took_over_ms = 0 if since is None else record.lease_epoch - due_ms
    if took_over_ms <= LATE_AFTER_MS or record.outcome not in _LATE_BY_A_TAKEOVER:
        return Link("leader", "ok", since, led, evidence=evidence)
    detail = f"{led}; it began to lead {milliseconds(took_over_ms)} after the slot was due"
    step = "look for the change of leader in the log, and in `celery -A proj habeat status`"
    return Link("leader", "broken", since, detail, evidence=evidence, next_step=step)


def _after_the_leader(facts: Facts, record: Record, shown: LedgerRecord) -> list[Link]:
    if record.outcome in _SENT:
        return _sent(facts, record, shown)
    evidence = chain.and_happened(facts, f"ledger record {record.id}: {record.outcome}")
    step = next_steps.after(record, facts.name)
    at = moment(record.at_ms)
    handed = record.attempt > 0 or record.reason.startswith(_AFTER_THE_CLAIM)
    if record.outcome in (Outcome.SUPPRESSED, Outcome.SHADOW) or handed:
        claimed = Link("claimed", "ok", None, "by that leader")
        unclear = record.outcome is Outcome.AMBIGUOUS
        state: LinkState = "unknown" if unclear else "broken"
        given_up = facts.given_up and f"; kept for `habeat dead`: {facts.given_up}"
        tries = plural(record.attempt, "attempt") if record.attempt else ""
        detail = ", ".join(part for part in (shown.why, tries) if part)
        return [
            claimed,
            Link("handed over", state, at, detail, evidence=evidence + given_up, next_step=step),
        ]
    return [Link("claimed", "broken", at, f"no: {shown.why}", evidence=evidence, next_step=step)]


def _sent(facts: Facts, record: Record, shown: LedgerRecord) -> list[Link]:
    at = moment(fired_at_ms(facts, record))
    claimed = Link(
        "claimed", "ok", None, "by that leader", evidence=f"lease epoch {record.lease_epoch}"
    )
    detail = f"{milliseconds(record.lateness_ms)} after its effective time"
    if record.queue:
        detail += f", to {record.queue}"
    if record.reason or record.attempt > 1:
        detail += f", {shown.why}"
    start_by_ms = facts.entry.start_by_ms if facts.entry else None
    if start_by_ms is not None and record.lateness_ms > start_by_ms:
        detail += f"; later than its start_by of {milliseconds(start_by_ms)}"
    evidence = f"task id {shown.task_id}" if shown.task_id else f"ledger record {record.id}"
    evidence = chain.and_happened(facts, evidence)
    links = [claimed, Link("handed over", "ok", at, detail, evidence=evidence)]
    again = [each for each in facts.others if each.outcome is Outcome.NOTE]
    if again:
        more = plural(len(again), "time")
        links[-1] = replace(links[-1], detail=f"{detail}; sent {more} more, {again[0].reason}")
    looked = chain.queue(facts)
    return [*links, looked] if looked else links
