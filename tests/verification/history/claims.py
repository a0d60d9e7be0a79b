"""I3, I5, I6: a slot is claimed once, by the live token, not before its time."""

from __future__ import annotations

import re

from habeat.core.expiry import expires_ms
from habeat.core.firing import Firing
from tests.verification.history.case import Case, Claim, nonce_of
from tests.verification.history.cursors import Cursors, Life
from tests.verification.history.events import FIRED, Words
from tests.verification.history.intents import Intents
from tests.verification.history.leases import Leases
from tests.verification.history.standing import Standing

#: Where the plain rule (the identity follows the last colon) cannot be used.
_REQUESTED = re.compile(rb"^(.*?):(-?\d+#.*)$", re.DOTALL)


class Claims:
    """Follows the (entry, slot) keys."""

    def __init__(
        self,
        case: Case,
        leases: Leases,
        intents: Intents,
        cursors: Cursors,
        standing: Standing,
    ) -> None:
        self._case = case
        self._standing = standing
        self._leases = leases
        self._intents = intents
        self._cursors = cursors
        self._skip = len(case.expectation.base) + len(FIRED)

    def named(self, words: Words) -> tuple[str, str]:
        """The entry and the identity in SET fired:…."""
        return self._named(words[1][self._skip :])

    def is_claim(self, words: Words) -> bool:
        """Whether it is a claim, and not the settling of an earlier one."""
        settled = words[2].endswith(b"|settled")
        return not (settled and self._intents.just_left == self.named(words))

    def fired(self, words: Words) -> None:
        """SET fired:<entry>:<identity> token|how."""
        entry, identity = self._named(words[1][self._skip :])
        token, _, how = words[2].decode().rpartition("|")
        if how == "settled":
            if self._intents.just_left == (entry, identity):
                return  # settle.lua, which has taken the intent away before
            self._intents.settled_at_once(entry, identity)
        else:
            self._intents.announced = entry, identity
        self._claimed(entry, identity, token, how == "settled")

    def _named(self, rest: bytes) -> tuple[str, str]:
        if b"#" in rest:
            found = _REQUESTED.match(rest)
            if found is not None:
                return found[1].decode(), found[2].decode()
        name, _, slot = rest.rpartition(b":")
        return name.decode(), slot.decode()

    def _claimed(self, entry: str, identity: str, token: str, atomic: bool) -> None:
        case = self._case
        if not self._leases.holds(token):
            case.wrong("I5", f"claimed by {token}, but {self._leases.described()}", entry, identity)
        firing, life = case.firing(entry, identity), self._cursors.lived(entry)
        if firing.claims and firing.claims[-1].history == case.history:
            if self._is_another(firing.claims[-1], life, identity):
                firing = case.firing_again(entry, identity)
            else:
                case.wrong("I3", "claimed a second time in one history of Redis", entry, identity)
        claim = Claim(case.at_us, case.server_us, case.history, token, atomic, life)
        claim.senders[1] = nonce_of(token)
        if atomic:
            claim.ended_us = case.at_us
        firing.claims.append(claim)
        if "#" not in identity:
            self._cursors.claimed(entry, int(identity))
            self._check_time(claim, entry, int(identity))

    @staticmethod
    def _is_another(before: Claim, life: Life, identity: str) -> bool:
        """Whether this is the slot of another entry, added again under the name.

        It has that slot only if the clock stood behind it then.
        """
        ahead = int(identity.partition("#")[0]) * 1_000 > life.began_us
        return ahead and before.life is not life

    def _check_time(self, claim: Claim, entry: str, slot_ms: int) -> None:
        case = self._case
        claim.effective_us = case.effective_ms(entry, slot_ms) * 1_000
        claim.touched_us = self._standing.touched_us.get(entry, 0)
        definition = case.definitions.get(entry)
        if definition is not None:
            firing = Firing(entry, slot_ms, claim.effective_us // 1_000)
            claim.expires_ms = expires_ms(definition, firing)
        early_us = claim.effective_us - case.server_us
        if early_us > 0:
            case.wrong(
                "I6",
                f"claimed {early_us / 1e3:g} ms before its time by the server's clock",
                entry,
                str(slot_ms),
            )
