"""Events of the sun; Celery's solar is the oracle."""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from math import radians

import ephem
import pytest
from celery.schedules import solar as celery_solar
from hypothesis import given
from hypothesis import strategies as st

from habeat.errors import HabeatError, ValidationError
from habeat.schedules import Solar, from_json, solar
from tests.unit.schedules.oracles import newest_celery
from tests.unit.schedules.strategies import untimed

EVENTS = sorted(celery_solar._all_events)
INSTANTS = st.datetimes(datetime(2000, 1, 1), datetime(2060, 1, 1), timezones=st.just(UTC))


def celerys_next(event: str, lat: float, lon: float, after: datetime) -> datetime:
    oracle = celery_solar(event, lat, lon)
    oracle.cal.date = after
    found = oracle._next_event(ephem.Date(after)).datetime()
    assert isinstance(found, datetime)
    return found.replace(tzinfo=UTC)


# Nearer to the poles an event can graze the horizon, and ephem is not sure to the second.
@newest_celery
@untimed
@given(st.sampled_from(EVENTS), st.floats(-70, 70), st.floats(-180, 180), INSTANTS)
def test_the_next_event_equals_celerys(event: str, lat: float, lon: float, after: datetime) -> None:
    found = solar(event, lat, lon).next_after(after)
    assert found is not None
    expected = celerys_next(event, lat, lon, after)
    assert abs(found - expected) <= timedelta(seconds=1)


@untimed
@given(
    st.sampled_from(EVENTS),
    st.floats(-89, 89),
    st.floats(-180, 180),
    INSTANTS,
    st.integers(1, 40 * 3600),
)
def test_a_slot_is_the_same_from_wherever_it_is_searched(
    event: str, lat: float, lon: float, after: datetime, earlier_s: int
) -> None:
    schedule = solar(event, lat, lon)
    slot = schedule.next_after(after)
    assert slot is not None
    assert slot > after
    assert slot in list(schedule.between(slot - timedelta(seconds=earlier_s), slot))
    assert schedule.next_after(slot - timedelta(milliseconds=1)) == slot


@pytest.mark.parametrize("event", EVENTS)
def test_a_year_in_berlin(event: str) -> None:
    schedule = solar(event, 52.52, 13.405)
    year = (datetime(2025, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC))
    slots = list(schedule.between(*year))
    # Between May and July the sun does not sink 18 degrees below the horizon there.
    low = 290 if event.endswith("astronomical") else 365
    assert low <= len(slots) <= 366
    gaps = [b - a for a, b in pairwise(slots)]
    assert min(gaps) > timedelta(hours=23)


def test_sunrise_in_berlin_at_midsummer() -> None:
    # 04:43 in Berlin, by the almanac.
    found = solar("sunrise", 52.52, 13.405).next_after(datetime(2025, 6, 21, tzinfo=UTC))
    assert found is not None
    assert found.replace(second=0) == datetime(2025, 6, 21, 2, 43, tzinfo=UTC)


def test_the_first_sunset_after_the_midnight_sun_is_not_passed_over() -> None:
    # It comes just before the midnight of the place.
    found = solar("sunset", 69.69, -94.2).next_after(datetime(2029, 6, 7, tzinfo=UTC))
    assert found is not None
    assert abs(found - datetime(2029, 7, 26, 5, 57, tzinfo=UTC)) < timedelta(minutes=1)


def test_an_event_that_does_not_come_within_400_days_is_exhaustion(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys.modules[Solar.__module__], "_slots_of_day", lambda *_: ())
    assert solar("sunrise", 52, 13).next_after(datetime(2026, 1, 1, tzinfo=UTC)) is None


@pytest.mark.parametrize("event", [name for name in EVENTS if name != "solar_noon"])
@pytest.mark.parametrize(
    "lat",
    [
        *(89.7, 90, -89.9),
        *(pytest.param(lat, marks=pytest.mark.slow) for lat in (89.5, 89.9, 89.99, -89.5, -90)),
    ],
)
def test_near_the_poles_every_event_comes_each_year(event: str, lat: float) -> None:
    """And at each of them the sun crosses the horizon in the right direction."""
    schedule = solar(event, lat, 13.4)
    for year in (2025, 2028):
        bounds = (datetime(year, 1, 1, tzinfo=UTC), datetime(year + 1, 1, 1, tzinfo=UTC))
        slots = list(schedule.between(*bounds))
        assert len(slots) == 1 if abs(lat) == 90 else slots
        for slot in slots:
            before, after = (height(event, lat, slot + timedelta(seconds=s)) for s in (-2, 2))
            rises = event.startswith("dawn") or event == "sunrise"
            assert before < 0 < after if rises else after < 0 < before


def height(event: str, lat: float, at: datetime) -> float:
    """The sun above the event's horizon, in radians: its centre, or its upper limb."""
    horizons = {"civil": -6, "nautical": -12, "astronomical": -18}
    observer = ephem.Observer()
    observer.lat, observer.lon, observer.pressure = str(lat), "13.4", 0
    observer.date = ephem.Date(at.replace(tzinfo=None))
    sun = ephem.Sun(observer)
    twilight = horizons.get(event.partition("_")[2])
    if twilight is None:
        return float(sun.alt) + float(sun.radius) + radians(34 / 60)
    return float(sun.alt) - radians(twilight)


def test_at_the_poles_the_sun_rises_once_a_year_around_the_equinox() -> None:
    """The upper limb, raised by refraction, appears some two days before the equinox."""
    after = datetime(2026, 1, 1, tzinfo=UTC)
    north, south = solar("sunrise", 90, 0).next_after(after), solar("sunrise", -90, 0)
    assert north is not None
    assert timedelta(0) < datetime(2026, 3, 20, 14, 46, tzinfo=UTC) - north < timedelta(days=3)
    found = south.next_after(after)
    assert found is not None
    assert timedelta(0) < datetime(2026, 9, 23, 0, 5, tzinfo=UTC) - found < timedelta(days=3)


@untimed
@given(
    st.sampled_from(EVENTS),
    st.floats(89.5, 90),
    st.sampled_from([1, -1]),
    st.floats(-180, 180),
    INSTANTS,
)
def test_a_polar_slot_is_the_same_from_wherever_it_is_searched(
    event: str, lat: float, sign: int, lon: float, after: datetime
) -> None:
    schedule = solar(event, lat * sign, lon)
    slot = schedule.next_after(after)
    assert slot is not None
    assert after < slot < after + timedelta(days=367)
    assert schedule.next_after(slot - timedelta(milliseconds=1)) == slot
    assert schedule.next_after(after + (slot - after) / 2) == slot


def test_the_polar_night_is_waited_for() -> None:
    found = solar("sunrise", 78.22, 15.65).next_after(datetime(2025, 11, 15, tzinfo=UTC))
    assert found is not None
    assert found.year == 2026
    assert found.month == 2


def test_before_the_midnight_sun_two_sunrises_may_come_within_a_day_and_none_is_lost() -> None:
    schedule = solar("sunrise", 69.65, 18.96)
    spring = (datetime(2025, 5, 1, tzinfo=UTC), datetime(2025, 5, 25, tzinfo=UTC))
    slots = list(schedule.between(*spring))
    assert len(slots) >= 16
    assert all(b - a < timedelta(hours=24) for a, b in pairwise(slots))


def test_without_ephem_it_can_be_kept_but_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ephem", None)
    schedule = from_json({"kind": "solar", "event": "sunset", "lat": 1, "lon": 2})
    assert schedule == Solar("sunset", 1.0, 2.0)
    assert schedule.describe() == "at sunset, 1°N 2°E"
    with pytest.raises(HabeatError, match=r"habeat\[solar\]"):
        schedule.next_after_ms(0)


@pytest.mark.parametrize(
    ("event", "lat", "lon", "field"),
    [
        ("moonrise", 0, 0, "event"),
        ("sunset", 91, 0, "lat"),
        ("sunset", "1", 0, "lat"),
        ("sunset", float("nan"), 0, "lat"),
        ("sunset", True, 0, "lat"),
        ("sunset", 0, -181, "lon"),
        ("sunset", 0, None, "lon"),
    ],
)
def test_what_cannot_be_is_refused(event: str, lat: float, lon: float, field: str) -> None:
    with pytest.raises(ValidationError) as caught:
        solar(event, lat, lon)
    assert caught.value.field == field
