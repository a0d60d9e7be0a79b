"""Write habeat's entries into RedBeat's keys, in the form that RedBeat reads, without RedBeat.

All of an entry is in one transaction: its hash with the definition and the last run, its place in
the schedule by the time of the next run, and whether it counts as an entry of beat_schedule. If it
counts as one and is gone from the code, RedBeat removes it, so those of the API must not.

RedBeat's JSON has no zone for a crontab and a fixed offset for the start of a recurrence rule, so
it can express some schedules only. A single run is a rule with one occurrence.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from habeat.migrate.found import EveryName, SourceEmpty, SourceEntry, SourceUnreadable
from habeat.migrate.returning import Abilities, NotReturned, Returned
from habeat.migrate.sources.redbeat import RedBeatSettings, read
from habeat.migrate.sources.redbeat.reading import TIMEOUT_S
from habeat.ports import StoreUnavailable
from habeat.printable import kind_of
from habeat.schedules import Crontab, Interval, Once, RRule, Schedule
from habeat.schedules.recurrence.parse import RuleText
from habeat.schedules.recurrence.parse import read as read_rule
from habeat.schedules.recurrence.parts import FREQUENCIES
from habeat.schedules.zone import zone_named
from habeat.store.calling import Caller
from habeat.store.connection import Connections
from habeat.store.keys import Keys
from habeat.store.pipelining import wire

Result = TypeVar("Result")

NAME = "RedBeat"
PAGE = 100
_CRONTAB = ("minute", "hour", "day_of_week", "day_of_month", "month_of_year")
#: The lists of numbers of a rule, by our name and by RedBeat's.
_LISTS = {
    **{"by_month": "bymonth", "by_week_no": "byweekno", "by_year_day": "byyearday"},
    **{"by_month_day": "bymonthday", "by_hour": "byhour", "by_minute": "byminute"},
    **{"by_second": "bysecond", "by_set_pos": "bysetpos"},
}
_EPOCH = datetime(1970, 1, 1)


@dataclass(frozen=True, slots=True)
class _Written:
    """One entry as RedBeat stores it: its key, two texts, and its place in the schedule."""

    name: str
    key: str
    definition: str
    meta: str
    score: int
    declared: bool


class RedBeatTarget:
    """RedBeat's keys in its Redis. `zone` is the app's."""

    def __init__(self, settings: RedBeatSettings, zone: str) -> None:
        self._settings, self._zone = settings, zone
        connections = Connections(settings.target, socket_timeout_s=TIMEOUT_S, client_name="habeat")
        self._connections = connections
        self._caller = Caller(connections, Keys("migrate"))  # habeat's own keys are not used here
        self._there: Mapping[str, SourceEntry] = {}
        self.place = str(settings)
        self.abilities = Abilities(
            name=NAME,
            kinds=("interval", "crontab", "rrule", "once"),
            zone=zone,
            why_not=why_not,
        )

    def enabled(self) -> Mapping[str, bool]:
        """The names of all entries that can be read, and whether each is enabled."""
        try:
            found = read(self._settings, (), self._zone, lambda seconds: None)
        except SourceEmpty:
            return {}
        self._there = {each.name: each for each in found.entries}
        return {name: each.enabled for name, each in self._there.items()}

    def last_runs(self) -> Mapping[str, datetime]:
        """When each of its entries ran last, also of those whose definition cannot be read."""
        try:
            found = read(self._settings, EveryName(), self._zone, lambda seconds: None)
        except SourceEmpty:
            return {}
        return {each.name: each.last_run_at for each in found.entries if each.last_run_at}

    def others(self, names: Sequence[str], now: datetime) -> Sequence[SourceEntry]:
        """These entries, as `enabled` has read them."""
        return [self._there[name] for name in names]

    def write(self, entries: Sequence[Returned]) -> Mapping[str, str]:
        """Write these entries; returns the reasons for those that cannot be written."""
        refused: dict[str, str] = {}
        written: list[_Written] = []
        for entry in entries:
            try:
                written.append(self._written(entry))
            except NotReturned as error:
                refused[entry.name] = error.why
        for start in range(0, len(written), PAGE):
            page = written[start : start + PAGE]
            self._guarded(lambda client: self._send(client, page))  # noqa: B023
        return refused

    def disable(self, names: Sequence[str]) -> None:
        """Disable these entries: RedBeat looks at them, and does not send them."""
        for name in names:
            self._guarded(lambda client: self._disable(client, self._key(name)))  # noqa: B023

    def close(self) -> None:
        """Disconnect."""
        self._connections.close()

    def _guarded(self, act: Callable[[Any], Result]) -> Result:
        try:
            return self._caller.do(act)
        except StoreUnavailable as error:
            raise SourceUnreadable(f"cannot use {self._settings} ({error})") from error

    def _key(self, name: str) -> str:
        key = f"{self._settings.key_prefix}{name}"
        settings = self._settings
        if key in (settings.schedule_key, settings.statics_key, settings.lock_key):
            raise NotReturned(f"{key} is a key of RedBeat itself", "rename the entry")
        return key

    def _written(self, entry: Returned) -> _Written:
        """What RedBeat stores for an entry; NotReturned."""
        due = entry.first_slot or entry.last_run
        return _Written(
            name=entry.name,
            key=self._key(entry.name),
            definition=json.dumps(definition_of(entry)),
            meta=json.dumps(meta_of(entry, self._zone)),
            score=int(due.timestamp()),
            declared=entry.declared,
        )

    def _send(self, client: Any, page: Sequence[_Written]) -> None:
        pipeline = client.pipeline(transaction=not self._settings.target.cluster)
        for each in page:
            texts = {"definition": each.definition, "meta": each.meta}
            pipeline.hset(wire(each.key), mapping=texts)
            pipeline.zadd(wire(self._settings.schedule_key), {wire(each.key): each.score})
            change = pipeline.sadd if each.declared else pipeline.srem
            change(wire(self._settings.statics_key), wire(each.name))
        pipeline.execute()

    def _disable(self, client: Any, key: str) -> None:
        text = client.hget(wire(key), "definition")
        if text is not None:  # it was there when it was read
            client.hset(wire(key), "definition", json.dumps({**json.loads(text), "enabled": False}))


# -- what RedBeat stores ----------------------------------------------------------------------


def definition_of(entry: Returned) -> dict[str, Any]:
    """The definition of an entry as RedBeat's JSON; NotReturned if a value has no form there."""
    if entry.schedule is None:
        raise NotReturned(
            f"{NAME} cannot express its schedule: it starts from the moment at which RedBeat starts"
        )
    return {
        "name": entry.name,
        "task": entry.task,
        "args": _value("args", list(entry.args)),
        "kwargs": _value("kwargs", dict(entry.kwargs)),
        "options": _value("options", dict(entry.options)),
        "schedule": schedule_of(entry.schedule),
        "enabled": entry.enabled,
    }


def meta_of(entry: Returned, zone: str) -> dict[str, Any]:
    """The last run and the count, as RedBeat's JSON.

    The last run is in the app's zone, because Celery before 5.7 counts a crontab's fields in the
    zone of the last run.
    """
    at = entry.last_run.astimezone(zone_named(zone).info)
    return {"last_run_at": _moment(at), "total_run_count": entry.total_run_count}


def why_not(schedule: Schedule) -> str:
    """What RedBeat cannot store of a schedule; "" if it can."""
    match schedule:
        case Once(at_ms=at_ms) if at_ms % 1_000:
            return f"{NAME} stores a single run in whole seconds"
        case RRule():
            return _rule_why_not(schedule, read_rule(schedule.text))
    return ""


def _rule_why_not(schedule: RRule, rule: RuleText) -> str:
    if rule.excluded:
        return f"{NAME} has no EXDATE"
    if any(number for _, number in rule.parts.by_day):
        return f"{NAME} keeps no number with a BYDAY, such as 1MO"
    if _fixed_offset(schedule.tz) is None:
        return f"its zone is {schedule.tz}, and {NAME} keeps a rule at a fixed offset from UTC"
    return ""


def _fixed_offset(zone: str | None) -> timedelta | None:
    """The offset of a zone that has only one; None for any other."""
    if zone in (None, "UTC", "Etc/UTC"):
        return timedelta(0)
    return zone_named(zone).info.utcoffset(None)


def schedule_of(schedule: Schedule) -> dict[str, Any]:
    """The schedule as RedBeat's JSON; `why_not` has found nothing wrong with it."""
    match schedule:
        case Interval():
            return {"__type__": "interval", "every": schedule.every_ms / 1_000, "relative": False}
        case Crontab():
            fields = {name: getattr(schedule, name) for name in _CRONTAB}
            return {"__type__": "crontab", **fields}
        case Once(at_ms=at_ms):
            start = {"dtstart": at_ms // 1_000, "dtstart_tz": 0}
            return {"__type__": "rrule", "freq": FREQUENCIES.index("DAILY"), "count": 1, **start}
        case RRule():
            return _rule(schedule, read_rule(schedule.text))
    raise AssertionError(f"RedBeat has no {schedule.kind}")


def _rule(schedule: RRule, rule: RuleText) -> dict[str, Any]:
    parts, offset = rule.parts, _fixed_offset(schedule.tz)
    assert offset is not None, "why_not has refused it"
    minutes = offset / timedelta(minutes=1)
    lists = {theirs: list(getattr(parts, ours)) or None for ours, theirs in _LISTS.items()}
    days = [{"__type__": "weekday", "wkday": day} for day, _ in parts.by_day]
    start = datetime.fromisoformat(str(schedule.dtstart)) - _EPOCH - offset
    until_s = None if parts.until_ms is None else parts.until_ms // 1_000
    if parts.until_s is not None:
        until_s = parts.until_s - round(offset.total_seconds())
    until = {} if until_s is None else {"until": until_s, "until_tz": minutes}
    return {
        "__type__": "rrule",
        "freq": FREQUENCIES.index(parts.freq),
        "interval": parts.interval,
        "wkst": parts.wkst or None,  # Monday, as without it
        "count": parts.count,
        **lists,
        "byweekday": days or None,
        "dtstart": round(start.total_seconds()),
        "dtstart_tz": minutes,
        **until,
    }


def _value(where: str, value: Any) -> Any:
    """A value in RedBeat's JSON; NotReturned, without the value, if it has no form there."""
    match value:
        case None | bool() | int() | float() | str():
            return value
        case list() | tuple():
            return [_value(where, each) for each in value]
        case datetime():
            return _moment(value)
        case Mapping() if "__type__" not in value:
            return {str(key): _value(where, each) for key, each in value.items()}
    raise NotReturned(f"its {where} have {kind_of(value)}, which RedBeat's JSON cannot hold")


def _moment(at: datetime) -> dict[str, Any]:
    names = ("year", "month", "day", "hour", "minute", "second", "microsecond")
    parts = {name: getattr(at, name) for name in names}
    return {"__type__": "datetime", **parts, "timezone": _zone(at)}


def _zone(at: datetime) -> str | float:
    """The name of the zone, or its offset in seconds."""
    if at.tzinfo is None or at.tzinfo is UTC:
        return "UTC"
    name = getattr(at.tzinfo, "key", None)
    if isinstance(name, str):
        return name
    offset = at.utcoffset()
    assert offset is not None
    return offset.total_seconds()
