"""I8, I9, I11: every message has a claim, and every second one a fault that made it."""

from __future__ import annotations

from collections import defaultdict
from itertools import pairwise

from habeat.core.firing import Firing as Asked
from tests.verification.history.case import ANCHORED_US, Case, Claim, Firing, Name
from tests.verification.history.events import Arrival, Fault, Kind
from tests.verification.history.explanations import EXPLANATIONS, explains

#: By how much a leader's idea of the server's clock may be behind it.
_COARSE_US = 5_000
#: After these, Redis knows no script: it was restarted, or another server took over.
_FORGET_SCRIPTS = frozenset((Kind.REDIS_DOWN, Kind.REDIS_RESTORED, Kind.REDIS_FAILOVER))


class Messages:
    """Judges what came to the broker, when the walk is over."""

    def __init__(self, case: Case) -> None:
        self._case = case
        self._owners: dict[str, Name] = {}
        #: Which firings were sent again because of a kill, and of nothing else.
        self._by_kill: defaultdict[Fault, set[Name]] = defaultdict(set)

    def sort_requested(self) -> None:
        """Assign the messages of requests to their requests: their headers have only the slot."""
        firings, cluster = self._case.firings, self._case.expectation.cluster
        if not cluster:
            return
        for (entry, identity), requested in firings.items():
            slot, _, request = identity.partition("#")
            plain = firings.get((entry, slot))
            if not request or plain is None:
                continue
            task_id = Asked(entry, int(slot), 0, request=request).task_id(cluster)
            requested.copies += [copy for copy in plain.copies if copy.task_id == task_id]
            plain.copies = [copy for copy in plain.copies if copy.task_id != task_id]

    def close(self) -> None:
        """Look at every firing."""
        for name, firing in self._case.firings.items():
            if firing.copies:
                self._check(name, firing)
            self._check_absence(name, firing)
        self._check_kills()

    def _check_kills(self) -> None:
        """One kill repeats no more than what its victim had under way: the window, or two."""
        for fault, names in self._by_kill.items():
            forgotten = self._settling_is_forgotten(fault.start_us)
            window = self._case.expectation.window * (2 if forgotten else 1)
            if window and len(names) > window:
                problem = f"one kill repeats {len(names)} messages, and its window is {window}"
                self._wrong(fault.start_us, "I11", problem, min(names))

    def _settling_is_forgotten(self, at_us: int) -> bool:
        """Whether Redis has forgotten its scripts, and no settling has told it that script again.

        A packet's settling is then refused, which its sender reads after the next packet has left.
        """
        forgotten_us = [
            moment
            for fault in self._case.faults
            if fault.kind in _FORGET_SCRIPTS
            and (moment := fault.end_us if EXPLANATIONS[fault.kind].loses else fault.start_us)
            <= at_us
        ]
        settled_us = (
            claim.ended_us
            for firing in self._case.firings.values()
            for claim in firing.claims
            if claim.ended_us is not None
        )
        return bool(forgotten_us) and not any(
            max(forgotten_us) < moment <= at_us for moment in settled_us
        )

    def _wrong(self, at_us: int, invariant: str, text: str, name: Name) -> None:
        self._case.at_us = at_us
        self._case.wrong(invariant, text, *name)

    def _check(self, name: Name, firing: Firing) -> None:
        copies = firing.copies
        if len(copies) > 1:
            copies.sort(key=lambda copy: (copy.at_us, copy.attempt))
        self._check_ids(name, copies)
        if not self._is_claimed(name, firing):
            return
        for copy in copies:
            if copy.attempt > 1 and not firing.claims[0].atomic:
                self._check_prepared(name, firing, copy)
        if len(copies) > 1:
            self._check_number(name, firing)
            self._check_attempts(name, firing)
            for earlier, later in pairwise(copies):
                self._check_pair(name, firing, earlier, later)

    # -- I8 -----------------------------------------------------------------------------------

    def _is_claimed(self, name: Name, firing: Firing) -> bool:
        case, first = self._case, firing.copies[0]
        slack_us = case.expectation.slack_us
        if firing.claims and firing.claims[0].at_us <= first.at_us + slack_us:
            return True
        if self._may_be_unseen(name[1], first.at_us):
            return False
        when = "before its claim" if firing.claims else "without a claim"
        self._wrong(first.at_us, "I8", f"a message came {when}", name)
        return False

    def _may_be_unseen(self, identity: str, came_us: int) -> bool:
        """Whether its claim may have gone unseen; a claim of a later slot does not count."""
        slot_us = 0 if "#" in identity else int(identity) * 1_000
        return any(gap.start_us <= came_us and slot_us <= gap.end_us for gap in self._case.gaps)

    # -- I9 -----------------------------------------------------------------------------------

    def _check_ids(self, name: Name, copies: list[Arrival]) -> None:
        for copy in copies:
            owner = self._owners.setdefault(copy.task_id, name)
            if owner != name and copy.task_id:
                problem = f"its task id {copy.task_id} is also that of {owner[0]}@{owner[1]}"
                self._wrong(copy.at_us, "I9", problem, name)

    def _check_number(self, name: Name, firing: Firing) -> None:
        # A snapshot brings an intent back with the attempts that it had then.
        since_us = firing.claims[0].at_us
        forgotten = sum(since_us <= loss.at_us for loss in self._case.losses)
        cap = self._case.expectation.attempts_cap * (len(firing.claims) + forgotten)
        if len(firing.copies) > cap:
            problem = f"{len(firing.copies)} messages, and {cap} are the most there may be"
            self._wrong(firing.copies[-1].at_us, "I9", problem, name)

    def _check_attempts(self, name: Name, firing: Firing) -> None:
        """Each attempt is counted before it is sent, so no two copies have the same number."""
        claimed_us = firing.claims[0].at_us
        seen: set[int] = set()
        for copy in firing.copies:
            if copy.attempt in seen and not self._case.lost(claimed_us, copy.at_us):
                problem = f"two messages of attempt {copy.attempt}: the second was not counted"
                self._wrong(copy.at_us, "I9", problem, name)
            seen.add(copy.attempt)

    def _check_prepared(self, name: Name, firing: Firing, copy: Arrival) -> None:
        """A resender has counted that attempt, for an intent that was still in flight."""
        senders = [claim.senders.get(copy.attempt) for claim in firing.claims]
        counted = any(found is not None and copy.sender in (found, "") for found in senders)
        if not counted and not self._case.lost_or_unseen(firing.claims[0].at_us, copy.at_us):
            problem = f"attempt {copy.attempt} was sent, and its sender had not counted it"
            self._wrong(copy.at_us, "I9", problem, name)

    # -- I11 ----------------------------------------------------------------------------------

    def _check_pair(self, name: Name, firing: Firing, earlier: Arrival, later: Arrival) -> None:
        case, claim = self._case, _claim_before(firing, earlier)
        oldest = min(claim, _claim_before(firing, later), key=lambda found: found.at_us)
        lost = self._is_forgotten(name, oldest, later)
        if earlier.task_id != later.task_id and not lost:
            problem = f"the copies have different task ids, {earlier.task_id} and {later.task_id}"
            self._wrong(later.at_us, "I9", problem, name)
        if case.is_once(*name) and not lost:
            self._wrong(later.at_us, "I11", "sent twice, and it may be sent at most once", name)
            return
        if lost:
            kinds = {
                fault.kind
                for fault in case.faults
                if EXPLANATIONS[fault.kind].loses
                and oldest.at_us <= fault.end_us
                and fault.start_us <= later.at_us
            }
        else:
            found = [f for f in case.faults if self._explains(f, claim, earlier, later)]
            kinds = {fault.kind for fault in found}
            if len(found) == 1 and kinds == {Kind.KILL}:
                self._by_kill[found[0]].add(name)
            if not kinds:
                self._wrong(later.at_us, "I11", self._explained(firing, earlier, later), name)
        case.explained.update(kinds)

    def _is_forgotten(self, name: Name, claim: Claim, later: Arrival) -> bool:
        """Whether data was lost in between, and with it the record of this firing."""
        return any(
            claim.at_us <= loss.at_us <= later.at_us
            and (loss.forgot(*name) if loss.known else self._may_be_forgotten(claim, later))
            for loss in self._case.losses
        )

    def _may_be_forgotten(self, claim: Claim, later: Arrival) -> bool:
        """For a loss of unknown extent: whether its fault reaches this slot."""
        losing = [fault for fault in self._case.faults if EXPLANATIONS[fault.kind].loses]
        return not losing or any(self._touches(fault, claim, later) for fault in losing)

    def _explains(self, fault: Fault, claim: Claim, earlier: Arrival, later: Arrival) -> bool:
        if not self._touches(fault, claim, later):
            return False
        senders = _sender(claim, earlier), _sender(claim, later)
        return explains(
            fault.kind,
            itself=bool(senders[0]) and senders[0] == senders[1],
            hit_earlier=_hits(fault, senders[0]),
            hit_later=_hits(fault, senders[1]),
            outbox=not claim.atomic,
        )

    def _touches(self, fault: Fault, claim: Claim, later: Arrival) -> bool:
        """Inside [claim, settling + one TTL], and not after what it is to explain."""
        expectation = self._case.expectation
        slack_us, end_us = expectation.slack_us, later.at_us
        if claim.ended_us is not None:
            end_us = min(end_us, claim.ended_us + expectation.ttl_us)
        return fault.start_us <= end_us + slack_us and fault.end_us >= claim.at_us - slack_us

    def _explained(self, firing: Firing, earlier: Arrival, later: Arrival) -> str:
        claim = _claim_before(firing, earlier)
        senders = _sender(claim, earlier) or "?", _sender(claim, later) or "?"
        how = "atomic" if claim.atomic else "outbox"
        return (
            f"sent again (attempt {later.attempt} by {senders[1]}, after attempt "
            f"{earlier.attempt} by {senders[0]}; {how}), and no fault explains it"
        )

    # -- what never came ----------------------------------------------------------------------

    def _check_absence(self, name: Name, firing: Firing) -> None:
        """A claimed and sent slot has arrived, or its record says what became of it."""
        for claim in firing.claims:
            outcome = claim.outcomes[-1] if claim.outcomes else None
            if claim.unsent and firing.copies:
                problem = f"recorded as {outcome} with nothing sent, and a message came"
                self._wrong(claim.at_us, "ledger", problem, name)
            if outcome in ("sent", "late"):
                self._check_arrived(name, firing, claim, outcome)
                self._check_in_time(name, firing, claim, outcome)
            elif outcome is None and not self._may_be_open(claim):
                problem = "claimed, and it is still in flight at the end"
                if claim.ended_us is not None:
                    problem = "claimed, and no ledger record says what became of it"
                self._wrong(claim.at_us, "ledger", problem, name)

    def _may_be_open(self, claim: Claim) -> bool:
        expectation = self._case.expectation
        young = claim.at_us > self._case.ends_us - expectation.tail_us
        flying = claim.ended_us is None and (young or not expectation.complete)
        return flying or self._case.lost_or_unseen(claim.at_us, 1 << 62)

    def _check_arrived(self, name: Name, firing: Firing, claim: Claim, outcome: str) -> None:
        case = self._case
        settled_us, latest_us = claim.at_us, 1 << 62
        if claim.ended_us is not None:  # else a snapshot has brought its intent back
            settled_us = claim.ended_us
            if case.expectation.exact_arrivals:
                latest_us = settled_us + case.expectation.slack_us
        if any(copy.at_us <= latest_us for copy in firing.copies):
            return
        if any(f.kind is Kind.BROKER_LOST and f.end_us >= claim.at_us for f in case.faults):
            return
        problem = "only later did a message come" if firing.copies else "no message ever came"
        self._wrong(settled_us, "ledger", f"recorded as {outcome}, and {problem}", name)

    def _check_in_time(self, name: Name, firing: Firing, claim: Claim, outcome: str) -> None:
        """What is recorded as sent came before its expiry: after it, a worker discards it."""
        copies = [copy.at_us for copy in firing.copies if copy.at_us >= claim.at_us]
        if claim.expires_ms is None or not copies or len(firing.claims) > 1:
            return
        case, came_us = self._case, min(copies)
        steps = [at for at, _ in (*case.leaps, *case.setbacks)]
        if any(claim.at_us - ANCHORED_US <= at <= came_us + ANCHORED_US for at in steps):
            return  # it is not known by which clock
        slow = (fault for fault in case.faults if fault.kind is Kind.REDIS_SLOW)
        if any(f.start_us <= came_us and f.end_us >= claim.at_us - ANCHORED_US for f in slow):
            return  # nor how far the leader's idea of Redis' time was behind
        server_us = came_us + claim.server_us - claim.at_us
        over_us = server_us - claim.expires_ms * 1_000
        expectation = case.expectation
        if over_us > expectation.slack_us + expectation.behind_us + _COARSE_US:
            problem = f"recorded as {outcome}, and it came {over_us / 1e3:g} ms after its expiry"
            self._wrong(came_us, "ledger", problem, name)


def _claim_before(firing: Firing, copy: Arrival) -> Claim:
    found = [claim for claim in firing.claims if claim.at_us <= copy.at_us]
    own = [claim for claim in found if claim.senders.get(copy.attempt) == copy.sender]
    return (own or found or firing.claims[:1])[-1]


def _sender(claim: Claim, copy: Arrival) -> str:
    return copy.sender or claim.senders.get(copy.attempt, "")


def _hits(fault: Fault, sender: str) -> bool:
    """It hit all replicas, or the sender; an unknown sender may be any replica."""
    return not fault.victim or not sender or fault.victim == sender
