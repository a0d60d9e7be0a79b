"""Every slot in the ledger once, with a cause where it did not fire; lateness; the print."""

from __future__ import annotations

import pytest

from tests.verification.history.events import Kind, Lost, Write, merged
from tests.verification.history.explanations import EXPLANATIONS
from tests.verification.history.lateness import Lateness
from tests.verification.history.tale import START_MS, Tale, begun


def ledger(tale: Tale, words: str, **other: object) -> str:
    (problem,) = tale.problems(**other)
    assert problem.startswith("ledger: ")
    assert words in problem, problem
    return problem


# -- coverage ---------------------------------------------------------------------------------


def test_a_slot_that_nothing_accounts_for() -> None:
    tale = begun().until(3_000).renew().fire(3_000)
    text = ledger(tale, "nothing accounts for it (1 in all)")
    assert f"e@{START_MS + 2_000}" in text
    tale = begun().until(3_000).renew().fault(Kind.FREEZE, "a").skip(2_000, 2_000)
    assert tale.fire(3_000).problems() == []


def test_a_run_has_as_many_slots_as_it_says() -> None:
    for count, clean in ((4, True), (3, False), (5, False)):
        tale = begun().fault(Kind.NOBODY, ms=6_000).until(7_000).lead("b")
        tale.skip(2_000, 5_000, count=count).fire(6_000)
        assert (tale.problems() == []) is clean
        assert clean or "and there are 4" in tale.problems()[0]


def test_a_slot_that_is_accounted_for_twice() -> None:
    tale = (
        begun()
        .until(2_000)
        .renew()
        .fire(2_000)
        .fault(Kind.FREEZE)
        .record("e", START_MS + 2_000, "missed")
    )
    assert any("accounted for twice" in problem for problem in tale.end().problems())


def test_two_outcomes_for_one_claim() -> None:
    tale = begun().until(2_000).renew().claim(2_000).send(2_000).settle(2_000)
    tale.write("HDEL", "inflight", f"e@{START_MS + 2_000}").record("e", START_MS + 2_000, "sent")
    assert any("and as sent before" in problem for problem in tale.problems())


def test_a_slot_off_the_schedule() -> None:
    tale = begun().until(2_500).renew().fire(2_500)
    assert any("no slot of the schedule" in problem for problem in tale.problems())


def edited(tale: Tale, every_ms: int, *, recorded: bool) -> Tale:
    """At 3.7 s: two slots of the old schedule are due and unclaimed, the new one begins."""
    tale.until(3_700).lead("b")
    tale.write("HSET", "entries", "e", tale.definition("e", every_ms).decode())
    if recorded:
        fields = {"count": 2, "until": START_MS + 3_000, "epoch": 0, "reason": "edited"}
        tale.record("e", START_MS + 2_000, "skipped", **fields)
    tale.state("e", START_MS + 3_700).end()
    return tale.until(4_000).fire(4_000)


def test_an_edit_accounts_for_the_slots_that_it_takes() -> None:
    assert edited(begun(), 500, recorded=True).problems() == []
    assert f"e@{START_MS + 2_000}" in edited(begun(), 500, recorded=False).problems()[0]


def removed(*, recorded: bool, again: bool) -> Tale:
    tale = begun().until(6_100).lead("b")
    if recorded:
        tale = tale.write(
            *("XADD", "ledger", "*", "entry", "e", "slot", START_MS + 2_000, "outcome", "skipped"),
            *("reason", "removed", "count", 5, "until", START_MS + 6_000, "epoch", 0),
        )
    tale = tale.write("HDEL", "entries", "e").write("HDEL", "state", "e").end()
    return tale.add().until(7_000).fire(7_000) if again else tale


def test_a_removal_accounts_for_the_slots_that_it_takes() -> None:
    for again in (False, True):
        assert removed(recorded=True, again=again).problems() == []
        assert "nothing accounts for it" in removed(recorded=False, again=again).problems()[0]


def test_an_entry_that_has_run_as_often_as_it_may_has_no_slots() -> None:
    for fired, clean in ((1, True), (0, False)):
        tale = begun(max_runs=1).state("e", START_MS + 1_000, count=fired)
        tale.until(5_000).state("e", START_MS + 5_000).end()
        assert (tale.problems() == []) is clean


def test_a_claim_comes_to_an_end() -> None:
    tale = begun().until(2_000).renew().claim(2_000)
    ledger(tale, "still in flight at the end")
    assert tale.problems(complete=False) == []
    assert tale.problems(tail_us=1_000_000) == []


def test_what_is_recorded_as_sent_has_come_before() -> None:
    tale = begun().until(2_000).renew().claim(2_000).wait(1).settle(2_000)
    ledger(tale, "no message ever came")
    tale.fault(Kind.BROKER_LOST)
    assert tale.problems() == []
    tale = begun().until(2_000).renew().claim(2_000).settle(2_000).wait(1).send(2_000)
    ledger(tale, "only later did a message come")
    assert tale.problems(exact_arrivals=False) == []


# -- causes -----------------------------------------------------------------------------------


def missed(kind: Kind | None, *, late: bool = False, outcome: str = "missed") -> Tale:
    tale = begun().until(19_900)
    if kind and not late:
        tale.fault(kind, ms=1)
    tale.until(30_000).lead("b")
    tale.leave_out(2_000, 20_000)
    tale.skip(21_000, 29_000, outcome).fire(30_000)
    if late and kind:
        tale.wait(1).fault(kind, ms=1)
    return tale


@pytest.mark.parametrize("kind", list(Kind))
def test_a_miss_has_a_cause(kind: Kind) -> None:
    assert (missed(kind).problems() == []) is EXPLANATIONS[kind].miss
    ledger(missed(kind, late=True), "recorded as missed, and no fault explains it")


def test_a_miss_without_any_fault() -> None:
    ledger(missed(None), "recorded as missed, and no fault explains it")
    assert missed(None).problems(misses=False) == []


def test_suppressed_needs_a_loss_or_a_clock() -> None:
    def suppressed(kind: Kind) -> Tale:
        tale = begun().until(19_000).lead("b").leave_out(2_000, 18_000).fire(19_000)
        tale.until(20_000).fire(20_000).until(21_000).renew().fault(kind)
        if kind is Kind.REDIS_RESTORED:
            tale.lose(*_left(tale, 19_000))
        fields = {"reason": "fired before", "count": 1, "until": START_MS + 20_000}
        tale.record("e", START_MS + 20_000, "suppressed", **fields)
        return tale.state("e", START_MS + 20_000).end().fire(21_000)

    assert suppressed(Kind.REDIS_RESTORED).problems() == []
    assert any("no fault explains it" in each for each in suppressed(Kind.REDIS_DOWN).problems())


def _left(tale: Tale, cursor: int) -> tuple[tuple[str, ...], ...]:
    """What a loss leaves: the lease, the entry, its cursor."""
    return (
        ("HSET", "entries", "e", tale.definition("e", 1_000).decode()),
        ("HSET", "state", "e", f"{START_MS + cursor}|{START_MS + cursor + 1_000}|||0"),
        ("SET", "lease", tale.token, "PX", "2000"),
    )


def test_failed_and_ambiguous_need_a_cause() -> None:
    for outcome in ("failed", "ambiguous"):
        tale = begun().fault(Kind.FREEZE, ms=8_000).until(9_000).lead("b").skip(2_000, 8_000)
        tale.until(30_000).lead("c").leave_out(9_000, 29_000)
        tale.claim(30_000).wait(1)
        ledger(tale.bury(30_000, outcome=outcome), f"recorded as {outcome}")


def test_a_misfire_lies_beyond_its_grace() -> None:
    for grace_ms, clean in ((1_000, True), (9_000, False)):
        tale = begun(misfire_grace_ms=grace_ms).until(5_000).fault(Kind.FREEZE, ms=1).lead("b")
        tale.skip(2_000, 3_000).fire(4_000)
        assert (tale.problems() == []) is clean
        assert clean or "its grace is 9000 ms" in tale.problems()[0]
    tale = begun().until(5_000).fault(Kind.FREEZE, ms=1).lead("b").skip(2_000, 3_000).fire(4_000)
    assert tale.problems() == []
    assert "its grace is 9000 ms" in tale.problems(grace_ms=9_000)[0]


# -- gaps -------------------------------------------------------------------------------------


def test_a_gap_excuses_what_may_have_been_written_in_it_and_no_more() -> None:
    tale = begun().until(2_000).renew().gap(1_500, None).send(2_000)
    assert tale.problems() == []
    tale = begun().until(2_000).renew().gap(1_500, None).send(4_000)
    assert tale.problems()[0].startswith("I8: ")


def test_after_a_gap_the_checker_continues_from_what_was_read_at_its_end() -> None:
    def known(cursor: int) -> Tale:
        tale = begun().until(2_000).renew()
        entry = ("HSET", "entries", "e", tale.definition("e", 1_000).decode())
        state = ("HSET", "state", "e", f"{START_MS + cursor}|0|||0")
        tale.gap(1_500, entry, state, ("SET", "lease", tale.token, "PX", "2000"))
        return tale.until(4_000).fire(4_000)

    assert known(3_000).problems() == []
    assert "nothing accounts for it" in known(2_000).problems()[0]


# -- lateness ---------------------------------------------------------------------------------


def test_lateness_is_counted_under_the_faults_that_were_there() -> None:
    tale = begun().until(2_000).renew().claim(2_000).wait(5).send(2_000).settle(2_000)
    tale.until(9_000).fault(Kind.REDIS_DOWN, ms=100).fault(Kind.KILL, "a").wait(700).lead("b")
    tale.skip(3_000, 8_000).claim(9_000).send(9_000).settle(9_000)
    found = tale.judged().lateness
    assert found.table() == {
        None: {"count": 2, "p50": 1, "p99": 5, "max": 5},
        Kind.REDIS_DOWN: {"count": 1, "p50": 700, "p99": 700, "max": 700},
        Kind.KILL: {"count": 1, "p50": 700, "p99": 700, "max": 700},
    }


def test_lateness_goes_by_the_servers_clock_and_the_effective_time() -> None:
    tale = Tale()
    tale.step_us = 3_600_000_000
    tale.lead().add().until(3_601_000).renew().lead("b")
    tale.claim(3_601_000).wait(4).send(3_601_000)
    assert tale.judged(complete=False).lateness.table()[None]["max"] == 4


def test_lateness_adds_up() -> None:
    total = Lateness()
    for late_ms in (3, 1_234_567):
        one = Lateness()
        one.add(late_ms, [None, Kind.KILL])
        total += one
    assert total.count(None) == total.count(Kind.KILL) == 2
    assert total.quantile_ms(None, 0.5) == 3
    assert total.quantile_ms(None, 0.99) == 1_230_000
    assert total.quantile_ms(Kind.TERM, 0.5) == 0
    assert "no fault" in str(total)


# -- what a person reads ----------------------------------------------------------------------


def test_a_problem_shows_what_touched_the_slot_in_time_order() -> None:
    tale = begun().add("other").until(2_000).renew().claim(2_000).claim(2_000, "other")
    tale.wait(1).send(2_000).send(2_000, "other").settle(2_000, "other")
    tale.wait(1).fault(Kind.TERM, "a", ms=3).wait(1).mark(2_000, 1)
    tale.wait(1).send(2_000, attempt=2, sender="a").settle(2_000)
    (problem,) = tale.judged().problems
    head, *lines = problem.splitlines()
    assert head.startswith(
        f"I11: e@{START_MS + 2_000}: sent again (attempt 2 by a, after attempt 1"
    )
    assert "(at +2.004000)" in head
    assert "other" not in problem
    wanted = ("SET fired:e:", "HSET inflight", "attempt 1", "FAULT TERM a", "attempt 2 from a")
    at = [lines.index(next(line for line in lines if word in line)) for word in wanted]
    assert at == sorted(at)
    moments = [float(line.split()[0]) for line in lines]
    assert moments == sorted(moments)


def test_many_problems_are_cut_short() -> None:
    tale = begun()
    for second in range(100):
        tale.message(str(START_MS + 10_000 + second))
    problems = tale.judged().problems
    assert len(problems) == 21
    assert problems[-1] == "and 80 more problems"


def test_merged_recordings_are_one_history_by_time() -> None:
    tale = begun()
    writes = [event for event in tale.events if isinstance(event, Write)]
    others = [event for event in tale.events if not isinstance(event, Write)]
    lost = Lost(tale.at_us - 1, "x")
    found = merged(writes, others, [lost])
    assert len(found) == len(tale.events) + 1
    assert found.index(lost) < len(found) - 1
