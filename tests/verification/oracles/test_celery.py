"""crontab beside Celery's, in UTC, where Celery has no change of clocks to lose a slot in."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from random import Random

import pytest
from celery import Celery
from celery.schedules import crontab as celery_crontab

from habeat.errors import ValidationError
from habeat.schedules import crontab
from tests.unit.schedules.oracles import utc_minutes
from tests.verification.oracles.world import END, FULL, START, expression, ms, slots_ms

APP = Celery("oracle", set_as_current=False)
APP.conf.update(timezone="UTC", enable_utc=True)

NAMES = ("minute", "hour", "day_of_month", "month_of_year", "day_of_week")
LIMIT = 25_000
RULES = range(120 if FULL else 12)


def fields(n: int) -> dict[str, str]:
    chance = Random(f"celery {n}")
    while True:
        given = dict(zip(NAMES, expression(chance).split(), strict=True))
        try:
            run = crontab(**given).count_between(ms(START), ms(END), limit=LIMIT)  # type: ignore[arg-type]
        except ValidationError:
            continue  # a day that no month has: Celery looks for it for ever
        if FULL or (run is not None and run.count < LIMIT):
            return given


@pytest.mark.parametrize("n", RULES)
def test_every_minute_of_2024_to_2030(n: int) -> None:
    """The minutes that are in the sets to which Celery expands the fields."""
    given = fields(n)
    expected = [ms(slot) for slot in utc_minutes(celery_crontab(**given), START, END)]
    schedule = crontab(**given, tz="UTC")  # type: ignore[arg-type]
    assert slots_ms(schedule.next_after_ms, START, END) == expected


@pytest.mark.parametrize("n", RULES)
def test_as_celery_steps_from_run_to_run(n: int) -> None:
    """What Celery's own arithmetic says is next, from a random instant on."""
    given, chance = fields(n), Random(f"start {n}")
    theirs = celery_crontab(**given, app=APP)
    slot = START + timedelta(minutes=chance.randrange(7 * 365 * 1440))
    schedule = crontab(**given, tz="UTC")  # type: ignore[arg-type]
    for _ in range(20_000 if FULL else 200):
        following = next_of(theirs, slot)
        assert schedule.next_after(slot) == following
        slot = following


def next_of(rule: celery_crontab, last_run: datetime) -> datetime:
    # Celery tells the difference between a run and the next one.
    began, until, _ = rule.remaining_delta(last_run)
    found = began + until
    assert isinstance(found, datetime)
    return found.astimezone(UTC)
