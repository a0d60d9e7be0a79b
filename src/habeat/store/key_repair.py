"""Repairs habeat's own keys by `mend.lua`, and reports what was repaired."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from habeat.core.lease import Token
from habeat.ports import Lost
from habeat.store.calling import Caller, text
from habeat.store.pages import POSITIONS


@dataclass(frozen=True, slots=True)
class Mended:
    """One repair: `what` is foreign, counter, due, resume, state or seen.

    `which` is the key (without our prefix), the counter, the entry or the replica. `how` is the
    name under which a foreign key is kept ("" if it could not be renamed), or the number that a
    counter starts from.
    """

    what: str
    which: str
    how: str


@dataclass(frozen=True, slots=True)
class Sizes:
    """How many entries there are, how many have a position, and how many are due at some time."""

    entries: int = 0
    states: int = 0
    due: int = 0


class Mending:
    """Runs the script."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller
        #: What the last run counted.
        self.sizes = Sizes()
        #: Where the next page of positions begins; the whole walk is done when it is 0 again.
        self.position = "0"
        #: The entries of the last page that may have lost their place in the index.
        self.strays: Sequence[str] = ()

    def run(self, token: Token | None, ttl_ms: int, fingerprint: str) -> Sequence[Mended] | Lost:
        """Repair the keys, and return what was repaired.

        Without a token, Lost if any replica holds the lease.
        """
        page = () if token is None else (self.position, POSITIONS)
        reply = self._caller.run("mend", str(token or ""), ttl_ms, fingerprint, *page)
        self.strays = ()
        if text(reply[0]) == "lost":
            return Lost(text(reply[1]))
        self.sizes = Sizes(*(int(count) for count in reply[3]))
        if token is not None:
            self.position, self.strays = text(reply[4]), [text(name) for name in reply[5]]
        words = [text(word) for word in reply[2]]
        return [Mended(*each) for each in zip(*[iter(words)] * 3, strict=True)]
