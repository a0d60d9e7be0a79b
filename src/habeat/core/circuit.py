"""The circuit of an entry that cannot be sent: refused, or impossible to build, again and again.

After `OPENS_AFTER` failures in a row, or `SLOW_OPENS_AFTER` messages that took too long to build
(core/slowness.py), the circuit is open. The entry's slots then end as failed,
with the reason, without being rendered, claimed or published. Once in a while one slot is sent as a
probe; the pause between two probes grows. A message that is taken closes the circuit, and so does
an edit, a pause or a resume of the entry (scripts/write.lua).
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace

from habeat.printable import ERROR_MAX_CHARS, printable

OPENS_AFTER = 5
#: A message that takes too long holds up the others, so it has fewer tries.
SLOW_OPENS_AFTER = 3
FIRST_PAUSE_MS, LONGEST_PAUSE_MS = 30_000, 600_000
#: So much of why is repeated in each record of the ledger.
REASON_MAX_CHARS = 200


@dataclass(frozen=True, slots=True)
class Circuit:
    """Open since then, after so many failures, and when the next slot is sent as a probe.

    Instants are Unix milliseconds by Redis' clock. `why` is printable, and bounded.
    """

    since_ms: int
    count: int
    why: str
    probe_ms: int
    pause_ms: int

    @classmethod
    def opened(cls, count: int, why: str, now_ms: int) -> Circuit:
        """One that opens now."""
        text = printable(why, ERROR_MAX_CHARS)
        return cls(now_ms, count, text, now_ms + FIRST_PAUSE_MS, FIRST_PAUSE_MS)

    def probed(self, now_ms: int) -> Circuit:
        """The same once a probe is about to be sent; it is not repeated before the pause ends."""
        pause_ms = min(2 * self.pause_ms, LONGEST_PAUSE_MS)
        return replace(self, probe_ms=now_ms + pause_ms, pause_ms=pause_ms)

    def failed(self, why: str) -> Circuit:
        """The same after one more failure."""
        return replace(self, count=self.count + 1, why=printable(why, ERROR_MAX_CHARS))

    def is_probed(self, now_ms: int) -> bool:
        """Whether the next slot is to be sent; also if the clock was set back since."""
        return now_ms >= self.probe_ms or now_ms < self.probe_ms - LONGEST_PAUSE_MS

    @property
    def reason(self) -> str:
        """What the ledger says of a slot that ends here."""
        return printable(f"circuit open: {self.why}", REASON_MAX_CHARS)

    def to_json(self) -> str:
        """As stored in :circuits."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, stored: str) -> Circuit | None:
        """As read from :circuits; None if it cannot be read."""
        try:
            data = json.loads(stored)
            since_ms, count, probe_ms, pause_ms = (
                int(data[name]) for name in ("since_ms", "count", "probe_ms", "pause_ms")
            )
            why = printable(str(data["why"]), ERROR_MAX_CHARS)
        except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
            return None
        bounded = max(FIRST_PAUSE_MS, min(pause_ms, LONGEST_PAUSE_MS))
        return cls(since_ms, count, why, probe_ms, bounded)
