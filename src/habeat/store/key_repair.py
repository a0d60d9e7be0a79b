"""Having the cluster's own keys put right: `mend.lua`, and what it says it has done."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from habeat.core.lease import Token
from habeat.ports import Lost
from habeat.store.calling import Caller, text


@dataclass(frozen=True, slots=True)
class Mended:
    """One thing put right: `what` is foreign, counter, due, resume or seen.

    `which` is the key (without our prefix), the counter, or the entry; `how` the name under which
    a foreign key is kept ("" if it could not be renamed), or the number that a counter starts from.
    """

    what: str
    which: str
    how: str


class Mending:
    """Runs the script."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    def run(self, token: Token | None, ttl_ms: int, fingerprint: str) -> Sequence[Mended] | Lost:
        """What was put right; without a token only where nobody holds the lease."""
        reply = self._caller.run("mend", str(token or ""), ttl_ms, fingerprint)
        if text(reply[0]) == "lost":
            return Lost(text(reply[1]))
        words = [text(word) for word in reply[2]]
        return [Mended(*each) for each in zip(*[iter(words)] * 3, strict=True)]
