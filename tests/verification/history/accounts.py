"""Every slot in the ledger exactly once, runs with their counts; and I5 for what is fenced there.

A claimed slot has its record when its message has left or was given up; any other slot that a
cursor passed has one that says why it did not fire. Both together must be the slots of the
schedule, no more and no fewer, on all ground that the entry's cursor has covered.
"""

from __future__ import annotations

from collections.abc import Iterator

from tests.verification.history.case import Case, epoch_of
from tests.verification.history.cursors import Cursors, Life, Record, Span
from tests.verification.history.events import Words
from tests.verification.history.intents import Intents
from tests.verification.history.leases import Leases
from tests.verification.history.reasons import Reasons, can_expire
from tests.verification.history.standing import Standing

_UNCOUNTED = ("not counted", "at least this many")
_TOLD_AT_MOST = 5
#: How the reasons begin with which the task's own code sent nothing.
_UNSENT = (b"declined", b"not sent: ")

#: first slot, last slot, how many, whether it says how many
Piece = tuple[int, int, int, bool]


class Accounts:
    """Follows the ledger."""

    def __init__(
        self,
        case: Case,
        leases: Leases,
        intents: Intents,
        cursors: Cursors,
        standing: Standing,
        reasons: Reasons,
    ) -> None:
        self._case = case
        self._standing = standing
        self._reasons = reasons
        self._leases = leases
        self._intents = intents
        self._cursors = cursors

    def recorded(self, words: Words) -> None:
        """XADD ledger * entry … slot … outcome … reason … count … until … epoch …"""
        outcome = words[8].decode()
        if outcome == "note":
            return
        entry, slot = words[4].decode(), words[6].decode()
        name = self._intents.recorded(outcome, words[10])
        # Settling is not fenced, and may say that the message had expired, or that the task's own
        # code sent nothing.
        settled = name is not None and (outcome in ("sent", "late") or is_settled(words[10]))
        if not settled and outcome not in ("sent", "late") and words[16] != b"0":
            self._check_fence(outcome, int(words[16]), entry, slot)
        if name is None and b"request" in words[3::2]:
            self._check_requested(entry, slot, words[10])
        elif name is None:
            life, record = self._cursors.lived(entry), self._record(words, outcome)
            self._reasons.check(life, record, fenced=words[16] != b"0")
            if words[12] != b"0":
                life.records.append(record)
        elif name[0]:
            self._of_claim(name[0], name[1], outcome)
            if words[10] == b"expired":
                self._check_expired(name[0], name[1])
            claim = self._case.claim_of(name[0], name[1])
            if claim is not None and words[10].startswith(_UNSENT):
                claim.unsent = True

    def _record(self, words: Words, outcome: str) -> Record:
        case, entry, first_ms = self._case, words[4].decode(), int(words[6])
        due_us = case.effective_ms(entry, first_ms) * 1_000
        return Record(
            case.at_us,
            case.at_us - max(0, case.server_us - due_us),
            first_ms,
            int(words[14]),
            int(words[12]),
            outcome,
            words[10].decode(),
            self._standing.touched_us.get(entry, 0),
        )

    def _of_claim(self, entry: str, identity: str, outcome: str) -> None:
        case, claim = self._case, self._case.claim_of(entry, identity)
        if claim is None:
            if not case.losses and not case.gaps:
                case.wrong("ledger", f"{outcome}, and it was never claimed", entry, identity)
            return
        if claim.outcomes and not case.lost(claim.at_us, case.at_us):
            problem = f"recorded as {outcome}, and as {claim.outcomes[-1]} before"
            case.wrong("ledger", problem, entry, identity)
        claim.outcomes.append(outcome)

    def _check_expired(self, entry: str, identity: str) -> None:
        """A claimed firing that is recorded as expired has expired, as far as is known."""
        case, claim = self._case, self._case.claim_of(entry, identity)
        if claim is None or not claim.effective_us:
            return
        if claim.expires_ms is None:
            if entry in case.definitions and not case.losses and not case.gaps:
                case.wrong("ledger", "recorded as expired, and it never expires", entry, identity)
            return
        early_ms = claim.expires_ms - (case.server_us + case.set_back_us()) // 1_000
        if early_ms > 1:
            problem = f"recorded as expired, {early_ms} ms before its expiry"
            case.wrong("ledger", problem, entry, identity)

    def _check_requested(self, entry: str, slot: str, reason: bytes) -> None:
        """A request that ended without a claim: the schedule's own slot has another record."""
        definition = self._case.definitions.get(entry)
        if reason == b"expired" and definition and not can_expire(definition):
            problem = "a request is recorded as expired, and it never expires"
            self._case.wrong("ledger", problem, entry, slot)

    def _check_fence(self, outcome: str, epoch: int, entry: str, slot: str) -> None:
        leases = self._leases
        if leases.known and not (epoch == epoch_of(self._case.token) and leases.lives()):
            problem = f"recorded as {outcome} by lease epoch {epoch}, but {leases.described()}"
            self._case.wrong("I5", problem, entry, slot)

    # -- at the end ---------------------------------------------------------------------------

    def close(self) -> None:
        """Check every entry's account."""
        for life in self._cursors.lives:
            if life.spans:
                self._close(life)

    def _close(self, life: Life) -> None:
        pieces = sorted(_pieces(life))
        self._check_overlaps(life, pieces)
        at = 0
        for span in life.spans:
            expected = _count(span)
            while at < len(pieces) and pieces[at][1] <= span.from_ms:
                at += 1
            found, counted = 0, expected is not None
            first = at
            while at < len(pieces) and pieces[at][1] <= span.to_ms:
                found += pieces[at][2]
                counted = counted and pieces[at][3]
                at += 1
            if counted and (found != expected or _off_grid(span, pieces[first:at])):
                self._explain(life, span, pieces[first:at])
        if not self._case.gaps:
            for piece in pieces[at:]:
                if not piece[3]:  # of a definition that no replica could read
                    continue
                problem = "accounted for, and its entry's cursor has never come so far"
                self._case.wrong("ledger", problem, life.entry, str(piece[0]))

    def _check_overlaps(self, life: Life, pieces: list[Piece]) -> None:
        last_ms = -(1 << 62)
        for piece in pieces:
            if piece[0] <= last_ms:
                problem = "it is accounted for twice (claims and ledger records together)"
                self._case.wrong("ledger", problem, life.entry, str(piece[0]))
            last_ms = max(last_ms, piece[1])

    def _explain(self, life: Life, span: Span, pieces: list[Piece]) -> None:
        """Which slots are wrong; slow, and only reached when something is."""
        assert span.definition is not None
        missing, foreign = [], []
        covered = {slot for first, last, count, _ in pieces if count == 1 for slot in (first, last)}
        runs = [piece for piece in pieces if piece[2] != 1]
        slots = set(_slots(span))
        for slot in sorted(slots):
            if slot not in covered and not any(run[0] <= slot <= run[1] for run in runs):
                missing.append(slot)
        foreign = sorted(covered - slots)
        for slot in missing[:_TOLD_AT_MOST]:
            problem = f"a slot of the schedule, and nothing accounts for it ({len(missing)} in all)"
            self._case.wrong("ledger", problem, life.entry, str(slot))
        for slot in foreign[:_TOLD_AT_MOST]:
            problem = "accounted for, and it is no slot of the schedule then in force"
            self._case.wrong("ledger", problem, life.entry, str(slot))
        for first, last, count, _ in runs:
            real = sum(first <= slot <= last for slot in slots)
            if real != count:
                problem = f"a record of {count} slots up to {last}, and there are {real}"
                self._case.wrong("ledger", problem, life.entry, str(first))


def is_settled(reason: bytes) -> bool:
    """Whether a firing that was claimed was settled for this reason, with nothing sent."""
    return reason == b"expired" or reason.startswith(_UNSENT)


def _pieces(life: Life) -> Iterator[Piece]:
    for slot in life.claims:
        yield slot, slot, 1, True
    for record in life.records:
        counted = not record.reason.endswith(_UNCOUNTED)
        yield record.first_ms, record.last_ms, record.count, counted


def _count(span: Span) -> int | None:
    if span.definition is None:
        return None
    run = span.definition.count_between(span.from_ms, span.to_ms)
    return run.count if run is not None else 0


def _off_grid(span: Span, pieces: list[Piece]) -> bool:
    """Whether something is accounted for that is not a slot."""
    assert span.definition is not None
    following = span.definition.next_slot_ms
    return any(following(first - 1) != first for first, _, _, _ in pieces)


def _slots(span: Span) -> Iterator[int]:
    assert span.definition is not None
    slot = span.definition.next_slot_ms(span.from_ms)
    while slot is not None and slot <= span.to_ms:
        yield slot
        slot = span.definition.next_slot_ms(slot)
