"""I1, I2, and what I5 asks for: which token lives, by the server's own clock."""

from __future__ import annotations

from tests.verification.history.case import Case, epoch_of
from tests.verification.history.events import Kind, Words

_NEVER = 1 << 62


class Leases:
    """Follows the lease key."""

    def __init__(self, case: Case) -> None:
        self._case = case
        #: In which history of Redis each token was taken.
        self._taken: dict[str, int] = {}
        #: When a replica led for the first time; 0: never yet.
        self.first_us = 0
        self._epoch = 0
        #: Since when a lease lies free that was given back; and each that was taken again.
        self._free_us = 0
        self.handovers: list[tuple[int, int]] = []
        #: Until when, by the server's clock; unknown counts as forever.
        self._ends_us = 0
        #: When that was written.
        self._since_us = 0
        #: The same by the clock of `at_us`: the server's may have stepped back since, after the
        #: lease had run out and was gone.
        self._gone_us = 0
        self.known = True
        #: Stolen tokens -> the end of the trust that their holders may have, by the server's
        #: clock and by that of `at_us`.
        self._distrusted: dict[str, tuple[int, int]] = {}
        #: Those of before the last loss of data, which Redis may remember or not.
        self._undone: dict[str, tuple[int, int]] = {}
        #: How far the server's clock has been behind since: what it steps forward then, shortens
        #: the wait of an heir.
        self._lowest_us = 0
        self._stolen = ""

    def taken(self, words: Words) -> None:
        """SET lease token PX ttl."""
        case, token = self._case, words[2].decode()
        epoch = epoch_of(token)
        if self._was_taken(token):
            case.wrong("I2", f"the token {token} was used before")
        if epoch <= self._epoch:
            case.wrong("I2", f"the lease epoch of {token} is not above {self._epoch}")
        self._taken[token] = case.history
        self.first_us = self.first_us or case.at_us
        if self._free_us:
            self.handovers.append((self._free_us, case.at_us))
            self._free_us = 0
        self._epoch = max(self._epoch, epoch)
        slack_us = case.expectation.slack_us
        held = bool(case.token) and case.server_us < self._ends_us - slack_us
        held = held and case.at_us < self._gone_us - slack_us
        held = held and not any(
            fault.kind is Kind.REDIS_CLOCK and fault.start_us >= self._since_us
            for fault in case.faults
        )  # it may have run out for a moment, and then it is gone
        if self.known and held and token != case.token:
            self._stolen = case.token
            expected = case.server_us + case.expectation.ttl_us
            ends_us = min(self._ends_us, expected)
            self._distrusted[case.token] = ends_us, ends_us - case.server_us + case.at_us
            self._lowest_us = case.server_us - case.at_us
        case.token, self.known = token, True
        self._lasts(int(words[4]) * 1_000)

    def _was_taken(self, token: str) -> bool:
        """Whether it was, and should not come again.

        An epoch is the time, or one more than the last. So one that a loss of data undid comes
        again only while the clock of Redis stands behind it, and then to the same replica.
        """
        history = self._taken.get(token)
        behind = epoch_of(token) * 1_000 > self._case.server_us
        return history is not None and not (behind and history < self._case.history)

    def _lasts(self, us: int) -> None:
        self._lowest_us = min(self._lowest_us, self._case.server_us - self._case.at_us)
        self._since_us = self._case.at_us
        self._ends_us = self._case.server_us + us
        self._gone_us = self._case.at_us + us

    def extended(self, words: Words) -> None:
        """PEXPIRE lease ttl."""
        if self.known:
            self._lasts(int(words[2]) * 1_000)

    def released(self, _: Words) -> None:
        """DEL lease."""
        self._case.token, self.known, self._ends_us = "", True, 0
        case = self._case
        evicted = any(
            fault.kind is Kind.EVICTED and fault.start_us <= case.at_us <= fault.end_us
            for fault in case.faults
        )
        self._free_us = 0 if evicted else case.at_us

    def distrusted(self, words: Words) -> None:
        """HSET untrusted token, until."""
        if words[2].decode() == self._stolen:
            self._stolen = ""

    def script_ended(self) -> None:
        """A lease taken from a live holder must have been taken by a steal, which says so."""
        if self._stolen:
            self._case.wrong(
                "I1",
                f"{self._case.token} took the lease while {self._stolen} held it, and did not "
                "note the trust that its holder may still have",
            )
            self._stolen = ""

    def lives(self) -> bool:
        """Whether the lease has not run out."""
        case = self._case
        return bool(case.token) and case.server_us <= self._ends_us + case.expectation.slack_us

    def holds(self, token: str) -> bool:
        """Whether this token is the live one; what is not known is believed."""
        if not self.known:
            self._case.token, self.known, self._ends_us = token, True, _NEVER
        return token == self._case.token and self.lives()

    def described(self) -> str:
        """The state of the lease, for a problem."""
        if not self._case.token:
            return "the lease is free"
        return f"the lease is {self._case.token}'s" + ("" if self.lives() else ", and has run out")

    def trust_left_us(self, token: str) -> int:
        """How long the holder of a stolen lease may still trust it; 0 if it was not stolen."""
        ends_us = self._distrusted.get(token)
        if ends_us is None:
            return 0
        case = self._case
        forward_us = case.server_us - case.at_us - self._lowest_us
        return min(ends_us[0] - case.server_us, ends_us[1] - case.at_us - max(0, forward_us))

    def forgotten(self, known: bool) -> None:
        """Data was lost, or the recorder had a gap: the lease is free, or not known."""
        self._case.token, self.known, self._ends_us = "", known, 0
        self._stolen = ""
        self._free_us = 0
        self._epoch = 0
        if known:
            self._undone, self._distrusted = self._distrusted, {}

    def kept_distrust(self, words: Words) -> None:
        """HSET untrusted, of what a loss left: the steals that it has not undone."""
        for token in map(bytes.decode, words[2::2]):
            if token in self._undone:
                self._distrusted[token] = self._undone[token]

    def kept(self, words: Words) -> None:
        """SET lease, of what a loss left: no new leadership."""
        self._case.token, self.known = words[2].decode(), True
        self._epoch = epoch_of(self._case.token)
        self._lasts(int(words[4]) * 1_000 if len(words) > 4 else _NEVER)
