"""Catch-up: every slot between the cursor and now is accounted for, once, by the policy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from habeat.core.catchup import SLICE, Step, plan, promise
from habeat.core.data_loss import Loss
from habeat.core.entry import Delivery, Entry, Misfire, Policies
from habeat.core.firing import Firing, Outcome, SkippedRun
from habeat.schedules import Crontab, Interval, Once, Run, Schedule

MINUTE_MS = 60_000
NOW_MS = 1_750_000_000_000
GRACE_MS = 60_000


@dataclass(frozen=True, repr=False)
class Fixed(Schedule):
    """Slots given one by one; it has to enumerate, as wall-clock rules do."""

    kind: ClassVar[str] = "test-fixed"
    slots: tuple[int, ...]

    def next_after_ms(self, after_ms: int) -> int | None:
        return next((slot for slot in self.slots if slot > after_ms), None)

    def describe(self) -> str:
        return "fixed"


class Counting(Fixed):
    """Counts how many slots were asked for."""

    asked: ClassVar[int] = 0

    def next_after_ms(self, after_ms: int) -> int | None:
        type(self).asked += 1
        return (after_ms // MINUTE_MS + 1) * MINUTE_MS


def entry(schedule: Schedule) -> Entry:
    return Entry("e", "t", schedule)


def every(ms: int) -> Entry:
    return entry(Interval(ms, 0))


def steps_of(
    of: Entry, cursor_ms: int, misfire: Misfire = Misfire.LATEST, **other: int
) -> list[Step]:
    policies = Policies(misfire=misfire, misfire_limit=other.pop("keep", 1_000))
    return plan(of, policies, cursor_ms=cursor_ms, now_ms=NOW_MS, **other)


def outline(steps: Sequence[Step]) -> list[tuple[str, int, int]]:
    """(what, first slot counted from now, how many)."""
    return [
        ("fire " + step.what.misfire, step.what.slot_ms - NOW_MS, 1)
        if isinstance(step.what, Firing)
        else (step.what.reason, step.what.first_ms - NOW_MS, step.what.count)
        for step in steps
    ]


# -- by example -----------------------------------------------------------------------------


def test_nothing_is_due() -> None:
    assert steps_of(every(MINUTE_MS), NOW_MS) == []
    assert steps_of(entry(Once(NOW_MS + 1)), 0) == []


def test_each_slot_within_its_grace_fires() -> None:
    found = outline(steps_of(entry(Fixed((NOW_MS - GRACE_MS, NOW_MS - 1, NOW_MS))), 0))
    assert found == [("fire ", -GRACE_MS, 1), ("fire ", -1, 1), ("fire ", 0, 1)]


def test_the_grace_includes_its_last_millisecond() -> None:
    at = NOW_MS - GRACE_MS - 1
    assert outline(steps_of(entry(Fixed((at,))), 0)) == [("fire latest", at - NOW_MS, 1)]
    assert outline(steps_of(entry(Fixed((at,))), 0, Misfire.SKIP)) == [
        ("misfire: skip", at - NOW_MS, 1)
    ]
    assert outline(steps_of(entry(Fixed((at + 1,))), 0, Misfire.SKIP)) == [("fire ", -GRACE_MS, 1)]


def test_latest_fires_the_newest_missed_slot_and_all_within_grace() -> None:
    slots = (NOW_MS - 300_000, NOW_MS - 200_000, NOW_MS - 100_000, NOW_MS - 10)
    assert outline(steps_of(entry(Fixed(slots)), 0)) == [
        ("misfire: latest", -300_000, 2),
        ("fire latest", -100_000, 1),
        ("fire ", -10, 1),
    ]


def test_all_fires_no_more_than_the_limit() -> None:
    slots = tuple(NOW_MS - 100_000 * n for n in range(10, 0, -1))
    assert outline(steps_of(entry(Fixed(slots)), 0, Misfire.ALL, keep=2)) == [
        ("misfire: limit", -1_000_000, 8),
        ("fire all", -200_000, 1),
        ("fire all", -100_000, 1),
    ]


def test_a_limit_of_none_fires_none() -> None:
    slots = (NOW_MS - 100_000, NOW_MS)
    found = outline(steps_of(entry(Fixed(slots)), 0, Misfire.ALL, keep=0))
    assert found == [("misfire: limit", -100_000, 1), ("fire ", 0, 1)]


@pytest.mark.parametrize("misfire", list(Misfire))
def test_slots_of_a_lost_timeline_are_missed_whatever_the_policy(misfire: Misfire) -> None:
    lost_ms = NOW_MS - 30_000
    slots = (lost_ms - 1, lost_ms, lost_ms + 1)
    found = outline(steps_of(entry(Fixed(slots)), 0, misfire, loss=Loss(lost_ms, lost_ms)))
    assert found == [("history lost", -30_001, 2), ("fire ", -29_999, 1)]


def test_a_loss_noted_by_a_clock_ahead_does_not_miss_what_is_not_due() -> None:
    steps = steps_of(
        every(1_000), NOW_MS - 3_000, loss=Loss(NOW_MS + 3_600_000, NOW_MS + 3_600_000)
    )
    assert steps[-1].cursor_ms <= NOW_MS


@pytest.mark.parametrize("once", [True, False])
def test_where_the_outcome_is_unknown_the_delivery_policy_decides(once: bool) -> None:
    """The old master may have answered a leader that died with it, until the loss was found."""
    loss = Loss(NOW_MS - 5_000, NOW_MS - 2_000)
    slots = tuple(NOW_MS - ms for ms in (5_001, 5_000, 4_999, 2_000, 1_999))
    policies = Policies(delivery=Delivery.AT_MOST_ONCE if once else Delivery.AT_LEAST_ONCE)
    steps = plan(entry(Fixed(slots)), policies, cursor_ms=0, now_ms=NOW_MS, loss=loss)
    lost, *rest = outline(steps)
    assert lost == ("history lost", -5_001, 2)
    if once:
        assert rest == [("history uncertain", -4_999, 2), ("fire ", -1_999, 1)]
        assert steps[1].what.outcome is Outcome.AMBIGUOUS
    else:
        assert rest == [("fire ", -4_999, 1), ("fire ", -2_000, 1), ("fire ", -1_999, 1)]


def test_a_slot_that_was_not_due_before_the_loss_is_not_lost() -> None:
    """Its effective time shows it: it cannot have been claimed earlier."""
    of = replace(every(10_000), spread_ms=9_000)
    slot_ms = NOW_MS - NOW_MS % 10_000 - 20_000
    offset_ms = of.effective_ms(slot_ms) - slot_ms
    assert offset_ms > 1
    lost_ms = slot_ms + 1
    steps = plan(of, Policies(), cursor_ms=slot_ms - 1, now_ms=NOW_MS, loss=Loss(lost_ms, lost_ms))
    assert outline(steps)[0] == ("fire ", slot_ms - NOW_MS, 1)


def test_exhaustion_is_none() -> None:
    (step,) = steps_of(entry(Once(NOW_MS - 5)), 0)
    assert step.next_slot_ms is None


def test_a_year_of_an_interval_is_counted_not_walked() -> None:
    year_ms = 365 * 86_400_000
    found = steps_of(every(1_000), NOW_MS - year_ms)
    assert isinstance(found[0].what, SkippedRun)
    assert found[0].what.count > 31_000_000
    assert len(found) < 70


def test_a_long_run_of_a_rule_that_must_be_walked_comes_in_slices() -> None:
    """No amount of catching up may take longer than the trust in a lease lasts."""
    Counting.asked = 0
    found = steps_of(entry(Counting(())), NOW_MS - 365 * 86_400_000)
    assert Counting.asked <= 5 * SLICE
    assert found[-1].next_slot_ms is not None


def test_a_backlog_keeps_to_its_pace() -> None:
    slots = tuple(NOW_MS - 100_000 - 1_000 * n for n in range(20, 0, -1))
    found = steps_of(entry(Fixed(slots)), 0, Misfire.ALL)
    assert [step.not_before_ms - NOW_MS for step in found[:-1]] == [-NOW_MS] * 4
    assert found[-1].not_before_ms == NOW_MS + 100  # 5 of 50 a second


# -- by property ----------------------------------------------------------------------------

spans = st.lists(st.integers(1, 400_000), min_size=0, max_size=40)


@dataclass(frozen=True)
class Case:
    """An entry, its position and policies, when data was lost, and how many steps at once."""

    entry: Entry
    cursor_ms: int
    policies: Policies
    lost_ms: int
    limit: int

    def slots(self) -> list[int]:
        """Every slot after the cursor that is due now, one by one."""
        found, at = [], self.entry.next_slot_ms(self.cursor_ms)
        while at is not None and self.entry.effective_ms(at) <= NOW_MS:
            found.append(at)
            at = self.entry.next_slot_ms(at)
        return found

    def plan(self, cursor_ms: int, fired: int = 0) -> list[Step]:
        return plan(
            self.entry,
            self.policies,
            cursor_ms=cursor_ms,
            now_ms=NOW_MS,
            loss=Loss(self.lost_ms, self.lost_ms),
            fired=fired,
            limit=self.limit,
        )

    def all_steps(self) -> list[Step]:
        """Plan again from the last cursor until nothing is due, as the loop does."""
        found: list[Step] = []
        cursor_ms, fired = self.cursor_ms, 0
        while steps := self.plan(cursor_ms, fired):
            assert len(steps) <= self.limit
            found += steps
            cursor_ms = steps[-1].cursor_ms
            fired += sum(isinstance(step.what, Firing) for step in steps)
        return found

    def fired(self) -> list[int]:
        return [step.what.slot_ms for step in self.all_steps() if isinstance(step.what, Firing)]


@st.composite
def cases(draw: st.DrawFn) -> Case:
    kind = draw(st.sampled_from(["interval", "crontab", "fixed"]))
    behind = draw(st.integers(0, 400_000))
    if kind == "interval":
        period = draw(st.sampled_from([100, 999, 1_000, 7_000, MINUTE_MS, 3_600_000]))
        schedule: Schedule = Interval(period, draw(st.integers(0, period - 1)))
    elif kind == "crontab":
        schedule, behind = Crontab(tz="Europe/Berlin"), draw(st.integers(0, 10_000_000))
    else:
        slot, slots = NOW_MS, []
        for gap in draw(spans):
            slot -= gap
            slots.append(slot)
        schedule, behind = Fixed(tuple(reversed(slots))), draw(st.integers(0, 2_000_000))
    of = replace(
        entry(schedule),
        jitter_ms=draw(st.sampled_from([0, 0, 50, 30_000])),
        spread_ms=draw(st.sampled_from([0, 0, 900])),
        start_ms=draw(st.sampled_from([None, None, NOW_MS - 100_000])),
        end_ms=draw(st.sampled_from([None, None, NOW_MS - 5_000])),
    )
    policies = Policies(
        misfire=draw(st.sampled_from(Misfire)),
        misfire_grace_ms=draw(st.sampled_from([0, 1, 5_000, 60_000, 10**9])),
        misfire_limit=draw(st.sampled_from([0, 1, 3, 1_000])),
        misfire_window_ms=draw(st.sampled_from([None, None, 0, 70_000, 200_000])),
        misfire_pace=draw(st.sampled_from([0.5, 50.0, 1_000.0])),
    )
    lost = draw(st.one_of(st.just(0), st.integers(NOW_MS - 400_000, NOW_MS + 10)))
    return Case(of, NOW_MS - behind, policies, lost, draw(st.integers(1, 50)))


@given(cases())
def test_every_slot_between_cursor_and_now_is_accounted_for_exactly_once(case: Case) -> None:
    of, at_ms = case.entry, case.cursor_ms
    for step in case.all_steps():
        first_ms = of.next_slot_ms(at_ms)
        if isinstance(step.what, Firing):
            assert step.what.slot_ms == first_ms == step.cursor_ms
            assert step.what.effective_ms == of.effective_ms(step.what.slot_ms) <= NOW_MS
        else:
            run = of.count_between(at_ms, step.cursor_ms)
            assert run is not None
            assert run == Run(step.what.count, step.what.first_ms, step.what.last_ms)
            assert step.what.outcome is Outcome.MISSED
            assert first_ms == step.what.first_ms
        assert at_ms < step.cursor_ms <= NOW_MS  # I4
        assert step.next_slot_ms == of.next_slot_ms(step.cursor_ms)
        at_ms = step.cursor_ms
    following_ms = of.next_slot_ms(at_ms)
    assert following_ms is None or of.effective_ms(following_ms) > NOW_MS


@given(cases())
def test_what_fires_is_what_the_policy_says(case: Case) -> None:
    """An oracle that looks at every slot by itself."""
    policies, effective = case.policies, case.entry.effective_ms
    lost_until_ms = min(case.lost_ms, NOW_MS)
    alive = [slot for slot in case.slots() if effective(slot) > lost_until_ms]
    timely = [slot for slot in alive if effective(slot) >= NOW_MS - policies.misfire_grace_ms]
    beyond = alive[: len(alive) - len(timely)]
    if policies.misfire_window_ms is not None:
        opens_ms = NOW_MS - policies.misfire_window_ms
        beyond = [slot for slot in beyond if effective(slot) >= opens_ms]
    keep = {
        Misfire.LATEST: 1,
        Misfire.SKIP: 0,
        Misfire.ALL: policies.misfire_limit,
    }[policies.misfire]
    assert case.fired() == (beyond[-keep:] if keep else []) + timely


@given(cases())
def test_skips_come_before_firings_within_one_plan(case: Case) -> None:
    """The loop records all skips before it claims anything, and relies on this."""
    fires = [isinstance(step.what, Firing) for step in case.plan(case.cursor_ms)]
    assert fires == sorted(fires)


@given(cases(), st.integers(1, 5))
def test_an_entry_fires_no_more_than_its_max_runs(case: Case, runs: int) -> None:
    limited = replace(case, entry=replace(case.entry, max_runs=runs))
    assert limited.fired() == case.fired()[:runs]


@given(cases())
def test_effective_times_keep_the_order_of_their_slots(case: Case) -> None:
    slots = case.slots()
    for one, other in pairwise(slots):
        assert one <= case.entry.effective_ms(one) < other


def test_a_window_shorter_than_the_grace_takes_nothing_from_it() -> None:
    policies = Policies(misfire_grace_ms=60_000, misfire_window_ms=0)
    steps = plan(
        entry(Interval(MINUTE_MS, 0)),
        policies,
        cursor_ms=NOW_MS - 5 * MINUTE_MS,
        now_ms=NOW_MS,
    )
    fired = [step.what.slot_ms for step in steps if isinstance(step.what, Firing)]
    assert fired
    assert all(NOW_MS - 60_000 <= slot_ms <= NOW_MS for slot_ms in fired)


@pytest.mark.parametrize(
    ("policies", "sentence"),
    [
        (Policies(), "fires slots up to 1 minute late, and the newest of the older ones"),
        (
            Policies(misfire=Misfire.ALL, misfire_limit=7, misfire_pace=0.5),
            "fires slots up to 1 minute late, and the newest 7 of the older ones, 0.5 per second",
        ),
        (
            Policies(misfire=Misfire.SKIP, misfire_grace_ms=0, misfire_window_ms=5),
            "fires slots up to 0 seconds late, and no older ones",
        ),
        (
            Policies(misfire_window_ms=86_400_000),
            "fires slots up to 1 minute late, and the newest of the older ones, "
            "but none older than 1 day",
        ),
        (
            Policies(misfire_grace_ms=5_000, misfire_window_ms=5_000),
            "fires slots up to 5 seconds late, and no older ones",
        ),
    ],
)
def test_the_promise_in_a_sentence(policies: Policies, sentence: str) -> None:
    assert promise(policies) == sentence
