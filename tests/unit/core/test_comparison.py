"""Pairing what a shadow would have sent with what another beat sent."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import pytest

from habeat.core.comparison import (
    Comparison,
    Kind,
    Message,
    Pair,
    Slot,
    Terms,
    Verdict,
    Watched,
    compare,
)

MINUTE = 60_000
KIND = Kind("proj.add", "celery", "digest")
END = 1_000 * MINUTE


def slots(entry: str, *at_ms: int, kind: Kind = KIND, period_ms: int | None = None) -> list[Slot]:
    return [Slot(entry, at, kind, period_ms) for at in at_ms]


def messages(*at_ms: int, kind: Kind = KIND, sender: str = "beat") -> list[Message]:
    return [Message(f"{sender} {at} {kind}", at, kind, sender) for at in at_ms]


def compared(
    given: Sequence[Slot],
    seen: Sequence[Message],
    *,
    watched: Sequence[tuple[int, int]] = ((0, END),),
    until_ms: int = END,
) -> Comparison:
    return compare(given, seen, Terms(Watched.of(watched), 0, until_ms))


def verdicts(found: Comparison) -> dict[str, int]:
    return dict(Counter(str(pair.verdict) for pair in found.pairs))


def only(found: Comparison, verdict: Verdict) -> Pair:
    [pair] = [pair for pair in found.pairs if pair.verdict is verdict]
    return pair


TEN = [at * 10 * MINUTE for at in range(1, 11)]


def test_slots_with_their_messages_are_the_same() -> None:
    found = compared(slots("e", *TEN), messages(*(at + 40 for at in TEN)))
    assert verdicts(found) == {"same": 10}
    assert {pair.shift_ms for pair in found.pairs} == {40}
    assert found.beats == ("beat",)


def test_a_slot_without_a_message_is_missing_and_a_message_without_a_slot_extra() -> None:
    sent = [at for at in TEN if at != TEN[3]]
    assert only(compared(slots("e", *TEN), messages(*sent)), Verdict.MISSING).at_ms == TEN[3]
    found = compared(slots("e", *sent), messages(*TEN))
    assert only(found, Verdict.EXTRA).at_ms == TEN[3]
    assert only(found, Verdict.EXTRA).entries == ("e",)


@pytest.mark.parametrize("shift_ms", [-7_000, 7_000, 4 * MINUTE])
def test_a_message_that_belongs_to_an_open_slot_is_shifted(shift_ms: int) -> None:
    sent = [at + (shift_ms if at == TEN[3] else 0) for at in TEN]
    pair = only(compared(slots("e", *TEN), messages(*sent)), Verdict.SHIFTED)
    assert (pair.at_ms, pair.shift_ms) == (TEN[3], shift_ms)


def test_an_hour_of_a_clock_change_is_a_shift() -> None:
    day = 1440 * MINUTE
    at = [day, 2 * day, 3 * day]
    sent = [day, 2 * day + 60 * MINUTE, 3 * day]
    found = compared(slots("e", *at), messages(*sent), watched=[(0, 4 * day)], until_ms=4 * day)
    assert only(found, Verdict.SHIFTED).shift_ms == 60 * MINUTE


def test_a_message_nearer_to_a_slot_that_has_its_own_is_one_too_many() -> None:
    sent = [at for at in TEN if at != TEN[3]] + [TEN[4] - 2 * MINUTE]
    assert verdicts(compared(slots("e", *TEN), messages(*sent))) == {
        "same": 9,
        "missing": 1,
        "extra": 1,
    }


def test_a_tolerance_wider_than_the_steps_does_not_move_messages_along() -> None:
    at = [second * 1_000 for second in range(100, 120)]
    found = compared(slots("e", *at), messages(*(ms for ms in at if ms != 105_000)))
    assert only(found, Verdict.MISSING).at_ms == 105_000
    assert {pair.shift_ms for pair in found.pairs} == {0}


def test_what_was_not_watched_is_unknown_and_never_missing_or_extra() -> None:
    gap = (25 * MINUTE, 45 * MINUTE)
    watched = [(0, gap[0]), (gap[1], END)]
    sent = [at for at in TEN if not gap[0] < at < gap[1]]
    assert verdicts(compared(slots("e", *TEN), messages(*sent), watched=watched)) == {
        "same": 8,
        "unknown": 2,
    }
    late = [*sent, TEN[2]]  # stored after all, and no decision was recorded for its slot
    found = compared(slots("e", *sent), messages(*late), watched=watched)
    assert verdicts(found) == {"same": 8, "unknown": 1}


def test_the_whole_tolerance_of_a_missing_slot_must_have_been_watched() -> None:
    watched = [(0, TEN[-1] + 1_000)]
    found = compared(slots("e", *TEN), messages(*TEN[:-1]), watched=watched)
    assert verdicts(found) == {"same": 9, "unknown": 1}


def test_other_queues_and_other_arguments_are_other_messages() -> None:
    for other in (Kind("proj.add", "fast", "digest"), Kind("proj.add", "celery", "other")):
        found = compared(slots("e", *TEN), messages(*TEN, kind=other))
        assert verdicts(found) == {"missing": 10, "extra": 10}
        [why] = {pair.why for pair in found.pairs if pair.verdict is Verdict.MISSING}
        assert why in (
            "its task was sent to queue fast instead of celery",
            "its task was sent with other arguments",
        )


def test_arguments_that_are_computed_take_what_no_other_entry_wants() -> None:
    computed = Kind("proj.add", "celery", "")
    given = [*slots("e", *TEN), *slots("lazy", *TEN, kind=computed)]
    other = Kind("proj.add", "celery", "of this run")
    assert verdicts(compared(given, [*messages(*TEN), *messages(*TEN, kind=other)])) == {"same": 20}


def test_the_messages_of_a_workflow_are_not_foreseen() -> None:
    given = [*slots("flow", *TEN, kind=Kind("celery.chain", "", "")), *slots("e", *TEN)]
    assert verdicts(compared(given, messages(*TEN))) == {"unknown": 10, "same": 10}


# -- entries whose messages look alike ----------------------------------------------------------


def test_two_entries_that_look_alike_are_the_same_if_each_instant_has_its_number() -> None:
    given = [*slots("a", *TEN), *slots("b", *TEN[::2])]
    assert verdicts(compared(given, messages(*TEN, *TEN[::2]))) == {"same": 15}


def test_at_a_common_instant_nothing_shows_whose_message_is_missing() -> None:
    given = [*slots("a", *TEN), *slots("b", TEN[2])]
    pair = only(compared(given, messages(*TEN)), Verdict.AMBIGUOUS)
    assert pair.entries == ("a", "b")
    assert "look alike" in pair.why


def test_at_an_instant_of_one_of_them_it_is_this_one() -> None:
    given = [*slots("a", *TEN[::2]), *slots("b", *TEN[1::2])]
    pair = only(compared(given, messages(*TEN[:3], *TEN[4:])), Verdict.MISSING)
    assert pair.entries == ("b",)


def test_intervals_that_look_alike_are_compared_by_number() -> None:
    minutes = [at * MINUTE for at in range(100, 200)]
    half = [at + 30_000 for at in minutes]
    given = [
        *slots("a", *minutes, period_ms=MINUTE),
        *slots("b", *half, period_ms=MINUTE),
    ]
    sent = [at + 20_000 for at in (*minutes, *half)]
    assert verdicts(compared(given, messages(*sent))) == {"same": 200}
    found = compared(given, messages(*sent[:-50]))
    assert verdicts(found) == {"same": 150, "ambiguous": 50}
    assert {pair.entries for pair in found.pairs if pair.verdict == "ambiguous"} == {("a", "b")}


# -- intervals ----------------------------------------------------------------------------------

EACH_MINUTE = [at * MINUTE for at in range(100, 200)]


def interval(*at_ms: int) -> list[Slot]:
    return slots("i", *at_ms, period_ms=MINUTE)


@pytest.mark.parametrize("phase_ms", [0, 25_000, -25_000, 59_000])
def test_an_interval_may_have_any_phase(phase_ms: int) -> None:
    sent = [at + phase_ms for at in EACH_MINUTE]
    found = compared(interval(*EACH_MINUTE), messages(*sent), until_ms=EACH_MINUTE[-1] - MINUTE)
    assert set(verdicts(found)) <= {"same", "unknown"}
    assert verdicts(found)["same"] >= 98


def test_a_missing_message_of_an_interval_is_found_whatever_the_phase() -> None:
    sent = [at + 25_000 for at in EACH_MINUTE]
    del sent[40]
    found = compared(interval(*EACH_MINUTE), messages(*sent), until_ms=EACH_MINUTE[-2])
    assert only(found, Verdict.MISSING).at_ms == EACH_MINUTE[40]


def test_a_message_too_many_of_an_interval_is_found() -> None:
    sent = sorted([*(at + 10_000 for at in EACH_MINUTE), EACH_MINUTE[40] + 45_000])
    found = compared(interval(*EACH_MINUTE), messages(*sent), until_ms=EACH_MINUTE[-2])
    assert verdicts(found) == {"same": 100, "extra": 1}


def test_a_jump_of_the_phase_is_one_shift() -> None:
    sent = [at + (20_000 if at >= EACH_MINUTE[50] else 0) for at in EACH_MINUTE]
    found = compared(interval(*EACH_MINUTE), messages(*sent), until_ms=EACH_MINUTE[-2])
    pair = only(found, Verdict.SHIFTED)
    assert (pair.at_ms, pair.shift_ms) == (EACH_MINUTE[50], 20_000)


def test_delays_that_add_up_are_the_same_until_they_amount_to_a_period() -> None:
    at = [second * 1_000 for second in range(1_000, 2_000)]
    sent = [1_000_000 + round(number * 1_003) for number in range(998)]
    found = compared(slots("i", *at, period_ms=1_000), messages(*sent), until_ms=1_998_000)
    assert verdicts(found) == {"same": 998, "missing": 2}
    why = {pair.why for pair in found.pairs if pair.verdict is Verdict.MISSING}
    assert why == {"the other beat's delays add up to a period"}


def test_a_gap_in_watching_an_interval_is_unknown() -> None:
    gap = (EACH_MINUTE[40] - 1_000, EACH_MINUTE[50] + 30_000)
    sent = [at + 10_000 for at in EACH_MINUTE if not gap[0] <= at + 10_000 <= gap[1]]
    found = compared(
        interval(*EACH_MINUTE),
        messages(*sent),
        watched=[(0, gap[0]), (gap[1], END)],
        until_ms=EACH_MINUTE[-2],
    )
    assert set(verdicts(found)) == {"same", "unknown"}
    assert 10 <= verdicts(found)["unknown"] <= 12


def test_an_interval_of_another_length_differs() -> None:
    sent = [100 * MINUTE + at * 30_000 for at in range(200)]
    found = compared(interval(*EACH_MINUTE), messages(*sent), until_ms=EACH_MINUTE[-2])
    assert verdicts(found).get("extra", 0) > 90


def test_an_interval_that_is_not_sent_at_all_is_missing() -> None:
    found = compared(
        [*interval(*EACH_MINUTE), *slots("e", *TEN, kind=Kind("other", "celery", ""))],
        messages(*TEN, kind=Kind("other", "celery", "x")),
    )
    assert verdicts(found) == {"missing": 100, "same": 10}


# -- whose messages -----------------------------------------------------------------------------


def test_what_web_processes_send_does_not_count() -> None:
    web = messages(*range(5 * MINUTE, 100 * MINUTE, 77_000), sender="web")
    found = compared(slots("e", *TEN), [*messages(*TEN), *web])
    assert verdicts(found) == {"same": 10}
    assert (found.beats, found.others) == (("beat",), {"web": len(web)})


def test_a_beat_with_many_entries_that_are_not_here_is_the_other_beat_all_the_same() -> None:
    unknown = messages(*range(5 * MINUTE, 100 * MINUTE, 77_000), kind=Kind("x", "celery", "y"))
    by_chance = messages(TEN[0] + 30, sender="web")
    found = compared(slots("e", *TEN), [*messages(*TEN), *unknown, *by_chance])
    assert "beat" in found.beats
    assert verdicts(found)["extra"] >= len(unknown)


def test_a_beat_that_was_restarted_is_two_processes() -> None:
    sent = [*messages(*TEN[:5], sender="old"), *messages(*TEN[5:], sender="new")]
    assert compared(slots("e", *TEN), sent).beats == ("new", "old")


def test_a_task_that_only_the_other_beat_schedules_is_extra() -> None:
    other = messages(*TEN[:2], kind=Kind("proj.other", "celery", ""))
    found = compared(slots("e", *TEN), [*messages(*TEN), *other])
    assert verdicts(found) == {"same": 10, "extra": 2}
    assert {pair.entries for pair in found.pairs if pair.verdict is Verdict.EXTRA} == {()}


def test_messages_after_the_end_are_left_for_later() -> None:
    found = compared(slots("e", *TEN[:3]), messages(*TEN[:4]), until_ms=TEN[3] - 1)
    assert verdicts(found) == {"same": 3}


def test_a_thousand_slots_of_one_group_take_no_square_of_steps() -> None:
    at = [MINUTE * each for each in range(1, 20_001)]
    found = compare(
        slots("e", *at),
        messages(*at[::2], *(ms + 10_000 for ms in at[1::4])),
        Terms(Watched.of([(0, 10**12)]), 0, 10**12),
    )
    assert verdicts(found) == {"same": 10_000, "shifted": 5_000, "missing": 5_000}


def test_a_comparison_that_takes_too_long_ends_where_its_caller_says() -> None:
    at = [MINUTE * each for each in range(1, 20_001)]
    called = []

    def check() -> None:
        called.append(1)
        if len(called) == 3:
            raise TimeoutError

    with pytest.raises(TimeoutError):
        compare(slots("e", *at), [], Terms(Watched(), 0, 10**12), check)


# -- watched ------------------------------------------------------------------------------------


def test_periods_that_overlap_are_one() -> None:
    watched = Watched.of([(50, 70), (0, 20), (10, 30), (30, 40)])
    assert watched.periods == ((0, 40), (50, 70))
    assert watched.has(0, 40)
    assert not watched.has(35, 55)
    assert not watched.has(45, 46)
    assert watched.within(35, 60).periods == ((35, 40), (50, 60))
    assert watched.total_ms == 60
