"""A slot that did not fire has a true record, and none waits while nothing disturbs."""

from __future__ import annotations

import json
from typing import Any

import pytest

from habeat.core.entry import Misfire
from tests.verification.history.events import Kind
from tests.verification.history.tale import START_MS, Tale, begun


def _kept(tale: Tale, cursor: int) -> tuple[tuple[str, ...], ...]:
    """What a loss leaves: the lease, the entry, its cursor."""
    return (
        ("HSET", "entries", "e", tale.definition("e", 1_000).decode()),
        ("HSET", "state", "e", f"{START_MS + cursor}|{START_MS + cursor + 1_000}|||0"),
        ("SET", "lease", tale.token, "PX", "2000"),
    )


def _away(ms: int, **entry: Any) -> Tale:
    """No replica was there until then; a leader has just come."""
    return begun(**entry).fault(Kind.NOBODY, ms=ms - 1_000).until(ms).lead("b")


def _says(tale: Tale, words: str) -> None:
    problems = tale.problems()
    assert any(words in problem for problem in problems), problems


# -- history lost -----------------------------------------------------------------------------


def lost(*, loss: bool, until: int = 3_000) -> Tale:
    tale = begun().until(3_100).renew().fault(Kind.REDIS_RESTORED, ms=1)
    if loss:
        tale.lose(*_kept(tale, 1_000))
    return tale.skip(2_000, until, reason="history lost")


def test_history_lost_needs_a_loss() -> None:
    assert lost(loss=True).until(4_000).fire(4_000).problems() == []
    _says(lost(loss=False), "and nothing had been lost")


def test_no_slot_after_the_loss_was_lost_with_it() -> None:
    tale = begun().until(3_100).renew().fault(Kind.REDIS_RESTORED, ms=1)
    tale.lose(*_kept(tale, 1_000)).until(60_000).lead("b")
    _says(tale.skip(2_000, 59_000, reason="history lost"), "ms later than the loss")


def test_a_slot_that_was_due_before_the_clock_was_set_back_may_have_been_lost() -> None:
    tale = begun().until(3_100).renew().fault(Kind.REDIS_CLOCK, ms=1)
    tale.step_us = -2_000_000
    tale.renew().fault(Kind.REDIS_RESTORED, ms=1).lose(*_kept(tale, 1_000)).wait(2_500)
    tale.lead("b")
    assert not any("later than the loss" in each for each in _lost_until(tale, 3_000))
    _says(tale.until(60_000).skip(4_000, 59_000, reason="history lost"), "ms later than the loss")


def _lost_until(tale: Tale, last: int) -> list[str]:
    return tale.skip(2_000, last, reason="history lost").problems()


# -- policies ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("how", "entry", "last", "says"),
    [
        ("latest", {}, 4_000, ""),
        ("latest", {}, 5_000, "the newest of the slots"),
        ("latest", {"misfire": Misfire.SKIP}, 4_000, "its policy is skip"),
        ("skip", {"misfire": Misfire.SKIP}, 5_000, ""),
        ("skip", {}, 5_000, "its policy is latest"),
        ("limit", {"misfire": Misfire.ALL, "misfire_limit": 2}, 3_000, ""),
        ("limit", {"misfire": Misfire.ALL, "misfire_limit": 2}, 4_000, "only 1 slots"),
        ("limit", {}, 3_000, "its policy is latest"),
        ("window", {"misfire_window_ms": 2_500}, 3_000, ""),
        ("window", {"misfire_window_ms": 2_500}, 4_000, "in its window"),
        ("window", {}, 3_000, "it has no window"),
        ("mood", {}, 3_000, "no policy"),
    ],
)
def test_a_misfire_is_what_the_policy_asks_for(
    how: str, entry: dict[str, Any], last: int, says: str
) -> None:
    tale = _away(6_100, misfire_grace_ms=1_000, **entry)
    tale.skip(2_000, last, reason=f"misfire: {how}")
    for slot in range(last + 1_000, 7_000, 1_000):
        tale.fire(slot)
    if says:
        _says(tale, says)
    else:
        assert tale.problems() == []


def test_a_misfire_lies_beyond_its_grace_to_the_millisecond() -> None:
    for late_ms, clean in ((1_001, True), (1_000, True), (999, False)):
        tale = _away(2_000 + late_ms, misfire_grace_ms=1_000, misfire=Misfire.SKIP)
        tale.skip(2_000, 2_000, reason="misfire: skip")
        for slot in range(3_000, 2_000 + late_ms + 1, 1_000):
            tale.fire(slot)
        assert (tale.problems() == []) is clean, late_ms


def test_expired_is_a_deadline_that_is_over() -> None:
    for at, entry, clean in (
        (2_600, {"deadline_ms": 500}, True),
        (2_400, {"deadline_ms": 500}, False),
        (2_600, {}, False),
        (2_600, {"options": {"expires": 0.5}}, True),
        (2_600, {"options": {"expires": 5}}, False),
    ):
        tale = _away(at, **entry)  # type: ignore[arg-type]
        tale.skip(2_000, 2_000, "skipped", reason="expired")
        assert (tale.problems() == []) is clean, (at, entry)


def test_a_message_that_came_after_its_expiry_is_skipped_and_nothing_else() -> None:
    for after_ms, told, problem in (
        (100, {}, ""),
        (600, {}, "it came 100 ms after its expiry"),
        (600, {"outcome": "late"}, "recorded as late, and it came 100 ms after its expiry"),
        (600, {"outcome": "skipped", "reason": "expired"}, ""),
        (400, {"outcome": "skipped", "reason": "expired"}, "recorded as expired, 100 ms before"),
    ):
        tale = begun(options={"expires": 0.5}).until(2_000).claim(2_000)
        tale.wait(after_ms).send(2_000).settle(2_000, **told)  # type: ignore[arg-type]
        problems = tale.problems()
        assert bool(problems) == bool(problem), (after_ms, told, problems)
        assert problem in "".join(problems)


def test_a_leaders_clock_may_be_behind_redis_by_the_way_of_a_reply() -> None:
    for after_ms, clean in ((540, True), (580, False)):
        tale = begun(options={"expires": 0.5}).until(2_000).claim(2_000)
        tale.wait(after_ms).send(2_000).settle(2_000)
        assert (tale.problems(behind_us=50_000) == []) is clean, after_ms


def test_a_request_that_expires_unclaimed_leaves_the_slots_own_record_alone() -> None:
    for entry, problem in (({"deadline_ms": 500}, ""), ({}, "and it never expires")):
        tale = begun(**entry).until(2_000).fire(2_000).renew()
        tale.record("e", START_MS + 1_000, "skipped", reason="expired", request="q1").end()
        problems = tale.problems()
        assert bool(problems) == bool(problem), (entry, problems)
        assert problem in "".join(problems)


def test_what_never_expires_is_not_settled_as_expired() -> None:
    tale = begun().until(2_000).claim(2_000).wait(600)
    (problem,) = tale.settle(2_000, outcome="skipped", reason="expired").problems()
    assert "it never expires" in problem


@pytest.mark.parametrize(
    ("outcome", "reason"),
    [("skipped", "declined: AlreadyQueued"), ("failed", "not sent: TypeError")],
)
@pytest.mark.parametrize("sent", [False, True])
def test_what_a_tasks_own_code_did_not_send_never_came(
    outcome: str, reason: str, sent: bool
) -> None:
    tale = begun().until(2_000).claim(2_000, once=True).wait(5)
    tale = tale.send(2_000) if sent else tale
    problems = tale.settle(2_000, outcome=outcome, reason=reason).problems()
    assert bool(problems) is sent, problems
    assert not sent or "with nothing sent, and a message came" in "".join(problems)


# -- edits ------------------------------------------------------------------------------------


def _written(tale: Tale, every_ms: int, reason: str, **entry: Any) -> Tale:
    raw = tale.definition("e", every_ms, **entry)
    tale.write("HSET", "entries", "e", raw.decode())
    text = {"reason": reason, "count": 1, "until": START_MS + 2_000, "epoch": 0}
    return tale.record("e", START_MS + 2_000, "skipped", **text).state("e", START_MS + 2_100).end()


def test_an_edit_that_takes_slots_has_other_slots() -> None:
    for every_ms, clean in ((500, True), (1_000, False)):
        tale = _written(begun().until(2_100), every_ms, "edited", description="x")
        assert (tale.problems(complete=False) == []) is clean


def test_disabled_means_off() -> None:
    for enabled, clean in ((False, True), (True, False)):
        tale = _written(begun().until(2_100), 1_000, "disabled", enabled=enabled, tags=("x",))
        assert (tale.problems(complete=False) == []) is clean


def _paused(until: int | None, resumed: int, last: int, *, epoch: int | None = 0) -> Tale:
    """Paused at 1.1 s."""
    ends = None if until is None else START_MS + until
    tale = begun().until(1_100).write("HSET", "paused", "e", json.dumps({"until_ms": ends})).end()
    tale.until(resumed).lead("b").write("HDEL", "paused", "e")
    text = {} if epoch is None else {"epoch": epoch}
    tale.skip(2_000, last, "skipped", reason="paused", **text)
    for slot in range(last + 1_000, resumed + 1, 1_000):
        tale.fire(slot)
    return tale


def test_a_pause_takes_its_own_slots_and_no_more() -> None:
    assert _paused(None, 5_100, 5_000).problems() == []
    assert _paused(3_500, 3_600, 3_000, epoch=None).problems() == []
    _says(_paused(3_500, 5_100, 5_000, epoch=None), "its pause had been over for 1500 ms")
    tale = begun().until(2_100).lead("b").skip(2_000, 2_000, "skipped", reason="paused", epoch=0)
    _says(tale, "and it was not paused")


def test_a_pause_is_lifted_when_it_is_over() -> None:
    tale = begun().until(1_100)
    tale.write("HSET", "paused", "e", json.dumps({"until_ms": START_MS + 3_000})).end()
    _says(tale.until(30_000).lead("b"), "its pause was not lifted")


def test_what_is_removed_is_gone() -> None:
    tale = begun().until(2_100).lead("b")
    tale.skip(2_000, 2_000, "skipped", reason="removed", epoch=0)
    _says(tale, "and it is still there")


def test_an_unknown_reason() -> None:
    tale = _away(2_100).skip(2_000, 2_000, "skipped", reason="no time")
    _says(tale, "no reason that a slot is lost for")


def test_suppressed_needs_an_earlier_claim() -> None:
    tale = begun().fault(Kind.REDIS_CLOCK).until(2_100).lead("b")
    text = {"reason": "fired before", "count": 1, "until": START_MS + 2_000}
    tale.record("e", START_MS + 2_000, "suppressed", **text)
    _says(tale.state("e", START_MS + 2_000).end(), "nobody had claimed it before")


# -- waiting ----------------------------------------------------------------------------------


def late(ms: int, *, fault_ms: int | None = None, atomic: bool = False) -> Tale:
    tale = begun(atomic=atomic)
    if fault_ms is not None:
        tale.fault(Kind.FREEZE, "a", ms=fault_ms)
    return tale.until(2_000 + ms).lead("b").fire(2_000)


@pytest.mark.parametrize("atomic", [True, False])
def test_nothing_waits_while_nothing_disturbs(atomic: bool) -> None:
    allowed = {"prompt_us": 500_000, "complete": False}
    assert late(499, atomic=atomic).problems(**allowed) == []
    _says_all = late(600, atomic=atomic).problems(**allowed)
    assert any("and for 60" in problem for problem in _says_all), _says_all
    assert late(600, fault_ms=100, atomic=atomic).problems(**allowed) == []


def test_a_fault_is_felt_for_its_span_and_no_longer() -> None:
    allowed = {"prompt_us": 500_000, "timeout_us": 300_000, "complete": False}
    assert late(6_000, fault_ms=1_000).problems(**allowed) == []  # 4.67 + 1 + 0.6 s behind it
    assert late(30_000, fault_ms=1_000).problems(**allowed) != []


def test_a_slot_that_comes_to_nothing() -> None:
    tale = begun().until(9_000).renew()
    (problem,) = tale.problems()
    assert f"e@{START_MS + 2_000}: neither claimed nor recorded" in problem
    assert tale.problems(complete=False) == []


def test_what_is_not_to_fire_is_not_missed() -> None:
    for key, word in (("paused", '{"until_ms": null}'), ("quarantine", "why")):
        tale = begun().until(1_100).write("HSET", key, "e", word).end().until(9_000).renew()
        assert tale.problems() == []
    assert (
        begun(max_runs=1).state("e", START_MS + 1_000, 1).end().until(9_000).renew().problems()
        == []
    )


def test_a_backlog_keeps_to_its_pace_and_no_longer() -> None:
    def backlog(gap_ms: int) -> Tale:
        tale = _away(9_100, misfire=Misfire.ALL, misfire_pace=1.0, misfire_grace_ms=500)
        for number, slot in enumerate(range(2_000, 9_000, 1_000)):
            tale.until(9_100 + number * gap_ms).renew().fire(slot)
        return tale

    allowed = {"prompt_us": 500_000, "timeout_us": 0, "complete": False, "ttl_us": 1_000_000}
    assert backlog(1_000).problems(**allowed) == []
    assert any("nothing disturbed" in each for each in backlog(1_700).problems(**allowed))


def test_a_lease_that_was_given_back_is_taken() -> None:
    for ms, clean in ((100, True), (400, False)):
        tale = begun().fault(Kind.TERM, "a").release().wait(ms).lead("b")
        problems = tale.problems(handover_us=250_000, complete=False)
        assert (problems == []) is clean, problems


# -- circuits ---------------------------------------------------------------------------------


def refused(*, opened: bool = True, probe_ms: int = 60_000, fault: bool = True) -> Tale:
    """An entry that is refused at 20 s; its slots up to 30 s end with its circuit as reason."""
    tale = begun().until(19_000).renew().leave_out(2_000, 19_000).until(20_000)
    if fault:
        tale.fault(Kind.POISON, "e", ms=1_000)
    if opened:
        stored = json.dumps({"since_ms": 0, "probe_ms": START_MS + probe_ms})
        tale.write("HSET", "circuits", "e", stored).end()
    for slot in range(20_000, 31_000, 1_000):
        tale.until(slot).renew().skip(slot, slot, "failed", reason="circuit open: refused")
    return tale


def test_a_slot_may_end_with_an_open_circuit() -> None:
    assert not [each for each in refused().problems() if "recorded as failed" in each]


@pytest.mark.parametrize(
    ("tale", "text"),
    [
        (refused(opened=False), "and its circuit was closed"),
        (refused(probe_ms=22_000), "and a probe had been due"),
        (refused(fault=False), "and no fault explains it"),
    ],
)
def test_a_circuit_as_reason_must_be_open_and_have_a_cause(tale: Tale, text: str) -> None:
    assert any("recorded as failed" in each and text in each for each in tale.problems())


@pytest.mark.parametrize(("last", "text"), [(29_000, False), (30_000, True)])
def test_where_a_probe_is_due_the_newest_slot_is_left_for_it(last: int, text: bool) -> None:
    """A stall of ten seconds, and then one record: of all slots but the newest, or of all."""
    tale = begun().until(19_000).renew().leave_out(2_000, 19_000).fault(Kind.POISON, "e", ms=1_000)
    stored = json.dumps({"since_ms": 0, "probe_ms": START_MS + 22_000})
    tale.write("HSET", "circuits", "e", stored).end().until(30_500).renew()
    tale.skip(20_000, last, "failed", reason="circuit open: refused")
    assert any("a probe had been due" in each for each in tale.problems()) is text
