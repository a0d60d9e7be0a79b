"""Holds: which slots they cover, and what catch-up makes of them."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import pytest

from habeat.core.catchup import Step, plan, waits_until_ms
from habeat.core.controls import PAUSE, controls_of, stored_pauses
from habeat.core.entry import Entry, Misfire, Policies
from habeat.core.firing import Firing, Outcome, SkippedRun
from habeat.core.holds import PAUSED_ALL, EntryHolds, Holds, Pause, Window
from habeat.schedules import Interval, every

T = 1_800_000_000_000
MINUTE, HOUR = 60_000, 3_600_000


def entry(name: str = "a", tags: Sequence[str] = (), **more: object) -> Entry:
    return Entry(name, "task", every(60, offset=0), tags=tuple(tags), **more)  # type: ignore[arg-type]


def window(**given: object) -> Window:
    found = {"name": "w", "from_ms": T, "until_ms": T + 10 * MINUTE, **given}
    return Window(**found)  # type: ignore[arg-type]


def held(*windows: Window, pauses: Sequence[Pause] = ()) -> EntryHolds:
    return Holds(tuple(pauses), {each.name: each for each in windows}).of(entry())


def shown(steps: Sequence[Step]) -> list[str]:
    """Each step in words: what, from and to which minute after T."""
    found = []
    for step in steps:
        what = step.what
        if isinstance(what, Firing):
            found.append(f"{(what.slot_ms - T) // MINUTE} fires {what.reason}".strip())
        else:
            first, last = ((at - T) // MINUTE for at in (what.first_ms, what.last_ms))
            found.append(f"{first}-{last} {what.outcome.value} {what.reason}")
    return found


def steps_at(
    minute: float, holds: EntryHolds, *, cursor: float = -0.5, misfire: Misfire = Misfire.LATEST
) -> list[Step]:
    return plan(
        entry(),
        Policies(misfire=misfire),
        cursor_ms=T + round(cursor * MINUTE),
        now_ms=T + round(minute * MINUTE),
        holds=holds,
    )


# -- which slots are held ---------------------------------------------------------------------


def test_without_holds_there_is_nothing_to_look_at() -> None:
    assert not Holds().of(entry())
    assert not Holds(windows={"w": window(prefix="other")}).of(entry())


@pytest.mark.parametrize(
    ("minute", "is_held"), [(-1, False), (0, True), (9, True), (10, False), (11, False)]
)
def test_a_window_holds_what_falls_due_in_it(minute: int, is_held: bool) -> None:
    at_ms = T + minute * MINUTE
    assert (held(window()).held(at_ms, at_ms, at_ms) is not None) is is_held


def test_a_slot_before_a_hold_is_held_too_while_the_hold_is_on() -> None:
    holds = held(window())
    assert holds.held(T - MINUTE, T - MINUTE, T + MINUTE) is not None
    assert holds.held(T - MINUTE, T - MINUTE, T + 11 * MINUTE) is None


def test_a_scope_is_a_prefix_and_all_tags() -> None:
    scoped = window(prefix="t:", tags=("x", "y"))
    assert scoped.concerns(entry("t:a", ("y", "x", "z")))
    assert not scoped.concerns(entry("t:a", ("x",)))
    assert not scoped.concerns(entry("u:a", ("x", "y")))


def test_a_window_with_a_schedule_comes_again() -> None:
    daily = window(schedule=every(86_400, offset=0), for_ms=HOUR, until_ms=None, from_ms=0)
    midnight = T // 86_400_000 * 86_400_000
    for days in range(3):
        begins = midnight + days * 86_400_000
        assert daily.end_of(begins - 1) is None
        assert daily.end_of(begins) == begins + HOUR
        assert daily.end_of(begins + HOUR - 1) == begins + HOUR
        assert daily.end_of(begins + HOUR) is None
        assert daily.next_begin_ms(begins - 1) == begins
        assert daily.next_begin_ms(begins) == begins + 86_400_000


def test_a_window_that_comes_again_has_a_beginning_and_an_end() -> None:
    few = window(
        schedule=every(3_600, offset=0),
        for_ms=10 * MINUTE,
        from_ms=T + HOUR,
        until_ms=T + 2 * HOUR + 5 * MINUTE,
    )
    first = T - T % HOUR + HOUR
    assert few.end_of(first - HOUR) is None
    assert few.next_begin_ms(0) in (first, first + HOUR)
    last = T - T % HOUR + 2 * HOUR
    found = few.end_of(max(last, T + HOUR))
    assert found is None or found <= T + 2 * HOUR + 5 * MINUTE
    assert few.next_begin_ms(T + 3 * HOUR) is None


def test_what_skips_comes_before_what_fires_later() -> None:
    late = window(name="late", latest=True)
    found = held(late, window(until_ms=T + MINUTE)).held(T, T, T)
    assert found is not None
    assert found.reason == "maintenance: w"
    both = held(late, pauses=[Pause(T)]).held(T, T, T)
    assert both is not None
    assert both.reason == PAUSED_ALL


# -- what becomes of them ---------------------------------------------------------------------


def test_held_slots_are_skipped_as_one_run_and_the_others_fire() -> None:
    assert shown(steps_at(11, held(window()), cursor=-0.5)) == [
        "0-9 skipped maintenance: w",
        "10 fires",
        "11 fires",
    ]


def test_each_slot_of_a_pause_is_skipped_as_it_falls_due() -> None:
    holds = held(pauses=[Pause(T)])
    assert shown(steps_at(0, holds)) == [f"0-0 skipped {PAUSED_ALL}"]
    assert shown(steps_at(3, holds, cursor=0)) == [f"1-3 skipped {PAUSED_ALL}"]


def test_what_was_due_before_a_pause_does_not_fire_in_it() -> None:
    holds = held(pauses=[Pause(T + 30_000)])
    assert shown(steps_at(0.6, holds)) == [f"0-0 skipped {PAUSED_ALL}"]


def test_a_pause_stays_on_if_the_clock_is_set_back() -> None:
    holds = held(pauses=[Pause(T)])
    assert holds.held(T - HOUR, T - HOUR, T - HOUR) is not None
    ended = held(pauses=[Pause(T, T + HOUR, over=True)])
    assert ended.held(T - HOUR, T - HOUR, T - HOUR) is None


def test_a_pause_that_is_over_holds_what_fell_due_in_it_however_late_it_is_found() -> None:
    holds = held(pauses=[Pause(T, T + 5 * MINUTE)])
    assert shown(steps_at(5.5, holds)) == [f"0-4 skipped {PAUSED_ALL}", "5 fires"]


@pytest.mark.parametrize("minute", [0, 4, 9])
def test_with_latest_the_newest_slot_waits_and_older_ones_are_skipped(minute: int) -> None:
    holds = held(window(latest=True))
    steps = steps_at(minute, holds)
    older = [f"0-{minute - 1} skipped maintenance: w"] if minute else []
    assert shown(steps) == older
    newest = T + minute * MINUTE
    again = min(T + 10 * MINUTE, newest + MINUTE)
    assert waits_until_ms(entry(), newest, T + minute * MINUTE, holds) == again
    assert [step.not_before_ms for step in steps] == ([again] if minute else [])


def test_with_latest_the_newest_slot_fires_at_the_end() -> None:
    holds = held(window(latest=True))
    assert shown(steps_at(10, holds, cursor=8)) == ["9 fires misfire: latest", "10 fires"]


def test_with_latest_all_but_the_newest_are_skipped_if_found_after_the_end() -> None:
    holds = held(window(latest=True))
    assert shown(steps_at(10, holds))[:2] == [
        "0-8 skipped maintenance: w",
        "9 fires misfire: latest",
    ]


def test_a_held_misfire_is_not_the_newest_one() -> None:
    """The newest misfire that may fire is before the window, whatever is skipped in it."""
    holds = held(window(until_ms=T + 5 * MINUTE))
    assert shown(steps_at(5.9, holds, cursor=-10.5)) == [
        "-10--2 missed misfire: latest",
        "-1 fires misfire: latest",
    ]


def test_what_is_missed_ends_where_a_hold_begins() -> None:
    found = shown(steps_at(20, held(window()), cursor=-5.5, misfire=Misfire.SKIP))
    assert found == [
        "-5--1 missed misfire: skip",
        "0-9 skipped maintenance: w",
        "10-18 missed misfire: skip",
        "19 fires",
        "20 fires",
    ]


def all_at(minute: float, holds: EntryHolds, limit: int) -> list[str]:
    """All steps of an entry with the policy `all` that was last planned 20 minutes before T."""
    found: list[str] = []
    policies = Policies(misfire=Misfire.ALL, misfire_limit=limit, misfire_pace=1_000)
    cursor_ms = T - 20 * MINUTE - 1
    while steps := plan(
        entry(),
        policies,
        cursor_ms=cursor_ms,
        now_ms=T + round(minute * MINUTE),
        holds=holds,
    ):
        found += shown(steps)
        cursor_ms = steps[-1].cursor_ms
    return found


def test_held_slots_take_none_of_the_places_of_the_limit() -> None:
    fired = [f"{minute} fires misfire: all" for minute in (-3, -2, -1, 10, 11)]
    assert all_at(12.5, held(window()), limit=5) == [
        "-20--4 missed misfire: limit",
        *fired[:3],
        "0-9 skipped maintenance: w",
        *fired[3:],
        "12 fires",
    ]


def test_beyond_the_limit_each_slot_of_a_hold_is_skipped_all_the_same() -> None:
    assert all_at(15.5, held(window()), limit=2) == [
        "-20--1 missed misfire: limit",
        "0-9 skipped maintenance: w",
        "10-12 missed misfire: limit",
        "13 fires misfire: all",
        "14 fires misfire: all",
        "15 fires",
    ]


def test_the_limit_holds_with_more_holds_than_are_passed_over() -> None:
    often = window(schedule=every(120, offset=0), for_ms=MINUTE, from_ms=0, until_ms=None)
    found = all_at(201.5, held(often), limit=40)
    assert 0 < sum("fires misfire" in each for each in found) <= 40


def test_what_is_skipped_after_a_firing_is_planned_once_that_is_claimed() -> None:
    """A leader writes all skips of a plan first; they would find the cursor elsewhere."""
    holds = held(pauses=[Pause(T + MINUTE, T + 3 * MINUTE, over=True)])
    assert shown(steps_at(5, holds, misfire=Misfire.ALL)) == ["0 fires misfire: all"]
    assert shown(steps_at(5, holds, cursor=0, misfire=Misfire.ALL)) == [
        f"1-2 skipped {PAUSED_ALL}",
        "3 fires misfire: all",
        "4 fires",
        "5 fires",
    ]


# -- every slot has exactly one outcome --------------------------------------------------------


def drawn(draw: random.Random) -> EntryHolds:
    windows = {}
    for number in range(draw.randrange(4)):
        begins = T + draw.randrange(-40, 40) * 30_000
        again = draw.random() < 0.4
        windows[f"w{number}"] = Window(
            f"w{number}",
            begins,
            None if draw.random() < 0.2 and again else begins + draw.randrange(1, 40) * 30_000,
            every(600, offset=draw.randrange(600)) if again else None,
            draw.randrange(1, 8) * MINUTE,
            latest=draw.random() < 0.5,
        )
    pauses = [Pause(T + draw.randrange(-30, 30) * MINUTE) for _ in range(draw.randrange(2))]
    ended = [
        Pause(each.since_ms, each.since_ms + draw.randrange(20) * MINUTE, over=True)
        if draw.random() < 0.7
        else each
        for each in pauses
    ]
    return EntryHolds(tuple(ended), tuple(windows.values()))


@pytest.mark.parametrize("seed", range(150))
def test_every_slot_gets_one_outcome_and_none_fires_in_a_hold(seed: int) -> None:
    draw = random.Random(seed)
    holds, misfire = drawn(draw), draw.choice([*Misfire])
    who = entry(jitter_ms=draw.choice((0, 20_000)))
    policies = Policies(
        misfire=misfire,
        misfire_limit=draw.choice((0, 3, 100)),
        misfire_window_ms=draw.choice((None, 10 * MINUTE)),
    )
    cursor = T - draw.randrange(60) * MINUTE
    now, begins, outcomes = cursor, cursor, 0
    while now < T + 2 * HOUR:
        now += draw.choice((1_000, 30_000, 60_000, 600_000))
        for step in plan(who, policies, cursor_ms=cursor, now_ms=now, holds=holds):
            what = step.what
            assert step.cursor_ms > cursor
            if isinstance(what, Firing):
                assert what.slot_ms == who.next_slot_ms(cursor) == step.cursor_ms
                assert what.effective_ms <= now
                assert not any(each.is_on(now) for each in holds.pauses), "it is paused"
                assert all(each.end_of(now) is None for each in holds.windows), "it is held"
                outcomes += 1
            else:
                run = who.count_between(cursor, step.cursor_ms)
                assert run is not None
                assert (run.count, run.first_ms, run.last_ms) == (
                    what.count,
                    what.first_ms,
                    what.last_ms,
                )
                outcomes += what.count
            cursor = step.cursor_ms
    run = who.count_between(begins, cursor)
    assert outcomes == (run.count if run else 0)


# -- the stored form --------------------------------------------------------------------------


def test_pauses_are_read_back_as_they_were_stored() -> None:
    pauses = (Pause(T, T + 5, "why | {}", "me"), Pause(T + 10))
    stored = stored_pauses(pauses, T)
    assert controls_of("s", {PAUSE: stored}).holds.pauses == pauses


def test_pauses_that_are_long_over_are_forgotten_and_few_are_kept() -> None:
    many = tuple(Pause(T + n, T + n + 1) for n in range(50))
    assert len(controls_of("s", {PAUSE: stored_pauses(many, T)}).holds.pauses) == 20
    assert stored_pauses(many, T + 40 * 86_400_000) == "[]"


@pytest.mark.parametrize(
    "stored",
    [
        "",
        "x",
        "{}x",
        "5",
        "[5]",
        '[{"from": 1}]',
        "[" * 5_000,
        '[{"from": "1", "to": null, "reason": "", "by": ""}]',
        '[{"from": 1e400, "to": null, "reason": "", "by": ""}]',
        '[{"from": true, "to": null, "reason": "", "by": ""}]',
        '[{"from": 1, "to": null, "reason": "' + "x" * 600 + '", "by": ""}]',
    ],
)
def test_pauses_that_cannot_be_read_are_named_and_pause_nothing(stored: str) -> None:
    found = controls_of("s", {PAUSE: stored})
    assert found.holds.pauses == ()
    assert found.damaged == (PAUSE,)


def test_outcomes_of_holds_are_skips() -> None:
    [step] = steps_at(0, held(pauses=[Pause(T)]))
    assert isinstance(step.what, SkippedRun)
    assert step.what.outcome is Outcome.SKIPPED


# -- what is kept of a hold's answers ---------------------------------------------------------


@dataclass(frozen=True)
class Asked(Interval):
    """A schedule that notes how often it was asked."""

    times: ClassVar[list[int]] = []

    def next_after_ms(self, after_ms: int) -> int | None:
        self.times.append(after_ms)
        return super().next_after_ms(after_ms)


def test_a_tick_asks_the_schedule_of_a_hold_once_and_not_for_each_entry() -> None:
    Asked.times.clear()
    weekly = window(until_ms=None, schedule=Asked(HOUR, 0), for_ms=10 * MINUTE)
    holds = Holds((), {"w": weekly})
    for second in range(20 * 60):
        now_ms = T + second * 1_000
        for late_ms in (0, 50, 900):
            holds.of(entry(f"e{second}")).held(now_ms - late_ms, now_ms - late_ms, now_ms)
    assert len(Asked.times) <= 10, "a hold that begins, ends, and the slots that are late"


@pytest.mark.parametrize("seed", range(30))
def test_what_is_kept_of_a_hold_never_changes_an_answer(seed: int) -> None:
    rng = random.Random(seed)
    every_ms, for_ms = rng.choice([1, 7, 60]) * MINUTE, rng.choice([1, 5, 45, 90]) * MINUTE
    given = {"until_ms": T + 5 * HOUR, "schedule": Interval(every_ms, 0), "for_ms": for_ms}
    kept = window(**given)
    for _ in range(200):
        at_ms = T + rng.randrange(-HOUR, 6 * HOUR)
        for each_ms in (at_ms, at_ms + rng.randrange(-for_ms, for_ms), at_ms):
            assert kept.end_of(each_ms) == window(**given).end_of(each_ms)
    assert replace(kept, for_ms=1).end_of(T + every_ms + 2) is None, "a copy keeps no answers"
