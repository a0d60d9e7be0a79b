"""What a claim's answer means, where the answer is not "ok"."""

from __future__ import annotations

from habeat.engine.circuits import Circuits
from habeat.engine.failures import Failed, Failures
from habeat.engine.fenced import Lead
from habeat.ports import Claim, Publisher, StoreUnavailable

#: How servers say inside a script that an ACL forbids it; the wording differs by release.
DENIED = ("NOPERM", "ACL failure", "user executing the script can't")
#: What the server says of itself: no entry is to blame, and every claim would meet the same.
SERVER_SAYS = {
    "OOM ": "out_of_memory",
    "READONLY": "read_only",
    "MISCONF": "read_only",
    "NOREPLICAS": "read_only",
}

#: The slot is accounted for: by us, or by somebody before us.
ACCOUNTED = frozenset({"ok", "mine settled", "duplicate"})


class ClaimResults:
    """Judges the claims that were refused, each by itself."""

    def __init__(self, publisher: Publisher, circuits: Circuits) -> None:
        self._circuits = circuits
        self._publisher = publisher
        self._failures = Failures()

    @property
    def any_failed(self) -> bool:
        """Whether claims that were taken are to be judged, too: an entry's trouble may be over."""
        return self._failures.any

    def judge(self, lead: Lead, claim: Claim, word: str, now_us: int) -> bool:
        """True if the slot is accounted for, False if its entry must be planned again."""
        if word.startswith("error "):
            self._error(lead, claim, word)
            return True
        if word == "early":
            lead.anchor(now_us)
        accounted = word in ACCOUNTED
        if accounted:  # a later slot of an entry that was just refused has to be planned again
            self._failures.over(claim.firing.entry)
        return accounted

    def _error(self, lead: Lead, claim: Claim, word: str) -> None:
        for sign, fault in SERVER_SAYS.items():
            if sign in word:
                raise StoreUnavailable(fault, word)
        commands = claim.rendered.commands
        denied = any(sign in word for sign in DENIED)
        if denied and self._publisher.refused_push(commands, word.removeprefix("error ")):
            return
        why = f"Redis refuses it: {word.removeprefix('error ')}"
        self._circuits.refused(claim.firing.entry, claim.firing.identity, why)
        self._failures.set_aside(lead, Failed.of_claim(claim), why)
