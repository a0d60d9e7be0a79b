"""Equal schedules share a rule: a question to one must not affect the other."""

from __future__ import annotations

import pytest

from habeat.schedules import Cron, Crontab
from habeat.schedules.schedule import Schedule

YEAR_MS = 365 * 86_400_000
START_MS = 1_750_000_000_000


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Crontab(minute="30", tz="UTC"), Crontab(minute="30", tz="Europe/Berlin")),
        (Cron("30 4 * * *", tz="UTC"), Cron("30 4 * * *", tz="America/New_York")),
        (Cron("H H * * *", tz="UTC", hash_id="a"), Cron("H H * * *", tz="UTC", hash_id="b")),
    ],
)
def test_turns_do_not_disturb_each_other(one: Schedule, other: Schedule) -> None:
    alone = [one.next_after_ms(START_MS + n * YEAR_MS) for n in range(5)]
    beside = [other.next_after_ms(START_MS - n * YEAR_MS) for n in range(5)]
    for n in range(5):
        assert one.next_after_ms(START_MS + n * YEAR_MS) == alone[n]
        assert other.next_after_ms(START_MS - n * YEAR_MS) == beside[n]


def test_names_that_h_is_hashed_from_are_distinguished() -> None:
    slots = {
        Cron("H H * * *", tz="UTC", hash_id=name).next_after_ms(START_MS) for name in "abcdefgh"
    }
    assert len(slots) > 1


def test_what_is_refused_is_refused_each_time() -> None:
    for _ in range(2):
        with pytest.raises(ValueError, match="minute"):
            Crontab(minute="77")
