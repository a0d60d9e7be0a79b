"""The links that a past slot and a slot to come have in common. Pure."""

from __future__ import annotations

from datetime import datetime

from habeat.client.explanation.facts import Facts
from habeat.client.explanation.links import Link, LinkState
from habeat.core.entry import Entry
from habeat.entries.spans import milliseconds
from habeat.printable import plural
from habeat.schedules.in_words import duration
from habeat.schedules.schedule import moment

#: A lease epoch is the time at which its leadership began, in ms, unless clocks were set back.
_EPOCHS_FROM_MS = 1_000_000_000_000


def exact(at_ms: int) -> str:
    """An instant in UTC, with milliseconds if it has any."""
    at = moment(at_ms)
    fraction = f".{at_ms % 1_000:03}" if at_ms % 1_000 else ""
    return f"{at:%Y-%m-%d %H:%M:%S}{fraction} UTC"


def began(epoch: int, until_ms: int) -> datetime | None:
    """When the leadership of this epoch began, if it shows that; it acted at `until_ms`."""
    return moment(epoch) if _EPOCHS_FROM_MS <= epoch <= until_ms else None


def leader_named(facts: Facts, epoch: int) -> str:
    """Host and process id of the leader with this epoch; "" if they are not known."""
    if facts.leading is not None and facts.leading.epoch == epoch:
        return facts.leading.where
    return facts.hosts.get(epoch, "")


def declared(facts: Facts) -> Link:
    """Who declared the entry, and when."""
    entry = facts.entry
    if entry is None:
        why = f"renamed to {facts.renamed_to!r}" if facts.renamed_to else "removed"
        return Link("declared", "unknown", None, f"the entry was {why} since")
    where = "in beat_schedule" if entry.owner == "config" else "through the API"
    evidence = f"revision {entry.rev}" + (f" of {facts.name!r}" if facts.renamed_from else "")
    evidence += f", {facts.changed}" if facts.changed else ""
    if facts.renamed_from:
        return Link(
            "declared",
            "ok",
            entry.created,
            f"{where}, as {facts.renamed_from!r}",
            evidence=evidence,
        )
    if entry.created_ms > facts.slot_ms and facts.record is not None:
        detail = f"by an earlier entry of this name; the present one was added {where} later"
        return Link("declared", "ok", entry.created, detail, evidence=evidence)
    return Link("declared", "ok", entry.created, where, evidence=evidence)


def due(facts: Facts, state: LinkState = "ok") -> Link:
    """The slot, by the entry's schedule."""
    detail = "a slot of the schedule"
    if facts.entry is not None:
        detail = facts.entry.schedule.describe()
    evidence = ""
    record = facts.record
    if record is not None and record.count > 1:
        counted = plural(record.count, "slot")
        evidence = f"one record for {counted}, {exact(record.slot_ms)} to {exact(record.last_ms)}"
    return Link("due", state, moment(facts.slot_ms), detail, evidence=evidence)


def effective(facts: Facts, state: LinkState = "ok") -> Link:
    """The slot with its spread and jitter."""
    if facts.effective_ms is None:
        detail = "the schedule does not say, because it is not the one of that time"
        return Link("effective", "unknown", None, detail)
    offset_ms = facts.effective_ms - facts.slot_ms
    detail = "at the slot itself"
    if offset_ms:
        detail = f"{milliseconds(offset_ms)} after the slot, {_offsets(facts.entry)}"
    return Link("effective", state, moment(facts.effective_ms), detail)


def _offsets(entry: Entry | None) -> str:
    """The offsets that an entry has, in words."""
    given = (("spread", entry.spread_ms), ("jitter", entry.jitter_ms)) if entry else ()
    named = [f"{name} up to {duration(most_ms)}" for name, most_ms in given if most_ms]
    return "by " + " and ".join(named) if named else "by the spread or jitter of that time"


def and_happened(facts: Facts, evidence: str) -> str:
    """Evidence, completed by what happened meanwhile."""
    return "; ".join((evidence, *facts.happened) if evidence else facts.happened)


def queue(facts: Facts) -> Link | None:
    """The queue as it is now; None if the broker was not asked."""
    look = facts.queue
    if look is None:
        return None
    if look.problem:
        return Link("queue", "unknown", None, f"{look.name}: {look.problem}")
    if look.is_missing:
        step = f"start a worker that declares and consumes it: -Q {look.name}"
        return Link(
            "queue", "broken", None, f"the broker has no queue {look.name!r}", next_step=step
        )
    waiting = plural(look.messages or 0, "message")
    if look.consumers is None:
        evidence = "Redis does not tell who consumes a queue"
        return Link("queue", "unknown", None, f"{look.name}: {waiting} now", evidence=evidence)
    consumers = plural(look.consumers, "consumer")
    state: LinkState = "ok" if look.consumers else "broken"
    step = "" if look.consumers else f"start a worker that consumes it: -Q {look.name}"
    return Link("queue", state, None, f"{look.name}: {waiting} and {consumers} now", next_step=step)
