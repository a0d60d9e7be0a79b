"""What a claim's answer means, where the answer is not "ok"."""

from __future__ import annotations

from habeat.engine.lead import Lead
from habeat.engine.reporting import Once
from habeat.ports import Claim, DispatchStore, DueEntry, Publisher, StoreUnavailable

REFUSED_WAIT_MS = 1_000

#: How servers say inside a script that an ACL forbids it; the wording differs by release.
DENIED = ("NOPERM", "ACL failure", "user executing the script can't")

#: The slot is accounted for: by us, or by somebody before us.
ACCOUNTED = frozenset({"ok", "mine settled", "duplicate"})


class Verdicts:
    """Judges the claims that were refused, each by itself."""

    def __init__(self, store: DispatchStore, publisher: Publisher) -> None:
        self._store = store
        self._publisher = publisher
        self._refused = Once()

    def judge(self, lead: Lead, claim: Claim, word: str, now_us: int) -> bool:
        """True if the slot is accounted for, False if its entry must be planned again."""
        if word.startswith("error "):
            self._error(lead, claim, word)
            return True
        self._refused.over(claim.firing.entry)
        if word == "early":
            lead.anchor(now_us)
        return word in ACCOUNTED

    def _error(self, lead: Lead, claim: Claim, word: str) -> None:
        if "OOM " in word:
            raise StoreUnavailable("out_of_memory", word)
        denied = any(sign in word for sign in DENIED)
        if denied and self._publisher.give_up_atomic(f"the queue may not be pushed to ({word})"):
            return
        name = claim.firing.entry
        self._refused.error(name, "habeat: entry %r was refused by Redis: %s", name, word)
        if claim.firing.request:
            return
        due = DueEntry(name, claim.planned_due_ms, claim.digest, claim.cursor_ms)
        until_ms = lead.now_ms() + REFUSED_WAIT_MS
        lead.call(lambda token, ttl: self._store.defer(token, ttl, due, until_ms))
