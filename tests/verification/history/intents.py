"""I7 and I10: what is claimed is settled, abandoned or in flight; nothing leaves otherwise.

Intents also tell who was to send each attempt: who claimed, then who marked. Restamping and
marking are fenced (I5), and the intents of a stolen lease wait until its holder's trust is over.
"""

from __future__ import annotations

from tests.verification.history.case import Case, Name, nonce_of
from tests.verification.history.events import Words
from tests.verification.history.leases import Leases

#: Scripts compute in whole milliseconds; the trust ends well before the lease does.
_COARSE_US = 2_000


class Intents:
    """Follows :inflight, :dead and the counters in :meta."""

    def __init__(self, case: Case, leases: Leases) -> None:
        self._case = case
        self._leases = leases
        #: field -> (token, attempts)
        self.flying: dict[bytes, tuple[str, int]] = {}
        #: claimed - settled - abandoned - in flight
        self._balance = 0
        self._known = True
        self._buried: set[bytes] = set()
        self._leaving: set[bytes] = set()
        #: The firing that the next ledger record of this script is about.
        self.subject: Name | None = None
        self.just_left: Name | None = None
        #: Claimed by the outbox a moment ago; its intent follows.
        self.announced: Name | None = None

    def kept(self, words: Words) -> None:
        """HSET inflight: a new intent, or one restamped or marked."""
        case, field = self._case, words[2]
        parts = words[3].split(b"\n", 4)
        token, attempts = parts[0].decode(), int(parts[1])
        entry, identity = name_of(field)
        claim = case.claim_of(entry, identity)
        before = self.flying.get(field)
        self.flying[field] = token, attempts
        self.subject = self.just_left = None
        if before is None:
            # What was there unseen, while not all of it was known, is in the balance already.
            if self._known or self.announced == (entry, identity):
                self._balance -= 1
            self.announced = None
            if claim is not None:
                claim.once = parts[3].endswith(b"/at_most_once")
                claim.ended_us = None
        else:
            self._taken_over(entry, identity, before[0], token)
        if attempts >= case.expectation.attempts_cap:
            case.wrong("I9", f"attempt {attempts + 1} is prepared, above the cap", entry, identity)
        if attempts and claim is not None:
            claim.senders.setdefault(attempts + 1, nonce_of(token))

    def _taken_over(self, entry: str, identity: str, before: str, token: str) -> None:
        if not self._leases.holds(token):
            problem = f"its intent was taken over by {token}, but {self._leases.described()}"
            self._case.wrong("I5", problem, entry, identity)
        left_us = self._leases.trust_left_us(before)
        if token != before and left_us > self._case.expectation.slack_us + _COARSE_US:
            self._case.wrong(
                "I1",
                f"its intent was taken from {before} {left_us / 1e3:g} ms before the trust of that "
                "holder, whose lease was stolen, had ended",
                entry,
                identity,
            )

    def left(self, words: Words) -> None:
        """HDEL inflight."""
        for field in words[2:]:
            name = name_of(field)
            self.flying.pop(field, None)
            self._balance += 1
            claim = self._case.claim_of(*name)
            if claim is not None:
                claim.ended_us = self._case.at_us
            if field not in self._buried:
                self._leaving.add(field)
            self._buried.discard(field)
            self.subject = self.just_left = name

    def buried(self, words: Words) -> None:
        """HSET dead."""
        self._buried.add(words[2])
        self.subject = name_of(words[2])
        self.just_left = None

    def settled_at_once(self, entry: str, identity: str) -> None:
        """An atomic claim, whose record follows."""
        self.subject = entry, identity
        self.just_left = None

    def counted(self, words: Words) -> None:
        """HINCRBY meta."""
        if words[2] == b"claimed":
            self._balance += int(words[3])
        elif words[2] in (b"settled", b"abandoned"):
            self._balance -= int(words[3])

    def recorded(self, outcome: str, reason: bytes = b"") -> Name | None:
        """The firing that a ledger record belongs to, if it was claimed."""
        name, self.subject = self.subject, None
        settled = outcome in ("sent", "late", "skipped") or reason.startswith(b"not sent: ")
        if name is not None and settled:
            self._leaving.discard(f"{name[0]}@{name[1]}".encode())
        return name

    def script_ended(self) -> None:
        """I7 and I10, which hold between any two scripts."""
        self.check_left()
        self.subject = self.just_left = None
        self._buried.clear()
        if self._balance:
            self._case.wrong("I7", self._explained())
            self._balance = 0  # said once

    def check_left(self) -> None:
        """I10: what has left was settled with its record, or is kept in :dead."""
        for field in self._leaving:
            problem = "its intent is gone, and was neither settled nor put into :dead"
            self._case.wrong("I10", problem, *name_of(field))
        self._leaving.clear()

    def _explained(self) -> str:
        sign = "more" if self._balance > 0 else "fewer"
        return (
            f"{abs(self._balance)} {sign} claimed than settled, abandoned and in flight together "
            f"({len(self.flying)} in flight)"
        )

    def forgotten(self, known: bool) -> None:
        """Data was lost, or the recorder had a gap; a script may have been seen in part."""
        self._leaving.clear()
        self.flying.clear()
        self._buried.clear()
        self._balance, self._known = 0, known
        self.subject = self.just_left = self.announced = None

    def survived(self, words: Words) -> None:
        """HSET inflight, of what a loss left."""
        for field, raw in zip(words[2::2], words[3::2], strict=True):
            parts = raw.split(b"\n", 4)
            self.flying[field] = parts[0].decode(), int(parts[1])
            claim = self._case.claim_of(*name_of(field))
            if claim is not None:
                claim.ended_us = None

    def rebalance(self) -> None:
        """Between scripts the counters of what is there now agree: I7 held when it was written."""
        self._balance = 0


def name_of(field: bytes) -> Name:
    """The firing that `entry@identity` names; a request that was put aside has no entry."""
    entry, _, identity = field.decode().rpartition("@")
    return entry, identity
