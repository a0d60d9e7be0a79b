"""One entry of RedBeat: a hash with the JSON texts `definition` and `meta`.

RedBeat marks its own objects by a `__type__`: datetime, interval, crontab, rrule and weekday. They
are read here as RedBeat reads them, without RedBeat. Where RedBeat itself would fail or drop the
entry, so does this, with the reason. What a schedule means is kept exactly, including the fixed
offset from UTC that RedBeat gives to the start of a recurrence rule.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import Any, NoReturn

from habeat.entries.celery_schedules import CRONTAB_FIELDS
from habeat.entries.schedules import schedule_of
from habeat.entries.storable import MAX_DEPTH
from habeat.errors import HabeatError
from habeat.migrate.found import SourceEntry
from habeat.printable import kind_of, repr_of
from habeat.schedules import Crontab, RRule, Schedule
from habeat.schedules.zone import zone_named

_DEFINITION = ("name", "task", "schedule", "args", "kwargs", "options", "enabled", "relative")
_META = ("last_run_at", "total_run_count")
_MOMENT = ("year", "month", "day", "hour", "minute", "second", "microsecond")
_FREQUENCIES = ("YEARLY", "MONTHLY", "WEEKLY", "DAILY", "HOURLY", "MINUTELY", "SECONDLY")
_WEEKDAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
#: The parts of a rule that are lists of numbers, by RedBeat's name and RFC 5545's.
_LISTS = {
    **{"bysetpos": "BYSETPOS", "bymonth": "BYMONTH", "bymonthday": "BYMONTHDAY"},
    **{"byyearday": "BYYEARDAY", "byweekno": "BYWEEKNO"},
    **{"byhour": "BYHOUR", "byminute": "BYMINUTE", "bysecond": "BYSECOND"},
}
_RULE = (
    *("freq", "interval", "wkst", "count", "byweekday", "byeaster", *_LISTS),
    *("dtstart", "dtstart_tz", "until", "until_tz"),
)


class Undecodable(HabeatError):
    """An entry cannot be read or translated; the text says what is wrong."""


@dataclass
class _Notes:
    found: list[str] = field(default_factory=list)


def decoded(definition: bytes, meta: bytes, zone: str, saved_at: datetime | None) -> SourceEntry:
    """The entry in RedBeat's two texts; Undecodable, or the error of a schedule.

    `zone` is the app's. `saved_at` is when an entry that has never run was saved: RedBeat would
    run it at once.
    """
    given = _object(definition, "definition")
    _refuse_others(given, (*_DEFINITION, *_META), "its definition")
    last_run_at, count = _meta(meta)
    notes = _Notes()
    enabled = given.get("enabled", True)
    return SourceEntry(
        name=_name(given),
        arguments={
            "task": given.get("task"),
            "schedule": _schedule(given, zone, notes),
            "args": _values(given.get("args") or [], "args"),
            "kwargs": _values(given.get("kwargs") or {}, "kwargs"),
            "options": _values(given.get("options") or {}, "options"),
        },
        last_run_at=last_run_at,
        first_run_at=None if last_run_at else saved_at,
        total_run_count=count,
        enabled=bool(enabled),
        notes=tuple(notes.found),
    )


def last_run(meta: bytes) -> tuple[datetime | None, int]:
    """The last run and the number of runs, for an entry whose definition does not matter."""
    return _meta(meta)


def name_of(definition: bytes) -> str:
    """The name in a definition; Undecodable."""
    return _name(_object(definition, "definition"))


def _name(given: Mapping[str, Any]) -> str:
    name = given.get("name")
    if not isinstance(name, str) or not name:
        raise Undecodable("its definition has no name")
    return name


def _object(text: bytes, what: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):  # any program may have written it
        raise Undecodable(f"its {what} is not JSON") from None
    if not isinstance(found, dict):
        raise Undecodable(f"its {what} is {kind_of(found)}, not a JSON object")
    return found


def _refuse_others(given: Mapping[str, Any], known: tuple[str, ...], what: str) -> None:
    for key in given:
        if key not in known:
            raise Undecodable(f"{what} has an unknown key {repr_of(key)}, which RedBeat refuses")


def _meta(text: bytes) -> tuple[datetime | None, int]:
    if not text:
        return None, 0
    given = _object(text, "meta")
    _refuse_others(given, _META, "its meta")
    at, count = given.get("last_run_at"), given.get("total_run_count") or 0
    if isinstance(count, bool) or not isinstance(count, int) or count < 0:
        raise Undecodable("its total_run_count is not a whole number")
    if at is None:
        return None, count
    if not isinstance(at, dict) or at.get("__type__") != "datetime":
        raise Undecodable("its last_run_at is not a datetime of RedBeat's")
    return _moment(at, "last_run_at"), count


def _moment(given: Mapping[str, Any], what: str) -> datetime:
    """A datetime; releases before 2.0 wrote no `timezone` and meant UTC."""
    parts = {name: given[name] for name in _MOMENT if name in given}
    _refuse_others(given, (*_MOMENT, "__type__", "timezone"), what)
    try:
        found = datetime(**parts, tzinfo=_zone(given.get("timezone", "UTC")))
        found.astimezone(UTC)
    except (TypeError, ValueError, OverflowError, HabeatError):
        raise Undecodable(f"{what} is not a valid datetime of RedBeat's") from None
    return found


def _zone(given: Any) -> tzinfo:
    """A zone by its name, or by its offset in seconds."""
    if isinstance(given, int | float):
        return timezone(timedelta(seconds=given))
    return zone_named(given).info


def _values(value: Any, where: str, depth: int = 0) -> Any:
    """The value with RedBeat's datetimes in it as datetimes."""
    if depth > MAX_DEPTH:
        raise Undecodable(f"{where[:40]}… is nested more than {MAX_DEPTH} levels deep")
    if isinstance(value, list):
        return [_values(each, f"{where}[{at}]", depth + 1) for at, each in enumerate(value)]
    if not isinstance(value, dict):
        return value
    match value.get("__type__"):
        case "datetime":
            return _moment(value, where)
        case "interval" | "crontab" | "rrule" | "weekday" as kind:
            raise Undecodable(f"{where} is a RedBeat {kind}, which no task can be sent")
    return {
        key: _values(each, f"{where}[{repr_of(key)}]", depth + 1) for key, each in value.items()
    }


# -- schedules --------------------------------------------------------------------------------


def _schedule(given: Mapping[str, Any], zone: str, notes: _Notes) -> Any:
    schedule = given.get("schedule")
    if isinstance(schedule, int | float) and not isinstance(schedule, bool):
        return _period(schedule, bool(given.get("relative")), zone)
    if not isinstance(schedule, dict):
        raise Undecodable("it has no schedule")
    match schedule.get("__type__"):
        case "interval":
            return _interval(schedule, zone)
        case "crontab":
            return _crontab(schedule)
        case "rrule":
            return _rrule(schedule, notes)
        case kind:
            raise Undecodable(f"its schedule has the unknown __type__ {repr_of(kind)}")


def _interval(given: Mapping[str, Any], zone: str) -> Any:
    for name in ("every", "relative"):
        if name not in given:
            raise Undecodable(
                f"its interval has no {name!r}: RedBeat takes such an entry out of its schedule"
            )
    return _period(given["every"], bool(given["relative"]), zone)


def _period(seconds: Any, relative: bool, zone: str) -> Any:
    return schedule_of(seconds, zone=zone, relative=True) if relative else seconds


def _crontab(given: Mapping[str, Any]) -> Schedule:
    fields = {name: given[name] for name in CRONTAB_FIELDS if name in given}
    _refuse_others(given, (*CRONTAB_FIELDS, "__type__"), "its crontab")
    return Crontab(**fields)


def _rrule(given: Mapping[str, Any], notes: _Notes) -> Schedule:
    _refuse_others(given, (*_RULE, "__type__"), "its rrule")
    if given.get("byeaster") is not None:
        raise Undecodable("its rrule counts from Easter (byeaster), which habeat does not know")
    if given.get("dtstart") is None:
        raise Undecodable("its rrule has no dtstart, so RedBeat counts from each restart")
    start = _instant(given, "dtstart")
    tz = "UTC" if not start.utcoffset() else str(start.tzinfo)
    if tz != "UTC":
        notes.found.append(
            f"its times stay at {tz}, as in RedBeat: they do not follow clock changes of a zone"
        )
    return RRule(";".join(_parts(given)), tz, start)


def _instant(given: Mapping[str, Any], name: str) -> datetime:
    """A timestamp with an offset in minutes."""
    seconds, minutes = given[name], given.get(f"{name}_tz") or 0
    try:
        return datetime.fromtimestamp(seconds, timezone(timedelta(minutes=minutes)))
    except (TypeError, ValueError, OverflowError, OSError):
        raise Undecodable(f"the {name} of its rrule is not a valid timestamp") from None


def _parts(given: Mapping[str, Any]) -> list[str]:
    """The parts of the rule as RFC 5545 writes them."""
    parts = [f"FREQ={_frequency(given.get('freq'))}"]
    for name in ("interval", "count"):
        if given.get(name) is not None:
            parts.append(f"{name.upper()}={_number(given[name], name)}")
    if given.get("until") is not None:
        parts.append(f"UNTIL={_instant(given, 'until').astimezone(UTC):%Y%m%dT%H%M%SZ}")
    if given.get("wkst") is not None and (first := _weekday(given["wkst"])) != "MO":
        parts.append(f"WKST={first}")
    if days := _listed(given.get("byweekday")):
        parts.append("BYDAY=" + ",".join(map(_weekday, days)))
    for name, rfc in _LISTS.items():
        if numbers := _listed(given.get(name)):
            parts.append(f"{rfc}=" + ",".join(str(_number(each, name)) for each in numbers))
    return parts


def _listed(given: Any) -> list[Any]:
    if given is None:
        return []
    return given if isinstance(given, list) else [given]


def _frequency(given: Any) -> str:
    if isinstance(given, str) and given.upper() in _FREQUENCIES:
        return given.upper()
    if type(given) is int and 0 <= given < len(_FREQUENCIES):
        return _FREQUENCIES[given]
    raise Undecodable(f"its rrule has the unknown freq {repr_of(given)}")


def _weekday(given: Any) -> str:
    """A weekday: RedBeat keeps its number only, so "the first Monday" is every Monday there too."""
    number = given.get("wkday") if isinstance(given, dict) else given
    if type(number) is int and 0 <= number < len(_WEEKDAYS):
        return _WEEKDAYS[number]
    return _refuse("weekday", given)


def _number(given: Any, name: str) -> int:
    return given if type(given) is int else _refuse(name, given)


def _refuse(name: str, given: Any) -> NoReturn:
    raise Undecodable(f"its rrule has an invalid {name}: {repr_of(given)}")
