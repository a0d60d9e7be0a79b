"""The circuit of an entry whose messages keep being refused, or cannot be built.

After `OPENS_AFTER` failures in a row, or `SLOW_OPENS_AFTER` messages that took too long to build
(core/slowness.py), the circuit opens. The entry's slots then end as failed, with the reason,
without being rendered, claimed or published. From time to time one slot is sent as a probe, with
growing pauses between probes. A message that the broker accepts closes the circuit, and so does an
edit, a pause or a resume of the entry (scripts/write.lua).

A message whose building does not return stops the loop of a leader for good. The first one opens
the circuit, with the longest pause, because each probe may cost another replica. Requests of that
entry are not built either while its circuit is open.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace

from habeat.printable import ERROR_MAX_CHARS, printable

OPENS_AFTER = 5
#: A slow message delays all other entries, so it gets fewer attempts.
SLOW_OPENS_AFTER = 3
FIRST_PAUSE_MS, LONGEST_PAUSE_MS = 30_000, 600_000
#: How long a message is built before the entry counts as one that hangs. Shorter than the default
#: lease: the circuit is open before another replica leads.
HANGS_AFTER_MS = 2_500
#: How the reason of such a slot begins in the ledger.
CIRCUIT_OPEN = "circuit open: "
#: The part of `why` that is repeated in each ledger record.
REASON_MAX_CHARS = 200


@dataclass(frozen=True, slots=True)
class Circuit:
    """An open circuit: since when, after how many failures, why, and when it is probed next.

    Instants are Unix milliseconds of Redis' clock. `why` is printable and bounded.
    """

    since_ms: int
    count: int
    why: str
    probe_ms: int
    pause_ms: int
    hangs: bool = False

    @classmethod
    def opened(cls, count: int, why: str, now_ms: int) -> Circuit:
        """A circuit that opens now."""
        text = printable(why, ERROR_MAX_CHARS)
        return cls(now_ms, count, text, now_ms + FIRST_PAUSE_MS, FIRST_PAUSE_MS)

    @classmethod
    def of_hang(cls, place: str, now_ms: int) -> Circuit:
        """The circuit of an entry whose message is still being built, at `place` in the code."""
        why = f"building or sending its message does not return, in {place}"
        text = printable(why, ERROR_MAX_CHARS)
        probe_ms = now_ms + LONGEST_PAUSE_MS
        return cls(now_ms, 1, text, probe_ms, LONGEST_PAUSE_MS, hangs=True)

    def probed(self, now_ms: int) -> Circuit:
        """The circuit when a probe is about to be sent: the next one follows after the pause."""
        pause_ms = min(2 * self.pause_ms, LONGEST_PAUSE_MS)
        return replace(self, probe_ms=now_ms + pause_ms, pause_ms=pause_ms)

    def failed(self, why: str) -> Circuit:
        """The circuit after one more failure."""
        return replace(self, count=self.count + 1, why=printable(why, ERROR_MAX_CHARS))

    def is_probed(self, now_ms: int) -> bool:
        """Whether to send the next slot as a probe; also true if the clock was set back."""
        return now_ms >= self.probe_ms or now_ms < self.probe_ms - LONGEST_PAUSE_MS

    @property
    def reason(self) -> str:
        """The reason in the ledger for slots that fail because the circuit is open."""
        return printable(f"{CIRCUIT_OPEN}{self.why}", REASON_MAX_CHARS)

    def to_json(self) -> str:
        """The circuit as stored in :circuits."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, stored: str) -> Circuit | None:
        """The circuit read from :circuits; None if it is unreadable."""
        try:
            data = json.loads(stored)
            since_ms, count, probe_ms, pause_ms = (
                int(data[name]) for name in ("since_ms", "count", "probe_ms", "pause_ms")
            )
            why = printable(str(data["why"]), ERROR_MAX_CHARS)
        except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
            return None
        bounded = max(FIRST_PAUSE_MS, min(pause_ms, LONGEST_PAUSE_MS))
        hangs = data.get("hangs") is True
        return cls(since_ms, count, why, probe_ms, pause_ms=bounded, hangs=hangs)
