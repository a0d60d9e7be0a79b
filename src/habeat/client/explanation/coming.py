"""The chain of a slot without an outcome: claimed only, due, still to come, or not known. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from habeat.client.explanation import chain
from habeat.client.explanation.facts import Facts
from habeat.client.explanation.links import Explanation, Link, LinkState
from habeat.client.explanation.next_steps import filled
from habeat.core.entry import Entry
from habeat.core.expiry import expires_ms
from habeat.core.firing import Firing
from habeat.core.holds import NEVER_MS, PAUSED_ALL, Held
from habeat.entries.spans import milliseconds
from habeat.printable import plural
from habeat.schedules.custom import Code
from habeat.schedules.schedule import moment

#: A slot that is due for less than this is being sent now, as far as anyone can tell.
PROMPT_MS = 2_000


def explain_in_flight(facts: Facts) -> Explanation:
    """A slot that was claimed and whose message is not settled yet."""
    intent = facts.in_flight
    assert intent is not None
    led = chain.leader_named(facts, intent.epoch) or "host not recorded"
    at = chain.began(intent.epoch, facts.now_ms)
    tried = plural(intent.attempts + 1, "attempt")
    waits_ms = facts.now_ms - (facts.effective_ms or facts.slot_ms)
    state: LinkState = "broken" if waits_ms > PROMPT_MS else "to come"
    detail = f"not confirmed by the broker for {milliseconds(max(0, waits_ms))}, {tried}"
    evidence, step = _found(facts)
    links = [
        *_before(facts),
        Link("leader", "ok", at, led, evidence=f"lease epoch {intent.epoch}"),
        Link(
            "claimed", "ok", None, "by that leader", evidence="its message is stored in :inflight"
        ),
        Link(
            "handed over",
            state,
            None,
            detail,
            evidence=evidence,
            next_step=step if state == "broken" else "",
        ),
    ]
    sentence = f"claimed, and not handed to the broker yet: {detail}"
    return _explanation(facts, "in flight", sentence, links)


def explain_given_up(facts: Facts) -> Explanation:
    """A firing in :dead whose record has left the ledger."""
    step = "celery -A proj habeat dead list, then dead resend or dead purge"
    claimed = Link("claimed", "ok", None, "by a leader of that time")
    given_up = Link(
        "handed over",
        "broken",
        None,
        facts.given_up,
        evidence="it is kept in :dead",
        next_step=step,
    )
    links = [*_before(facts), claimed, given_up]
    return _explanation(facts, "failed", f"given up: {facts.given_up}", links)


def explain_unknown(facts: Facts) -> Explanation:
    """A slot behind the cursor of which nothing is known any more."""
    begins_ms = facts.ledger_begins_ms
    if facts.slot_ms <= facts.loss.declared_ms:
        why = f"Redis lost data, which was noticed at {chain.exact(facts.loss.declared_ms)}"
    elif begins_ms is None:
        why = "the ledger is empty"
    elif facts.slot_ms < begins_ms:
        why = f"the ledger begins at {chain.exact(begins_ms)}, after this slot"
    else:
        why = "the ledger has no record of it; the schedule may have been another one then"
    step = "look into the logs of beat; habeat_ledger_age says how long records are kept"
    links = [*_before(facts), Link("claimed", "unknown", None, why, next_step=step)]
    return _explanation(facts, "unknown", f"not known: {why}", links)


def explain_coming(facts: Facts, entry: Entry) -> Explanation:
    """A slot after the cursor: due and without an outcome, or still to come."""
    due_ms = facts.effective_ms or facts.slot_ms
    waits_ms = facts.now_ms - due_ms
    links = [*_before(facts), _leader(facts, waits_ms), *_dispatch(facts, entry, due_ms, waits_ms)]
    broken = next((link for link in links if link.state == "broken"), None)
    if waits_ms < 0:
        sentence = f"due {chain.exact(due_ms)}, in {milliseconds(-waits_ms)}"
        if broken is not None:
            return _explanation(facts, "to come", f"{sentence}, but {broken.detail}", links)
        risks = [link.detail for link in links if link.state == "unknown" and link.link != "queue"]
        risk = f"; this may prevent it: {'; '.join(risks)}" if risks else ""
        return _explanation(facts, "to come", f"will fire: {sentence}{risk}", links)
    if broken is not None:
        sentence = f"not fired: {broken.detail}"
    else:
        sentence = f"not fired yet: due for {milliseconds(waits_ms)}"
    return _explanation(facts, "pending", sentence, links)


def none_to_come(entry: Entry) -> str:
    """Why an entry has no slot after the present, in a sentence."""
    if entry.state.quarantined is not None:
        why = f"the entry is quarantined: {entry.state.quarantined}"
    elif isinstance(entry.schedule, Code):
        why = "only beat's code knows the slots of this schedule"
    elif entry.end_ms is not None:
        why = f"the entry ends at {chain.exact(entry.end_ms)}"
    else:
        why = "its schedule has none, or is too expensive to search"
    return f"no slot to come: {why}"


def _before(facts: Facts) -> list[Link]:
    state: LinkState = "ok" if facts.slot_ms <= facts.now_ms else "to come"
    return [chain.declared(facts), chain.due(facts, state), chain.effective(facts, state)]


def _leader(facts: Facts, waits_ms: int) -> Link:
    leading = facts.leading
    if leading is not None:
        since = None if leading.since_ms is None else moment(leading.since_ms)
        return Link("leader", "ok", since, leading.where, evidence=f"lease epoch {leading.epoch}")
    found = facts.standbys
    beside = plural(found, "replica stands", "replicas stand") + " by"
    detail = f"there is no leader; {beside if found else 'no beat is running'}"
    step = "wait one lease" if found else "celery -A proj beat -S habeat.Scheduler"
    evidence = chain.and_happened(facts, "")
    return Link("leader", "broken", None, detail, evidence=evidence, next_step=step)


def _dispatch(facts: Facts, entry: Entry, due_ms: int, waits_ms: int) -> Iterator[Link]:
    """The links from the claim on."""
    later: LinkState = "to come" if waits_ms < PROMPT_MS else "unknown"
    claimed = _not_claimed(facts, entry, due_ms)
    if claimed is not None:
        yield claimed
        if claimed.state == "broken":
            return
    elif waits_ms < PROMPT_MS:
        yield Link("claimed", later, None, "by the leader, once it is due")
    else:
        yield _overdue(facts, entry, waits_ms)
    yield _handed_over(facts, entry, due_ms, later)
    looked = chain.queue(facts)
    if looked is not None:
        yield looked


def _not_claimed(facts: Facts, entry: Entry, due_ms: int) -> Link | None:
    """Why the slot is not claimed, or may not be; None if nothing speaks against it."""
    state = entry.state
    if state.quarantined is not None:
        step = "celery -A proj habeat show {name}; repair it, then celery -A proj habeat resume"
        return _held(facts, f"the entry is quarantined: {state.quarantined}", step)
    if state.paused is not None:
        return _paused(facts, entry, due_ms)
    if not entry.enabled:
        return _held(facts, "the entry is disabled", "celery -A proj habeat update {name} --enable")
    if facts.held is not None:
        return _held_all(facts, facts.held)
    if _is_spent(facts, entry):
        used = "is" if entry.runs_left(state.fired) == 0 else "will be"
        detail = f"its max_runs of {entry.max_runs} {used} used up"
        return _held(facts, detail, "a larger max_runs: celery -A proj habeat update {name}")
    circuit = facts.circuit
    if circuit is None:
        return None
    detail = f"its circuit is open since {chain.exact(circuit.since_ms)}: {circuit.why}"
    step = "correct the entry: celery -A proj habeat show {name}. An edit closes the circuit"
    if circuit.is_probed(max(due_ms, facts.now_ms)):
        detail += "; this slot may be sent as a probe"
        return Link("claimed", "unknown", None, detail, next_step=_for(facts, step))
    return _held(facts, detail, step)


def _paused(facts: Facts, entry: Entry, due_ms: int) -> Link | None:
    state = entry.state
    until_ms = state.paused_until_ms
    if until_ms is not None and until_ms < due_ms:
        return None
    why = f": {state.paused}" if state.paused else ""
    since = f" since {chain.exact(state.paused_at_ms)}" if state.paused_at_ms else ""
    until = f" until {chain.exact(until_ms)}" if until_ms is not None else ""
    detail = f"the entry is paused{since}{until}{why}"
    step = "{resume}; with --from paused, its misfire policy decides about the slots of the pause"
    return _held(facts, detail, step)


def _held_all(facts: Facts, held: Held) -> Link:
    """A hold of the whole schedule, or of a part of it: its slots are skipped, or wait."""
    until = "" if held.until_ms >= NEVER_MS else f" until {chain.exact(held.until_ms)}"
    if held.reason == PAUSED_ALL:
        step = "celery -A proj habeat resume --all"
        return _held(facts, f"the whole schedule is paused{until}", step)
    if held.latest:
        detail = f"{held.reason}{until}: only the newest slot fires after it"
        return Link("claimed", "unknown", moment(held.until_ms), detail)
    return _held(facts, f"{held.reason}{until}", "{backfill} afterwards if the slot matters")


def _is_spent(facts: Facts, entry: Entry) -> bool:
    """Whether `max_runs` is used up before this slot, if every slot until then fires."""
    left = entry.runs_left(entry.state.fired)
    if left is None:
        return False
    run = entry.count_between(entry.state.cursor_ms, facts.slot_ms, left + 1)
    return run is not None and run.count > left


def _held(facts: Facts, detail: str, step: str) -> Link:
    return Link("claimed", "broken", None, detail, next_step=_for(facts, step))


def _for(facts: Facts, step: str) -> str:
    return filled(step, facts.name, facts.slot_ms, facts.slot_ms)


def _overdue(facts: Facts, entry: Entry, waits_ms: int) -> Link:
    """Why a due slot of an entry that may fire is not claimed."""
    deferred_ms = entry.state.due_ms
    if deferred_ms is not None and deferred_ms > facts.now_ms:
        at = moment(deferred_ms)
        detail = "the leader tries again later, because a firing failed or a backlog is paced"
        return Link("claimed", "unknown", at, detail, next_step="look into the log of the leader")
    detail = f"it is due for {milliseconds(waits_ms)}, and the leader has not claimed it"
    evidence, step = _found(facts)
    return Link("claimed", "broken", None, detail, evidence=evidence, next_step=step)


def _found(facts: Facts) -> tuple[str, str]:
    """What `health` says of a slot that waits, and the next step."""
    finding, step = facts.finding, "celery -A proj habeat health, and the log of the leader"
    evidence = chain.and_happened(facts, finding.sentence if finding else "")
    return evidence, (finding.next_step if finding else "") or step


def _handed_over(facts: Facts, entry: Entry, due_ms: int, state: LinkState) -> Link:
    """What the message may run into: its expiry, a task that no code has, a shadow."""
    if facts.leading is not None and facts.leading.dispatch == "shadow":
        detail = "this beat is a shadow, which sends nothing"
        return Link("handed over", "broken", None, detail, next_step="remove habeat_shadow")
    ends_ms = expires_ms(entry, Firing(entry.name, facts.slot_ms, due_ms))
    if ends_ms is not None and facts.now_ms >= ends_ms:
        detail = f"its message has expired at {chain.exact(ends_ms)}"
        return Link("handed over", "broken", None, detail, next_step="a longer expires or deadline")
    if ends_ms is not None and facts.usual_ms is not None and ends_ms - due_ms <= facts.usual_ms:
        detail = (
            f"its message expires {milliseconds(max(0, ends_ms - due_ms))} after it is due, and "
            f"its firings are up to {milliseconds(facts.usual_ms)} late"
        )
        evidence = "the p99 of its lateness"
        return Link(
            "handed over",
            "unknown",
            None,
            detail,
            evidence=evidence,
            next_step="a longer expires or deadline",
        )
    if facts.is_unregistered:
        detail = f"beat's code does not have the task {entry.task_name}"
        step = "check the task's name; list tasks of other apps in habeat_remote_tasks"
        return Link("handed over", "unknown", None, detail, next_step=step)
    return Link("handed over", state, None, f"as a message of {entry.task_name}")


def _explanation(facts: Facts, outcome: str, sentence: str, links: list[Link]) -> Explanation:
    broken = next((at for at, link in enumerate(links) if link.state == "broken"), None)
    return Explanation(
        entry=facts.name,
        asked=None,
        slot=moment(facts.slot_ms),
        effective=None if facts.effective_ms is None else moment(facts.effective_ms),
        outcome=outcome,
        sentence=sentence,
        links=tuple(links if broken is None else links[: broken + 1]),
        lease_epoch=facts.in_flight.epoch if facts.in_flight else None,
    )
