"""Sunrise, sunset and other solar events at a place. Needs ephem: the extra ``habeat[solar]``.

ephem iterates to find an event, so the same sunrise differs by a few hundredths of a second when
the search starts from different instants. A slot must not depend on the replica that computes it
or on the starting point. So the search always starts at fixed instants, the mean solar midnights of
the place, and the result is rounded to whole seconds.

ephem's search assumes that the sun rises and sets once a day. Within half a degree of the poles it
doesn't: the year's own movement is as large as the day's, and ephem misses the only sunrise of a
year. There, and only there, crossings of the horizon are searched for directly.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from math import degrees
from typing import Any, ClassVar, NamedTuple

from habeat.errors import ValidationError
from habeat.schedules import checks, search_budget
from habeat.schedules.registry import register
from habeat.schedules.schedule import FIRST_MS, LAST_MS, Schedule

_DAY_MS = 86_400_000
_HOUR_MS = 3_600_000

# ephem counts days from noon of 1899-12-31.
_UNIX_EPOCH_IN_EPHEM = 25567.5

# Near the poles an event may be absent for most of a year. If it is absent for longer than this, it
# never occurs.
_SEARCH_DAYS = 400

#: A day near the poles takes ephem 0.25 ms; with this cost a search of all days fits the budget.
_STEPS_A_DAY = 20

#: From this latitude on, the horizon's crossings are searched for directly.
_POLAR_LATITUDE = 89.5
#: In a day, the sun climbs or sinks by less than 0.41 degrees beside its daily circle.
_DAILY_DRIFT = 0.5
_PROBE_MS = _HOUR_MS // 2

#: How many days' events are cached: near the poles every call searches the same days.
_DAYS_KEPT = 4_096


class _Event(NamedTuple):
    """ephem's method, the sun's altitude, and whether it means the sun's centre or upper limb."""

    method: str
    horizon: str
    use_center: bool
    words: str


_EVENTS = {
    "dawn_astronomical": _Event("next_rising", "-18", True, "astronomical dawn"),
    "dawn_nautical": _Event("next_rising", "-12", True, "nautical dawn"),
    "dawn_civil": _Event("next_rising", "-6", True, "civil dawn"),
    "sunrise": _Event("next_rising", "-0:34", False, "sunrise"),
    "solar_noon": _Event("next_transit", "0", False, "solar noon"),
    "sunset": _Event("next_setting", "-0:34", False, "sunset"),
    "dusk_civil": _Event("next_setting", "-6", True, "civil dusk"),
    "dusk_nautical": _Event("next_setting", "-12", True, "nautical dusk"),
    "dusk_astronomical": _Event("next_setting", "-18", True, "astronomical dusk"),
}

#: The names of the events, with words for people.
EVENTS = {name: event.words for name, event in _EVENTS.items()}


@register
@dataclass(frozen=True, repr=False)
class Solar(Schedule):
    """A solar event at a latitude and longitude in degrees, north and east positive.

    Without ephem a Solar can be created, stored and shown, but computing a slot raises
    ValidationError.
    """

    kind: ClassVar[str] = "solar"

    event: str
    lat: float
    lon: float

    def __post_init__(self) -> None:
        checks.one_of("event", self.event, tuple(_EVENTS))
        object.__setattr__(self, "lat", checks.real("lat", self.lat, -90, 90))
        object.__setattr__(self, "lon", checks.real("lon", self.lon, -180, 180))

    def next_after_ms(self, after_ms: int) -> int | None:
        search_budget.begin()
        after_ms = max(after_ms, FIRST_MS)
        midnight_ms = round(-self.lon * 240) * 1000  # in whole seconds: a degree is 240 s
        day = (after_ms - midnight_ms) // _DAY_MS
        for start_ms in range(midnight_ms + day * _DAY_MS, LAST_MS - _DAY_MS, _DAY_MS):
            if start_ms > after_ms + _SEARCH_DAYS * _DAY_MS:
                break
            search_budget.examined(_STEPS_A_DAY)
            for slot_ms in _slots_of_day(self.event, self.lat, self.lon, start_ms):
                if slot_ms > after_ms:
                    return slot_ms
        return None

    def describe(self) -> str:
        north = f"{abs(self.lat):g}°{'N' if self.lat >= 0 else 'S'}"
        east = f"{abs(self.lon):g}°{'E' if self.lon >= 0 else 'W'}"
        return f"at {_EVENTS[self.event].words}, {north} {east}"


@lru_cache(_DAYS_KEPT)
def _slots_of_day(event: str, lat: float, lon: float, start_ms: int) -> tuple[int, ...]:
    """The events in a day of mean solar time: two if they come earlier each day."""
    ephem = _ephem()
    spec, sun, observer = _EVENTS[event], ephem.Sun(), ephem.Observer()
    observer.lat, observer.lon = str(lat), str(lon)
    observer.elevation, observer.pressure, observer.horizon = 0, 0, spec.horizon
    search = getattr(observer, spec.method)
    options = {"use_center": True} if spec.use_center else {}
    if abs(lat) >= _POLAR_LATITUDE and spec.method != "next_transit":
        return _polar_slots(_altitude_above(spec, observer, sun), spec, lat, start_ms)
    from_ms, end_ms, slots = float(start_ms), start_ms + _DAY_MS, []
    while from_ms < end_ms:
        try:
            found_ms = _from_ephem(search(sun, start=_to_ephem(from_ms), **options))
        except ephem.CircumpolarError:
            # No event before the next true midnight, which may be soon.
            midnight = observer.next_antitransit(sun, start=_to_ephem(from_ms))
            from_ms = max(from_ms, _from_ephem(midnight)) + 1000
            continue
        if found_ms < end_ms:
            slots.append(round(found_ms / 1000) * 1000)
        from_ms = max(from_ms, found_ms) + _HOUR_MS
    return tuple(slots)


def _altitude_above(spec: _Event, observer: Any, sun: Any) -> Callable[[int], float]:
    """The sun's altitude above the event's horizon, in degrees, at an instant."""

    def above(at_ms: int) -> float:
        observer.date = _to_ephem(at_ms)
        sun.compute(observer)
        altitude = sun.alt if spec.use_center else sun.alt + sun.radius
        return degrees(float(altitude) - float(observer.horizon))

    return above


def _polar_slots(
    above: Callable[[int], float], spec: _Event, lat: float, start_ms: int
) -> tuple[int, ...]:
    """The instants of a day at which the sun crosses the horizon, upwards or downwards."""
    if abs(above(start_ms)) > 2 * (90 - abs(lat)) + _DAILY_DRIFT:
        return ()  # it stays on one side all day
    rising, slots, before = spec.method == "next_rising", [], above(start_ms) >= 0
    for at_ms in range(start_ms + _PROBE_MS, start_ms + _DAY_MS + 1, _PROBE_MS):
        after = above(at_ms) >= 0
        if before != after and after == rising:
            slots.append(_crossing(above, at_ms - _PROBE_MS, at_ms, rising))
        before = after
    return tuple(slots)


def _crossing(above: Callable[[int], float], low_ms: int, high_ms: int, rising: bool) -> int:
    """The whole second by which the sun has crossed the horizon, found by bisection."""
    while high_ms - low_ms > 1000:
        middle_ms = (low_ms + high_ms) // 2000 * 1000
        if (above(middle_ms) >= 0) == rising:
            high_ms = middle_ms
        else:
            low_ms = middle_ms
    return high_ms


def _from_ephem(date: float) -> float:
    return (float(date) - _UNIX_EPOCH_IN_EPHEM) * _DAY_MS


def _to_ephem(instant_ms: float) -> float:
    return instant_ms / _DAY_MS + _UNIX_EPOCH_IN_EPHEM


def _ephem() -> Any:
    try:
        return importlib.import_module("ephem")
    except ImportError:
        raise ValidationError(
            "kind",
            "solar",
            "the package ephem: pip install 'habeat[solar]'",
            problem="cannot compute the slots of a solar schedule",
        ) from None
