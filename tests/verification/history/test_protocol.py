"""I1 to I7 and I10: each with a history that breaks it and one, much like it, that does not."""

from __future__ import annotations

import pytest

from tests.verification.history.events import Kind
from tests.verification.history.tale import START_MS, Tale, begun


@pytest.mark.parametrize("atomic", [True, False])
def test_a_plain_history_is_clean(atomic: bool) -> None:
    tale = begun(atomic=atomic)
    for second in range(2_000, 9_000, 1_000):
        tale.until(second).renew().wait(3).fire(second)
    assert tale.problems() == []


def only(tale: Tale, start: str) -> str:
    """The one problem, which begins so."""
    (problem,) = tale.problems()
    assert problem.startswith(start), problem
    return problem


# -- I1, I2 -----------------------------------------------------------------------------------


def test_i1_a_live_lease_is_not_taken_without_a_steal() -> None:
    tale = begun()
    tale.lead("b", epoch=START_MS + 5_000)
    only(tale, "I1: ")


def test_i1_a_steal_an_expiry_and_a_release_are_no_breach() -> None:
    tale = begun()
    tale.lead("b", epoch=START_MS + 5_000, steal=True)
    tale.until(5_000).lead("c", epoch=START_MS + 6_000)
    tale.release().lead("d", epoch=START_MS + 7_000)
    assert tale.problems() == []


def test_i1_a_lease_that_has_run_out_does_not_come_back_with_the_clock() -> None:
    tale = begun().until(5_000)
    tale.step_us = -5_000_000
    tale.lead("b", epoch=START_MS + 6_000)
    assert tale.problems() == []


def test_i5_what_is_left_of_a_lease_counts_from_the_clock_at_the_loss() -> None:
    tale = begun(atomic=True).until(2_000)
    kept = (("HSET", "entries", "e", tale.definition("e", 1_000).decode()),)
    cursor = ("HSET", "state", "e", f"{START_MS}|{START_MS + 1_000}|||0")
    tale.step_us = 200_000
    tale.lose(*kept, cursor, ("SET", "lease", tale.token, "PX", "70"))
    late = Tale()
    late.__dict__.update(tale.__dict__, events=list(tale.events))
    tale.wait(50).fire(1_000).fire(2_000)
    assert tale.problems() == []
    late.wait(75).fire(1_000)
    assert any(problem.startswith("I5: ") for problem in late.problems())


def test_i1_the_intents_of_a_stolen_lease_wait_for_the_end_of_its_trust() -> None:
    tale = begun().until(2_000).renew().claim(2_000).wait(1).send(2_000)
    tale.fault(Kind.KILL, "a").wait(50).lead("b", epoch=START_MS + 9_000, steal=True)
    waited = Tale()
    waited.__dict__.update(tale.__dict__, events=list(tale.events))
    tale.wait(100).restamp(2_000).mark(2_000, 1).send(2_000, attempt=2).settle(2_000)
    only(tale, f"I1: e@{START_MS + 2_000}: its intent was taken from")
    waited.wait(1_000).renew().wait(1_000).restamp(2_000).mark(2_000, 1)
    waited.send(2_000, attempt=2).settle(2_000)
    assert waited.problems() == []


def test_i2_a_token_comes_once() -> None:
    tale = begun()
    token = tale.token
    tale.release().lead("a", epoch=int(token.partition(":")[0]))
    assert any("was used before" in problem for problem in tale.problems())


@pytest.mark.parametrize("set_back_ms", [0, 5_000])
def test_i2_what_was_lost_comes_again_only_if_the_clock_stands_behind_it(set_back_ms: int) -> None:
    tale = begun().until(2_000).release().lead("b").claim(2_000)
    tale.wait(1)
    tale.step_us = -set_back_ms * 1_000
    tale.lose().lead("b", epoch=int(tale.token.partition(":")[0]))
    again = [problem for problem in tale.problems() if "was used before" in problem]
    assert len(again) == (not set_back_ms)


def test_i2_the_epoch_rises() -> None:
    tale = begun()
    tale.release().lead("b", epoch=5)
    assert "is not above" in only(tale, "I2: ")
    tale = begun()
    tale.release().lead("b", epoch=START_MS + 1)
    assert tale.problems() == []


# -- I3, I4 -----------------------------------------------------------------------------------


def test_i3_a_slot_is_claimed_once_in_a_history() -> None:
    tale = begun(atomic=True)
    tale.fired(START_MS + 1_000, "settled").record("e", START_MS + 1_000, "sent")
    tale.count("claimed").count("settled").end()
    assert any(p.startswith(f"I3: e@{START_MS + 1_000}: claimed a second") for p in tale.problems())


@pytest.mark.parametrize("set_back_ms", [0, 5_000])
def test_i3_another_entry_of_the_name_may_have_a_slot_that_lies_ahead_of_it(
    set_back_ms: int,
) -> None:
    """It was added while the clock of Redis stood behind the slot."""
    tale = begun(atomic=True).wait(10)
    tale.write("HDEL", "entries", "e").write("HDEL", "state", "e").end()
    tale.step_us = -set_back_ms * 1_000
    cursor_ms = START_MS + 500
    tale.write("HSET", "entries", "e", tale.definition("e", 1_000).decode())
    tale.write("HSET", "state", "e", f"{cursor_ms}|{START_MS + 1_000}|||0").end()
    tale.step_us = 0
    tale.renew().fire(1_000)
    again = [problem for problem in tale.problems() if "claimed a second time" in problem]
    assert len(again) == (not set_back_ms)


def test_i3_another_history_may_claim_it_again() -> None:
    tale = begun(atomic=True).wait(10)
    kept = (("HSET", "entries", "e", tale.definition("e", 1_000).decode()),)
    cursor = ("HSET", "state", "e", f"{START_MS}|{START_MS + 1_000}|||0")
    tale.lose(*kept, cursor, ("SET", "lease", tale.token, "PX", "1000")).wait(10)
    tale.fire(1_000)
    assert tale.problems() == []


def test_i4_a_cursor_does_not_go_back() -> None:
    tale = begun().state("e", START_MS + 500).end()
    only(tale, "I4: e: its cursor went back by 500 ms")


def test_i4_a_new_life_may_begin_anywhere() -> None:
    tale = begun().wait(1)
    tale.write("HDEL", "entries", "e").write("HDEL", "state", "e").end()
    tale.step_us = -2_000_000
    assert tale.add().problems() == []


def test_i4_a_claim_moves_its_cursor() -> None:
    tale = begun().until(2_000)
    tale.fired(START_MS + 2_000, "inflight").intent(START_MS + 2_000).count("claimed").end()
    tale.send(2_000).settle(2_000)
    assert any("I4" in problem and "cursor stands at" in problem for problem in tale.problems())


def test_i4_a_renaming_keeps_the_cursor() -> None:
    for moved_ms, clean in ((0, True), (1_000, False)):
        tale = begun()
        tale.write("HSET", "entries", "n", tale.definition("n", 1_000).decode())
        tale.write("HDEL", "entries", "e").state("n", START_MS + 1_000 + moved_ms)
        tale.write("HDEL", "state", "e").end()
        problems = tale.problems()
        assert (problems == []) is clean
        assert clean or "renamed to n" in problems[0]


# -- I5, I6 -----------------------------------------------------------------------------------


def test_i5_a_claim_by_a_token_that_does_not_live() -> None:
    tale = begun()
    old = tale.token
    tale.lead("b", epoch=START_MS + 5_000, steal=True).until(2_000).renew().token = old
    tale.fire(2_000)
    assert "claimed by" in only(tale, "I5: ")


def test_i5_a_claim_after_the_lease_has_run_out_by_the_servers_clock() -> None:
    for wait_ms, clean in ((999, True), (1_001, False)):
        tale = begun().until(1_002).renew().until(1_002 + 1_000 + wait_ms)
        tale.fire(2_000)
        assert (tale.problems() == []) is clean


def test_i5_what_is_fenced_in_the_ledger() -> None:
    tale = begun().until(2_900).renew().until(3_000).fault(Kind.REDIS_DOWN, ms=10)
    tale.skip(2_000, 2_000, epoch=7).fire(3_000)
    assert "by lease epoch 7" in only(tale, "I5: ")
    tale = begun().until(2_900).renew().until(3_000).fault(Kind.REDIS_DOWN, ms=10)
    assert tale.skip(2_000, 2_000).fire(3_000).problems() == []


def test_i5_a_restamp_by_a_token_that_does_not_live() -> None:
    tale = begun().until(2_000).claim(2_000)
    tale.intent(START_MS + 2_000, token="9:x").end().send(2_000).settle(2_000)
    assert "taken over by 9:x" in only(tale, "I5: ")


def test_i6_a_claim_before_its_time() -> None:
    tale = begun().until(1_999).fire(2_000)
    assert "1 ms before its time" in only(tale, f"I6: e@{START_MS + 2_000}")
    assert begun().until(2_000).fire(2_000).problems() == []


def test_i6_goes_by_the_spread_and_by_what_is_given() -> None:
    tale = begun().until(2_000).fire(2_000)
    assert tale.problems(effective_ms=lambda entry, slot: slot) == []
    (problem, _) = tale.problems(effective_ms=lambda entry, slot: slot + 3)
    assert "I6" in problem
    tale = Tale().lead()
    tale.add(spread_ms=900).until(1_000).fire(1_000)
    assert "I6" in only(tale, "I6: ")


# -- I7, I10 ----------------------------------------------------------------------------------


@pytest.mark.parametrize("counter", ["claimed", "settled", "abandoned"])
def test_i7_the_counters_add_up_after_every_script(counter: str) -> None:
    only(begun().count(counter).end(), "I7: ")


def test_i7_an_intent_counts_as_claimed() -> None:
    tale = begun().until(2_000)
    tale.state("e", START_MS + 2_000).fired(START_MS + 2_000, "inflight").end()
    tale.intent(START_MS + 2_000).count("claimed").end()
    assert tale.send(2_000).settle(2_000).problems() == []
    tale = begun().until(2_000)
    tale.state("e", START_MS + 2_000).fired(START_MS + 2_000, "inflight")
    tale.intent(START_MS + 2_000).end().send(2_000).settle(2_000)
    assert tale.problems()[0].startswith("I7: ")


def test_i7_holds_again_after_an_unread_loss() -> None:
    tale = begun().until(2_000).claim(2_000).send(2_000).lose(None)
    tale.lead("b", epoch=START_MS + 9_000)
    # The intent survived; who recovers it is the first to tell.
    tale.restamp(2_000).mark(2_000, 1).settle(2_000)
    assert tale.problems() == []
    assert tale.count("settled").end().problems()[0].startswith("I7: ")


def test_i10_what_leaves_is_settled_or_dead() -> None:
    tale = begun().until(2_000).claim(2_000).wait(1).send(2_000)
    tale.write("HDEL", "inflight", f"e@{START_MS + 2_000}").count("settled").end()
    assert any(problem.startswith("I10: ") for problem in tale.problems())
    tale = begun().until(2_000).renew().claim(2_000).wait(1).fault(Kind.BROKER_DOWN)
    assert tale.bury(2_000).problems() == []
