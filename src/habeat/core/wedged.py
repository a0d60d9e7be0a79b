"""When a standby may take the lease from a leader that ticks and sends nothing.

A leader that hangs cannot extend its lease, so the lease ends on its own. One whose loop runs
can: it extends the lease, and no other replica would ever lead, though it sends nothing. So a
standby that sees this for `WEDGED_AFTER_MS` may take the lease, under these rules:

- Several entries have been due for seconds, and no slot at all got an outcome (`core/health.py`).
  One entry with a bad definition never costs a leader its lead.
- The leader ticked between any two looks: otherwise it hangs, and its lease ends.
- All looks were answered, a few seconds apart: while Redis is away, nothing is proved.
- The standby has reached the broker itself lately. If no replica reaches it, a change of leader
  would not help.
- All replicas together do it at most once a minute. The script checks that, and that the leader
  still makes no progress (steal.lua).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from habeat.core.health import HealthFacts, stalled_because

WEDGED_AFTER_MS = 6_000
#: Fewer overdue entries prove nothing about the leader.
OVERDUE_AT_LEAST = 2
#: Two looks that are further apart than this do not count as consecutive.
LOOKS_APART_MS = 6_000


@dataclass(frozen=True, slots=True)
class Suspicion:
    """Since when a standby has seen the holder of the lease tick without any progress.

    Instants are of Redis' clock. `since_ms` is None while there is no suspicion.
    """

    holder: str = ""
    since_ms: int | None = None
    seen_ms: int = 0
    ticked_ms: int = 0

    def after(self, holder: str, facts: HealthFacts) -> Suspicion:
        """The suspicion after one more look."""
        seen = Suspicion(holder, facts.now_ms, facts.now_ms, facts.last_tick_ms or 0)
        if not holder or facts.overdue_count < OVERDUE_AT_LEAST or not stalled_because(facts):
            return replace(seen, since_ms=None)
        goes_on = (
            holder == self.holder
            and seen.ticked_ms > self.ticked_ms
            and facts.now_ms - self.seen_ms <= LOOKS_APART_MS
        )
        return replace(seen, since_ms=self.since_ms) if goes_on and self.since_ms else seen

    def is_wedged(self, *, reaches_broker: bool) -> bool:
        """Whether this standby may take the lease."""
        if self.since_ms is None or not reaches_broker:
            return False
        return self.seen_ms - self.since_ms >= WEDGED_AFTER_MS
