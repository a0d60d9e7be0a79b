"""Rules: time passes, and the leader does its work."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from tests.verification.stateful.machine import DAY, HOUR, MINUTE, SECOND, Machine

STEPS_MS = (1, 500, SECOND, 7 * SECOND, MINUTE, 5 * MINUTE, 30 * MINUTE, HOUR, 6 * HOUR, DAY)


class Living(Machine):
    """With a leader all the while, with one now and then, around a change of the clocks."""

    @rule(step=st.sampled_from(STEPS_MS))
    def wait(self, step: int) -> None:
        self.move_to(self.model.now_ms + step)

    @rule(step=st.sampled_from(STEPS_MS))
    def wait_and_lead(self, step: int) -> None:
        self.move_to(self.model.now_ms + step)
        self.run_leader()

    @rule(odd_ms=st.sampled_from((-1, 0, 0, 1, 1_000, 1_001, 60_000, 60_001)))
    def wait_for_the_next(self, odd_ms: int) -> None:
        """To the very instant at which something is due, or beside it; then lead."""
        coming = [row.due_ms for row in self.model.rows.values() if row.due_ms is not None]
        if coming:
            self.move_to(max(self.model.now_ms, min(coming) + odd_ms))
        self.run_leader()

    @rule(step=st.sampled_from((5 * MINUTE, 10 * MINUTE, 30 * MINUTE)), turns=st.integers(3, 12))
    def live(self, step: int, turns: int) -> None:
        """A while with a leader that does its work."""
        for _ in range(turns):
            self.move_to(self.model.now_ms + step)
            self.run_leader()

    @rule(beside=st.sampled_from((-MINUTE, 0, MINUTE, 90 * MINUTE)))
    def wait_for_the_clocks_to_change(self, beside: int) -> None:
        self.move_to(max(self.model.now_ms, self.change_ms + beside))

    @precondition(lambda self: self.model.now_ms < self.change_ms + HOUR)
    @rule(step=st.sampled_from((10 * MINUTE, 15 * MINUTE, 30 * MINUTE)), odd_ms=st.integers(0, 9))
    def live_through_the_change(self, step: int, odd_ms: int) -> None:
        """From an hour and a half before the clocks change to three hours after it."""
        self.move_to(max(self.model.now_ms, self.change_ms - 90 * MINUTE + odd_ms))
        while self.model.now_ms < self.change_ms + 3 * HOUR:
            self.run_leader()
            self.move_to(self.model.now_ms + step)
        self.run_leader()
