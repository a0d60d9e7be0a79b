"""What is said of another scheduler in sight."""

from __future__ import annotations

import pytest

from habeat.core.other_schedulers import OtherScheduler, from_facts, problems

REDBEAT = OtherScheduler("redbeat", "redbeat::schedule", 38, shared=12, alive=True)


def said(other: OtherScheduler, *, is_empty: bool = False, shadow: bool = False) -> list[str]:
    return list(problems([other], is_empty=is_empty, shadow=shadow))


def test_entries_that_were_left_behind_and_the_command_to_run_next() -> None:
    [sentence] = said(REDBEAT, is_empty=True)
    assert sentence == (
        "habeat has no entries, and RedBeat has 38 (redbeat::schedule): run `celery -A proj habeat "
        "migrate --from redbeat`, or add 'redbeat' to habeat_ignored_schedulers if the schedule is "
        "meant to be empty"
    )


def test_an_empty_shadow_would_prove_nothing() -> None:
    assert len(said(REDBEAT, is_empty=True, shadow=True)) == 1


def test_entries_that_both_send() -> None:
    [sentence] = said(REDBEAT)
    assert "the beat of RedBeat is alive (redbeat::schedule)" in sentence
    assert "12 entries are sent by both: stop it" in sentence


def test_celerys_own_beat_is_called_so() -> None:
    [sentence] = said(OtherScheduler("shelve", "celerybeat-schedule", None, shared=1, alive=True))
    assert sentence.startswith("celery's own beat is alive (celerybeat-schedule), and 1 entry")


@pytest.mark.parametrize(
    "other",
    [
        OtherScheduler("redbeat", "", 38, shared=12, alive=False),
        OtherScheduler("redbeat", "", 38, shared=0, alive=True),
    ],
)
def test_a_beat_that_is_gone_or_has_other_entries_is_no_problem(other: OtherScheduler) -> None:
    assert said(other) == []


def test_the_other_beat_is_meant_to_send_beside_a_shadow() -> None:
    assert said(REDBEAT, shadow=True) == []


def test_an_unknown_number_and_a_prefix() -> None:
    [shelve] = said(OtherScheduler("shelve", "celerybeat-schedule", None), is_empty=True)
    assert "celery's own beat is in use here (celerybeat-schedule)" in shelve
    [prefix] = said(OtherScheduler("prefix", "habeat:old", 3), is_empty=True)
    assert "adopt --from habeat:old --dry-run" in prefix
    [quoted] = said(OtherScheduler("prefix", "a;b", 3), is_empty=True)
    assert "--from 'a;b'" in quoted


def test_what_is_registered_reads_back_and_what_another_release_wrote_is_left_out() -> None:
    assert list(from_facts([REDBEAT.to_json()])) == [REDBEAT]
    for junk in (None, {}, "x", [1, {}, {"source": "x"}, {"source": None}]):
        assert list(from_facts(junk)) == []
    [odd] = from_facts([{"source": "django", "entries": "x", "where": "\x1b[1m" + "y" * 999}])
    assert odd.entries is None
    assert "\x1b" not in odd.where
    assert len(odd.where) <= 200
