"""What else a task's id depends on: the request that the firing is for."""

from __future__ import annotations

from habeat.core.firing import Firing


def test_a_request_for_a_slot_has_an_id_of_its_own() -> None:
    """A worker that forgets repeated ids must not forget a trigger for a slot that fired."""
    firings = [
        Firing("a", 5_000, 5_000),
        Firing("a", 5_000, 5_000, request="r1", asked="trigger"),
        Firing("a", 5_000, 5_000, request="r2", asked="trigger"),
    ]
    assert len({firing.task_id("c") for firing in firings}) == 3
    assert len({firing.identity for firing in firings}) == 3


def test_a_resend_of_a_request_has_the_same_id() -> None:
    first = Firing("a", 5_000, 5_000, request="r1", asked="backfill")
    again = Firing("a", 5_000, 9_000, request="r1", asked="backfill")
    assert first.task_id("c") == again.task_id("c")
