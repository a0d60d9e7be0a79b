"""The one checker, for simulation and chaos alike: a history in, what is wrong with it out.

Pure and linear: the events are walked through once, each judge following the keys of its own
invariants, and what needs the whole (messages, accounts, causes) is looked at when it is over.

I1 one live token, and no intent taken from a live holder (leases, intents) · I2 tokens do not
repeat (leases) · I3 one claim per (entry, slot) and history, I5 by the live token, I6 not before
its time (claims) · I4 cursors only move forward (cursors) · I7 claimed = settled + abandoned + in
flight, I10 nothing leaves in-flight otherwise (intents) · I8 a message has a claim, I9 no more
than may be, I11 every duplicate explained (messages) · every slot in the ledger exactly once
(accounts), and every miss with a cause (misses).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from tests.verification.history.accounts import Accounts
from tests.verification.history.bounds import NOTICED_MS
from tests.verification.history.case import Case, read_loss
from tests.verification.history.claims import Claims
from tests.verification.history.context import in_context
from tests.verification.history.cursors import Cursors
from tests.verification.history.events import (
    Arrival,
    Event,
    Expectation,
    Fault,
    Gap,
    Kind,
    Lost,
    ScriptEnd,
    Words,
    Write,
    begins_us,
)
from tests.verification.history.holding import Holding
from tests.verification.history.intents import Intents
from tests.verification.history.lateness import Lateness, active
from tests.verification.history.leases import Leases
from tests.verification.history.messages import Messages
from tests.verification.history.misses import Misses
from tests.verification.history.reasons import Reasons
from tests.verification.history.standing import Standing
from tests.verification.history.waiting import Waiting

_TOLD_AT_MOST = 20
_FREQUENT = frozenset({Write, ScriptEnd, Arrival})

Handler = Callable[[Words], None]


#: A server's clock that runs ahead by more than this at once has been set.
STEP_US = 50_000


@dataclass
class Verdict:
    """What the checker found; no problems: a clean history."""

    problems: list[str] = field(default_factory=list)
    lateness: Lateness = field(default_factory=Lateness)
    #: Duplicates by the kinds of fault that explain them; one may be explained by several.
    explained: Counter[Kind] = field(default_factory=Counter)


def judge(events: Sequence[Event], expectation: Expectation) -> Verdict:
    """Check a history against I1-I11."""
    case = Case(expectation)
    rare = [event for event in events if type(event) not in _FREQUENT]
    case.faults = [event for event in rare if isinstance(event, Fault)]
    case.gaps = [event for event in rare if isinstance(event, Gap)]
    case.ends_us = max(map(begins_us, events), default=0)
    walk = _Walk(case)
    walk.through(events)
    walk.close()
    verdict = Verdict(lateness=_lateness(case), explained=case.explained)
    case.problems.sort(key=lambda problem: problem.at_us)
    for problem in case.problems[:_TOLD_AT_MOST]:
        verdict.problems.append(in_context(problem, events, expectation))
    if len(case.problems) > _TOLD_AT_MOST:
        verdict.problems.append(f"and {len(case.problems) - _TOLD_AT_MOST} more problems")
    return verdict


class _Walk:
    """All judges, and which of them follows which key."""

    def __init__(self, case: Case) -> None:
        self._case = case
        self._base = case.expectation.base.encode()
        self._fired = self._base + b"fired:"
        self._leases = Leases(case)
        self._intents = Intents(case, self._leases)
        self._standing = standing = Standing(case)
        self._cursors = cursors = Cursors(case, standing)
        self._holding = holding = Holding(case)
        self._reasons = Reasons(case, cursors, standing, holding)
        self._claims = Claims(case, self._leases, self._intents, cursors, standing)
        self._accounts = Accounts(
            case, self._leases, self._intents, cursors, standing, self._reasons
        )
        self._handlers = self._followed()

    def _followed(self) -> dict[Words, Handler]:
        leases, intents, cursors = self._leases, self._intents, self._cursors
        followed: dict[Words, Handler] = {
            (b"SET", b"lease"): leases.taken,
            (b"PEXPIRE", b"lease"): leases.extended,
            (b"DEL", b"lease"): leases.released,
            (b"HSET", b"untrusted"): leases.distrusted,
            (b"HSET", b"entries"): cursors.defined,
            (b"HDEL", b"entries"): self._undefined,
            (b"HSET", b"state"): cursors.moved,
            (b"HDEL", b"state"): cursors.ended,
            (b"HSET", b"inflight"): intents.kept,
            (b"HDEL", b"inflight"): intents.left,
            (b"HSET", b"dead"): intents.buried,
            (b"HINCRBY", b"meta"): intents.counted,
            (b"XADD", b"ledger"): self._accounts.recorded,
            (b"HSET", b"paused"): self._standing.pauses,
            (b"HDEL", b"paused"): self._standing.resumes,
            (b"HSET", b"quarantine"): self._standing.sets_aside,
            (b"HDEL", b"quarantine"): self._standing.mends,
            (b"HSET", b"circuits"): self._standing.circuit_opens,
            (b"HDEL", b"circuits"): self._standing.circuit_closes,
            (b"HSET", b"controls"): self._holding.written,
            (b"HDEL", b"controls"): self._holding.removed,
        }
        return {(name, self._base + key): act for (name, key), act in followed.items()}

    def through(self, events: Sequence[Event]) -> None:
        """Handle every event in order."""
        case, handlers, fired = self._case, self._handlers, self._fired
        for event in events:
            kind = type(event)
            if kind is Write:
                words = event.words
                handler = handlers.get(words[:2])
                if handler is None and words[0] == b"SET" and words[1].startswith(fired):
                    handler = self._fires
                if handler is not None:
                    self._at(event.at_us, event.server_us)
                    handler(words)
            elif kind is ScriptEnd:
                self._leases.script_ended()
                self._intents.script_ended()
                self._cursors.script_ended()
                self._standing.script_ended()
                self._reasons.script_ended()
            elif isinstance(event, Arrival):
                case.firing(event.entry, event.identity).copies.append(event)
            elif isinstance(event, Lost):
                self._lost(event)
            elif isinstance(event, Gap):
                self._unseen(event)

    def _fires(self, words: Words) -> None:
        """SET fired:…; what was claimed before and is settled now is not looked at again."""
        if self._claims.is_claim(words):
            self._holding.check_claim(*self._claims.named(words))
        self._claims.fired(words)

    def _at(self, at_us: int, server_us: int) -> None:
        """The clocks now, the true one and the server's; where that leapt forward, it is kept."""
        case = self._case
        ahead_us = (server_us - at_us) - (case.server_us - case.at_us)
        if case.at_us and not -STEP_US <= ahead_us <= STEP_US:
            steps = case.leaps if ahead_us > 0 else case.setbacks
            steps.append((at_us, abs(ahead_us)))
        case.at_us, case.server_us = at_us, server_us
        case.walked_us = at_us

    def _lost(self, lost: Lost) -> None:
        """A new history of Redis begins."""
        case = self._case
        if lost.server_us is not None:
            self._at(lost.at_us, lost.server_us)
        kept = lost.kept
        for gap in () if lost.complete else case.gaps:
            if kept is None and gap.start_us <= lost.at_us <= gap.end_us:
                kept = gap.kept
        case.history += 1
        case.losses.append(read_loss(lost.at_us, kept, self._base, self._server_ms(lost)))
        self._forget(kept, lost.at_us)

    def _server_ms(self, lost: Lost) -> int:
        case = self._case
        known_us = lost.server_us or case.server_us + lost.at_us - case.at_us
        return known_us // 1_000 + (NOTICED_MS if lost.under_way else 0)

    def _undefined(self, words: Words) -> None:
        self._cursors.undefined(words)
        for entry in map(bytes.decode, words[2:]):
            self._reasons.undefined(entry)

    def _unseen(self, gap: Gap) -> None:
        self._forget(gap.kept, gap.end_us)

    def _forget(self, kept: tuple[Words, ...] | None, at_us: int) -> None:
        """From now on, believe only what is reported as kept."""
        case = self._case
        case.server_us += at_us - case.at_us
        case.at_us = at_us
        case.definitions.clear()
        self._leases.forgotten(kept is not None)
        self._intents.forgotten(kept is not None)
        self._cursors.forgotten()
        self._standing.forgotten()
        self._holding.forgotten()
        restore: dict[Words, Handler] = {
            (b"SET", self._base + b"lease"): self._leases.kept,
            (b"HSET", self._base + b"untrusted"): self._leases.kept_distrust,
            (b"HSET", self._base + b"inflight"): self._intents.survived,
            (b"HSET", self._base + b"entries"): self._cursors.defined,
            (b"HSET", self._base + b"state"): self._cursors.moved,
            (b"HSET", self._base + b"paused"): self._standing.pauses,
            (b"HSET", self._base + b"quarantine"): self._standing.sets_aside,
            (b"HSET", self._base + b"circuits"): self._standing.circuit_opens,
            (b"HSET", self._base + b"controls"): self._holding.written,
        }
        for words in kept or ():
            handler = restore.get(words[:2])
            if handler is not None:
                handler(words)
        self._cursors.script_ended()
        self._intents.rebalance()

    def close(self) -> None:
        """Judge what can only be judged at the end."""
        self._intents.check_left()
        self._accounts.close()
        found = Misses(self._case, self._leases, self._cursors).close()
        Waiting(self._case, self._leases, self._cursors, self._standing, self._holding).close(found)
        messages = Messages(self._case)
        messages.sort_requested()
        messages.close()


def _lateness(case: Case) -> Lateness:
    """How late each firing of a schedule was, and what was being done meanwhile."""
    found = Lateness()
    lingers_us = case.expectation.ttl_us + 1_000_000
    for firing in case.firings.values():
        if not firing.copies or not firing.claims or not firing.claims[0].effective_us:
            continue
        claim, came_us = firing.claims[0], firing.copies[0].at_us
        due_us = claim.effective_us - (claim.server_us - claim.at_us)
        kinds = active(case.faults, due_us, came_us, lingers_us)
        found.add(max(0, came_us - due_us) // 1_000, kinds)
    return found
