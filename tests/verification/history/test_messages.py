"""I8, I9 and I11, and the explanations: for each kind a duplicate that it explains and some not."""

from __future__ import annotations

import pytest

from tests.verification.history.events import Kind
from tests.verification.history.explanations import EXPLANATIONS, Hits
from tests.verification.history.tale import CLUSTER, START_MS, TTL_MS, Tale, begun

TO_A_REPLICA = [kind for kind, row in EXPLANATIONS.items() if row.outbox is Hits.EARLIER]
TO_EITHER = [kind for kind, row in EXPLANATIONS.items() if row.outbox is Hits.EITHER]
TO_ALL = [kind for kind, row in EXPLANATIONS.items() if row.outbox is Hits.ANY]
NEVER = [kind for kind, row in EXPLANATIONS.items() if row.outbox is Hits.NOBODY]


def resent(
    kind: Kind | None = None,
    victim: str = "",
    *,
    before_claim_ms: int = 0,
    after_second_ms: int | None = None,
    once: bool = False,
) -> Tale:
    """Replica a sends the slot of the second second, b sends it again and settles.

    The fault is there from the claim on for 10 ms, or ends this long before the claim, or begins so
    long after the second message.
    """
    tale = begun().until(1_900).renew()
    if kind and before_claim_ms:
        tale.until(1_990 - before_claim_ms).fault(kind, victim, ms=10)
    tale.until(2_000).claim(2_000, once=once)
    if kind and not before_claim_ms and after_second_ms is None:
        tale.fault(kind, victim, ms=10)
    tale.wait(1).send(2_000).release().wait(5).lead("b", epoch=START_MS + 9_000)
    tale.restamp(2_000).mark(2_000, 1).wait(5).send(2_000, attempt=2)
    if kind and after_second_ms is not None:
        tale.wait(after_second_ms).fault(kind, victim, ms=10)
    return tale.settle(2_000)


def unexplained(tale: Tale) -> bool:
    problems = tale.problems()
    assert all(problem.startswith(f"I11: e@{START_MS + 2_000}: sent again") for problem in problems)
    return bool(problems)


# -- I11, outbox ------------------------------------------------------------------------------


def test_the_table_has_every_kind_and_says_why() -> None:
    assert set(EXPLANATIONS) == set(Kind)
    assert all(row.why.endswith(".") for row in EXPLANATIONS.values())
    assert len({row.why for row in EXPLANATIONS.values()}) == len(Kind)


def test_a_duplicate_needs_an_explanation() -> None:
    assert unexplained(resent())


@pytest.mark.parametrize("kind", TO_A_REPLICA)
def test_a_fault_of_the_earlier_sender_explains(kind: Kind) -> None:
    assert not unexplained(resent(kind, "a"))
    assert unexplained(resent(kind, "b"))
    assert unexplained(resent(kind, "c"))


@pytest.mark.parametrize("kind", TO_EITHER)
def test_a_fault_of_either_sender_explains(kind: Kind) -> None:
    assert not unexplained(resent(kind, "a"))
    assert not unexplained(resent(kind, "b"))
    assert unexplained(resent(kind, "c"))


@pytest.mark.parametrize("kind", TO_ALL)
def test_a_fault_of_redis_or_the_broker_explains(kind: Kind) -> None:
    assert not unexplained(resent(kind))


def killed_with(under_way: int, *, settled_since: bool = False) -> Tale:
    """Redis is restored and forgets its scripts; a is killed with so many messages under way."""
    names = [f"p{number}" for number in range(under_way)]
    tale = begun()
    for name in (*names, "before"):
        tale.add(name)
    tale.until(1_500).fault(Kind.REDIS_RESTORED)
    tale.until(2_000)
    if settled_since:
        tale.fire(2_000, "before").wait(1)
    for name in names:
        tale.claim(2_000, name).wait(1).send(2_000, name)
    tale.fault(Kind.KILL, "a").release().wait(5).lead("b", epoch=START_MS + 9_000)
    for name in names:
        tale.restamp(2_000, name).mark(2_000, 1, name)
        tale.wait(1).send(2_000, name, attempt=2).settle(2_000, name)
    return tale


def repeats_too_many(tale: Tale) -> bool:
    return any("one kill repeats" in problem for problem in tale.problems(window=2))


def test_a_kill_repeats_two_windows_if_redis_has_just_forgotten_its_scripts() -> None:
    assert not repeats_too_many(killed_with(4))
    assert repeats_too_many(killed_with(5))


def test_a_kill_repeats_one_window_once_something_was_settled_again() -> None:
    assert not repeats_too_many(killed_with(2, settled_since=True))
    assert repeats_too_many(killed_with(3, settled_since=True))


@pytest.mark.parametrize("kind", TO_A_REPLICA + TO_EITHER + TO_ALL)
def test_a_fault_outside_the_slots_window_explains_nothing(kind: Kind) -> None:
    victim = "" if kind in TO_ALL else "a"
    assert unexplained(resent(kind, victim, before_claim_ms=1))
    assert unexplained(resent(kind, victim, after_second_ms=1))


@pytest.mark.parametrize("kind", NEVER)
def test_kinds_that_explain_no_duplicate(kind: Kind) -> None:
    assert unexplained(resent(kind))
    assert unexplained(resent(kind, "a"))


def test_a_fault_explains_until_one_ttl_after_the_settling() -> None:
    for late_ms, explained in ((TTL_MS - 100, True), (TTL_MS + 100, False)):
        tale = begun().until(2_000).renew().claim(2_000).wait(1).send(2_000, sender="a")
        tale.release().wait(5).lead("z", epoch=START_MS + 9_000).restamp(2_000).mark(2_000, 1)
        tale.settle(2_000).wait(late_ms).fault(Kind.FREEZE, "z", ms=1)
        tale.wait(10).send(2_000, attempt=2, sender="z")
        assert unexplained(tale) is not explained


def test_a_stale_message_of_a_frozen_leader() -> None:
    tale = begun().until(2_000).renew().claim(2_000).fault(Kind.FREEZE, "a", ms=5_000)
    tale.wait(2_100).lead("b", epoch=START_MS + 9_000)
    tale.restamp(2_000).mark(2_000, 1).send(2_000, attempt=2).settle(2_000, outcome="late")
    tale.wait(3_000).send(2_000)
    assert tale.problems() == []


def test_an_attempt_is_counted_by_its_sender_before_it_is_sent() -> None:
    for marks, wrong in ((True, False), (False, True)):
        tale = begun().until(2_000).renew().claim(2_000).fault(Kind.KILL, "a", ms=10)
        tale.wait(1).send(2_000).release().wait(5).lead("b", epoch=START_MS + 9_000).restamp(2_000)
        if marks:
            tale.mark(2_000, 1)
        tale.send(2_000, attempt=2, sender="b").settle(2_000)
        assert [p[:2] for p in tale.problems()] == (["I9"] if wrong else [])


def test_no_attempt_is_counted_above_the_cap() -> None:
    tale = begun().until(2_000).renew().claim(2_000)
    for attempts in range(1, 12):
        tale.mark(2_000, attempts)
    tale.send(2_000, attempt=12).settle(2_000)
    assert any("above the cap" in problem for problem in tale.problems())


def test_duplicates_are_counted_by_what_explains_them() -> None:
    assert resent(Kind.KILL, "a").judged().explained == {Kind.KILL: 1}
    assert resent().judged().explained == {}


def test_every_pair_of_copies_needs_its_own_explanation() -> None:
    tale = resent(Kind.KILL, "a")
    settled = tale.events[-5:]
    del tale.events[-5:]
    tale.mark(2_000, 2).wait(1).send(2_000, attempt=3)
    tale.events += settled
    assert unexplained(tale)
    assert "attempt 3 by b, after attempt 2 by b" in tale.problems()[0]


# -- I11, atomic, and losses ------------------------------------------------------------------


def twice_atomic(*, lose: bool, cursor_ms: int = 0) -> Tale:
    tale = begun(atomic=True).wait(10)
    for kind in (Kind.KILL, Kind.FREEZE, Kind.REDIS_DOWN, Kind.CONFIRM_LOST):
        tale.fault(kind, ms=10)
    if lose:
        entry = ("HSET", "entries", "e", tale.definition("e", 1_000).decode())
        state = ("HSET", "state", "e", f"{START_MS + cursor_ms}|{START_MS + 1_000}|||0")
        tale.lose(entry, state, ("SET", "lease", tale.token, "PX", "1500"))
    return tale.wait(5)


def test_atomic_without_a_loss_no_fault_explains_anything() -> None:
    tale = twice_atomic(lose=False).send(1_000, attempt=2)
    (problem,) = tale.problems()
    assert problem.startswith(f"I11: e@{START_MS + 1_000}: sent again")


def test_a_loss_explains_the_slot_whose_claim_it_took() -> None:
    assert twice_atomic(lose=True).fire(1_000).problems() == []


def test_a_loss_does_not_explain_a_slot_that_it_has_not_touched() -> None:
    tale = twice_atomic(lose=True, cursor_ms=1_000).send(1_000, attempt=2)
    assert any(problem.startswith("I11") for problem in tale.problems())


def test_an_empty_redis_explains_no_second_message() -> None:
    tale = begun(atomic=True).wait(10).lose().send(1_000, attempt=2)
    assert any(problem.startswith("I11") for problem in tale.problems())


def test_a_restored_intent_is_sent_again() -> None:
    tale = begun().until(2_000).renew().claim(2_000)
    intent = tale.events[-3].words  # type: ignore[union-attr]
    tale.wait(1).send(2_000).settle(2_000)
    entry = ("HSET", "entries", "e", tale.definition("e", 1_000).decode())
    state = ("HSET", "state", "e", f"{START_MS + 2_000}|{START_MS + 3_000}|||0")
    flying = ("HSET", "inflight", *(word.decode() for word in intent[2:]))
    assert intent[0] == b"HSET"
    tale.wait(100).lose(entry, state, flying).lead("b", epoch=START_MS + 9_000)
    tale.restamp(2_000).mark(2_000, 1).send(2_000, attempt=2).settle(2_000)
    assert tale.problems() == []


# -- at most once -----------------------------------------------------------------------------


def test_at_most_once_is_never_sent_twice_whatever_happens() -> None:
    (problem,) = resent(Kind.KILL, "a", once=True).problems()
    assert "may be sent at most once" in problem
    (problem,) = resent(Kind.KILL, "a").problems(at_most_once=frozenset({"e"}))
    assert "may be sent at most once" in problem


# -- I8, I9 -----------------------------------------------------------------------------------


def test_i8_a_message_has_a_claim_before_it() -> None:
    tale = begun().message(str(START_MS + 7_000))
    assert tale.problems()[0].startswith(f"I8: e@{START_MS + 7_000}: a message came without")
    tale = begun().until(2_000).send(2_000).wait(1).claim(2_000).settle(2_000)
    assert "before its claim" in tale.problems()[0]
    assert tale.problems(slack_us=1_000) == []


def test_i9_the_cap_of_attempts() -> None:
    for copies, clean in ((3, True), (4, False)):
        tale = begun().until(2_000).renew().claim(2_000).fault(Kind.BROKER_HANGS, ms=500)
        tale.send(2_000)
        for attempt in range(2, copies + 1):
            tale.wait(1).mark(2_000, attempt - 1).send(2_000, attempt=attempt)
        tale.settle(2_000)
        assert (tale.problems(attempts_cap=3) == []) is clean


def test_i9_a_resend_is_counted_first() -> None:
    tale = begun().until(2_000).renew().claim(2_000).fault(Kind.BROKER_HANGS, ms=500)
    tale.send(2_000).wait(1).send(2_000).settle(2_000)
    (problem,) = tale.problems()
    assert "two messages of attempt 1" in problem


def test_i9_one_slot_has_one_task_id_and_no_other_has_it() -> None:
    tale = begun().until(2_000).renew().claim(2_000).fault(Kind.BROKER_HANGS, ms=500).send(2_000)
    tale.wait(1).mark(2_000, 1)
    tale.message(str(START_MS + 2_000), task_id="other", attempt=2).settle(2_000)
    (problem,) = tale.problems()
    assert "different task ids" in problem
    tale = Tale().lead()
    tale.add()
    for second in (1_000, 2_000):
        tale.until(second).renew().claim(second)
        tale.message(str(START_MS + second), task_id="same").settle(second)
    (problem,) = tale.problems()
    assert "is also that of" in problem


# -- requests ---------------------------------------------------------------------------------


def triggered(tale: Tale) -> Tale:
    """The slot of the first second again, requested by hand."""
    identity = f"{START_MS + 1_000}#my request"
    tale.fired(identity, "inflight").intent(identity).count("claimed").end()
    tale.wait(1).message(identity)
    tale.write("HDEL", "inflight", f"e@{identity}").fired(identity, "settled")
    return tale.record("e", START_MS + 1_000, "sent", reason="trigger").count("settled").end()


def test_a_request_moves_no_cursor_and_is_a_firing_of_its_own() -> None:
    assert triggered(begun()).problems() == []


def test_a_message_of_a_request_is_recognised_by_its_id_where_the_header_has_the_slot_only() -> (
    None
):
    tale = triggered(begun())
    for at, event in enumerate(tale.events):
        identity = getattr(event, "identity", "")
        if "#" in identity:
            slot = identity.partition("#")[0]
            del tale.events[at]
            tale.message(slot, task_id=event.task_id)  # type: ignore[union-attr]
    assert any("I11" in problem for problem in tale.problems())
    assert tale.problems(cluster=CLUSTER, exact_arrivals=False) == []
