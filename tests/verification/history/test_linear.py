"""The search for an order of calls: what it must accept, and what it must reject."""

from __future__ import annotations

from tests.verification.history.linear import UNKNOWN, Call, linearizable

ONE = (("a", 1, "x"),)


def update(began: float, ended: float, answer: str = "ok", expected: int = 1) -> Call:
    return Call(began, ended, "update", "a", answer, "y", expected, rev=expected + 1, found="y")


def test_two_that_both_won_the_same_revision_are_refused() -> None:
    assert linearizable([update(0, 5), update(1, 6, "conflict")], ONE)
    assert not linearizable([update(0, 5), update(1, 6)], ONE)
    assert not linearizable([update(0, 5, "conflict"), update(1, 6, "conflict")], ONE)


def test_an_answer_holds_for_a_moment_of_its_own_call() -> None:
    old = Call(2, 3, "get", "a", "ok", rev=1, found="x")
    assert linearizable([update(0, 4), old], ONE)
    assert not linearizable([update(0, 1), old], ONE)


def test_two_that_both_added_or_removed_are_refused() -> None:
    add = Call(0, 5, "add", "a", "ok", "x", rev=1, found="x")
    assert not linearizable([add, Call(1, 6, "add", "a", "ok", "x", rev=1, found="x")])
    assert linearizable([add, Call(1, 6, "add", "a", "exists", "x")])
    gone = Call(0, 5, "remove", "a", "ok")
    assert not linearizable([gone, Call(1, 6, "remove", "a", "ok")], ONE)
    assert linearizable([gone, Call(1, 6, "remove", "a", "missing")], ONE)


def test_a_rename_takes_the_entry_along() -> None:
    moved = Call(0, 1, "rename", "a", "ok", new_name="b", rev=2, found="x")
    seen = Call(2, 3, "get", "b", "ok", rev=2, found="x")
    gone = Call(2, 3, "get", "a", "missing")
    assert linearizable([moved, seen, gone], ONE)
    assert not linearizable([moved, Call(2, 3, "get", "a", "ok", rev=1, found="x")], ONE)


def test_a_call_without_an_answer_may_have_acted_late_or_never() -> None:
    lost = update(0, 1, UNKNOWN)
    before = Call(2, 3, "get", "a", "ok", rev=1, found="x")
    after = Call(4, 5, "get", "a", "ok", rev=2, found="y")
    assert linearizable([lost, before], ONE)
    assert linearizable([lost, before, after], ONE)
    assert not linearizable([lost, Call(2, 3, "get", "a", "ok", rev=2, found="y"),
                             Call(4, 5, "get", "a", "ok", rev=1, found="x")], ONE)  # fmt: skip
