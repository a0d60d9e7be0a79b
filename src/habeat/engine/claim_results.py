"""What to do about a claim whose status is not "ok"."""

from __future__ import annotations

from habeat.engine.circuits import Circuits
from habeat.engine.due_task_log import DueTaskLog
from habeat.engine.failures import Failed, Failures
from habeat.engine.fenced import Lead
from habeat.ports import Claim, Publisher, StoreUnavailable

#: How Redis reports inside a script that an ACL denies a command; the wording varies by release.
DENIED = ("NOPERM", "ACL failure", "user executing the script can't")
#: Errors about the server itself. No entry is to blame, and every other claim would fail as well.
SERVER_SAYS = {
    "OOM ": "out_of_memory",
    "READONLY": "read_only",
    "MISCONF": "read_only",
    "NOREPLICAS": "read_only",
}

#: Statuses of a slot that is accounted for, whether this leader claimed it or an earlier one.
ACCOUNTED = frozenset({"ok", "mine settled", "duplicate", "expired"})


class ClaimResults:
    """Handles the status of each claim separately."""

    def __init__(self, publisher: Publisher, circuits: Circuits) -> None:
        self._circuits = circuits
        self._publisher = publisher
        self._failures = Failures()
        #: The line of each firing whose claim was accepted.
        self.due_task_log = DueTaskLog()

    @property
    def any_failed(self) -> bool:
        """Whether "ok" claims have to be judged as well, because an entry may have recovered."""
        return self._failures.any

    def judge(self, lead: Lead, claim: Claim, word: str, now_us: int) -> bool:
        """True if the slot is dealt with; False if its entry must be planned again.

        StoreUnavailable if the status reports a fault of the server itself.
        """
        if word.startswith("error "):
            self._error(lead, claim, word)
            return True
        if word == "early":
            # Our idea of Redis' time was ahead of it.
            lead.anchor(now_us)
        accounted = word in ACCOUNTED
        # Not accounted for: for example, a later slot of an entry that was refused just before.
        if accounted:
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
