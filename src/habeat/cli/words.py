"""Values on the command line as arguments of the API: schedules, times, JSON."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable, Mapping
from datetime import datetime, time, timedelta
from typing import TYPE_CHECKING, Any

import click

from habeat.cli.moments import moment_here, moment_in
from habeat.entries.spans import seconds_of
from habeat.errors import ValidationError
from habeat.printable import kind_of
from habeat.schedules import Schedule, cron, crontab, every, once, rrule, solar
from habeat.schedules.zone import zone_named

#: No span is longer than this; a date may be no further away.
LONGEST_S = 300 * 366 * 86_400.0
_TIME_OF_DAY = re.compile(r"\d{2}:\d{2}(:\d{2}(\.\d{1,6})?)?", re.ASCII)
_CRONTAB_FIELDS = ("minute", "hour", "day_of_week", "day_of_month", "month_of_year")


if TYPE_CHECKING:
    ParamType = click.ParamType[Any]
else:
    ParamType = click.ParamType  # older releases of click cannot subscript it


class Moment(ParamType):
    """A time in ISO 8601; without an offset, in this host's zone."""

    name = "ISO 8601"
    #: What else is accepted, for the error.
    also = ""

    def convert(self, value: Any, param: Any, ctx: Any) -> datetime:
        if isinstance(value, datetime):
            return value
        try:
            return moment_here(value)
        except click.UsageError as error:
            self.fail(error.message + self.also, param, ctx)


class Since(Moment):
    """A time, or a span: before now for the past, after now for the future."""

    name = "time or span"
    also = ", or a span such as 15m, 2d or 1w"

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        seconds = seconds_of(value) if isinstance(value, str) else None
        if seconds is None:
            return super().convert(value, param, ctx)
        if seconds > LONGEST_S:
            self.fail(f"{value!r}: expected a span of at most 300 years", param, ctx)
        return timedelta(seconds=seconds)


class Clock(Moment):
    """A time, or a time of day: today, in a zone that is known later (`on_day_of`)."""

    name = "time"
    also = ", or a time of day such as 02:00"

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        if isinstance(value, time):
            return value
        if isinstance(value, str) and _TIME_OF_DAY.fullmatch(value):
            try:
                return time.fromisoformat(value)
            except ValueError:
                self.fail(f"{value!r}: expected a time of day from 00:00 to 23:59", param, ctx)
        return super().convert(value, param, ctx)


class Span(ParamType):
    """A span of time."""

    name = "span"

    def convert(self, value: Any, param: Any, ctx: Any) -> timedelta:
        if isinstance(value, timedelta):
            return value
        seconds = seconds_of(value)
        if seconds is None or seconds > LONGEST_S:
            self.fail(f"{value!r}: expected a span such as 90s, 15m, 2d or 1w", param, ctx)
        return timedelta(seconds=seconds)


class Json(ParamType):
    """JSON of one type."""

    def __init__(self, kind: type, what: str) -> None:
        self.name = "JSON"
        self._kind = kind
        self._what = what

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        if not isinstance(value, str):
            return value
        try:
            parsed = json.loads(value)
        except (ValueError, RecursionError) as error:
            self.fail(f"this is not JSON ({error}): expected {self._what}", param, ctx)
        if not isinstance(parsed, self._kind):
            self.fail(f"expected {self._what}, got {kind_of(parsed)}", param, ctx)
        return parsed


def ago(given: datetime | timedelta, now: datetime) -> datetime:
    """The given time, or the time that far before now."""
    return now - given if isinstance(given, timedelta) else given


def ahead(given: datetime | timedelta, begin: datetime) -> datetime:
    """The given time, or the time that far after `begin`."""
    return begin + given if isinstance(given, timedelta) else given


def on_day_of(given: datetime | time, now: datetime, zone: str) -> datetime:
    """The given time; a time of day means today, in the zone of this name."""
    if isinstance(given, datetime):
        return given
    today = now.astimezone(zone_named(zone).info).date()
    return moment_in(f"{today.isoformat()}T{given.isoformat()}", zone)


MOMENT = Moment()
CLOCK = Clock()
SINCE = Since()
SPAN = Span()
JSON_LIST = Json(list, "a JSON list, such as [1, 2]")
JSON_OBJECT = Json(dict, 'a JSON object, such as {"a": 1}')


def schedule_options(function: Callable[..., None]) -> Callable[..., None]:
    """Add the schedule options to a command; `schedule_from` reads them."""
    options = (
        click.option(
            "--every", metavar="SPAN", help="A period: 300 (seconds), 90s, 5m, 1h30m, 1w."
        ),
        click.option("--cron", metavar="EXPR", help='A cron expression: "0 8 * * mon-fri".'),
        click.option(
            "--crontab",
            metavar="FIELDS",
            help='Celery\'s crontab: "minute=0 hour=8 day_of_week=1-5".',
        ),
        click.option("--rrule", metavar="TEXT", help="An RFC 5545 rule with its DTSTART."),
        click.option("--at", metavar="WHEN", help="Once, at this time (ISO 8601)."),
        click.option(
            "--solar", nargs=3, metavar="EVENT LAT LON", help="A solar event: sunrise 52.5 13.4."
        ),
        click.option("--tz", metavar="ZONE", help="The schedule's time zone; default: the app's."),
        click.option(
            "--gap", metavar="POLICY", help="Local times that a clock change skips: shift or skip."
        ),
        click.option(
            "--fold",
            metavar="POLICY",
            help="Local times that a clock change repeats: auto, first, last or both.",
        ),
    )
    for option in reversed(options):
        function = option(function)
    return function


def schedule_from(given: Mapping[str, Any], timezone: str, entry: str = "") -> Schedule | None:
    """The schedule that the options describe; None if they describe none.

    Errors name the entry `entry`.
    """
    named = {kind: given[kind] for kind in _MAKERS if given.get(kind) is not None}
    if len(named) > 1:
        raise click.UsageError(
            "give only one schedule, not " + " and ".join(f"--{k}" for k in named)
        )
    tz = given.get("tz")
    policies = {name: given[name] for name in ("gap", "fold") if given.get(name) is not None}
    if not named:
        if tz is not None:
            raise click.UsageError("--tz needs --cron, --crontab, --rrule or --at")
        if policies:
            raise click.UsageError("--gap and --fold need --cron, --crontab or --rrule")
        return None
    ((kind, written),) = named.items()
    if tz is not None and kind not in ("cron", "crontab", "rrule", "at"):
        raise click.UsageError(f"--tz cannot be used with --{kind}")
    if policies and kind not in ("cron", "crontab", "rrule"):
        raise click.UsageError(f"--gap and --fold cannot be used with --{kind}")
    try:
        schedule: Any = _MAKERS[kind](written, tz, timezone)
        return dataclasses.replace(schedule, **policies)  # type: ignore[no-any-return]
    except ValidationError as error:
        raise error.of_entry(entry) from None


def _every(written: str, tz: str | None, timezone: str) -> Schedule:
    seconds = seconds_of(written)
    if seconds is None:
        raise click.BadParameter(
            f"{written!r}: expected a span such as 300, 5m or 1h30m", param_hint="--every"
        )
    return every(seconds)


def _crontab(written: str, tz: str | None, timezone: str) -> Schedule:
    fields: dict[str, Any] = dict(part.partition("=")[::2] for part in written.split())
    unknown = [name for name in fields if name not in _CRONTAB_FIELDS or not fields[name]]
    if unknown or not fields:
        raise click.BadParameter(
            f"{written!r}: expected FIELD=VALUE, the fields being {', '.join(_CRONTAB_FIELDS)}",
            param_hint="--crontab",
        )
    return crontab(**fields, tz=tz)


def _at(written: str, tz: str | None, timezone: str) -> Schedule:
    at = moment_in(written, tz or timezone)
    if tz is not None and at.astimezone(zone_named(tz).info).utcoffset() != at.utcoffset():
        raise click.UsageError(
            f"the offset of --at is not one of {tz} at that time: leave out --tz or the offset"
        )
    return once(at)


def _solar(written: tuple[str, str, str], tz: str | None, timezone: str) -> Schedule:
    event, *place = written
    try:
        lat, lon = map(float, place)
    except ValueError:
        raise click.BadParameter(
            f"{' '.join(place)!r}: expected latitude and longitude in degrees", param_hint="--solar"
        ) from None
    return solar(event, lat, lon)


_MAKERS: dict[str, Callable[[Any, str | None, str], Schedule]] = {
    "every": _every,
    "cron": lambda written, tz, _: cron(written, tz=tz),
    "crontab": _crontab,
    "rrule": lambda written, tz, _: rrule(written, tz=tz),
    "at": _at,
    "solar": _solar,
}


def option_values(written: tuple[str, ...]) -> dict[str, Any]:
    """The options in ``k=v`` pairs; values that are not JSON are taken as text."""
    options: dict[str, Any] = {}
    for pair in written:
        name, sign, value = pair.partition("=")
        if not sign or not name:
            # A text without a name may be all value, and so a secret: it is not quoted.
            raise click.BadParameter("expected NAME=VALUE", param_hint="--option")
        if name in options:
            raise click.UsageError(f"--option {name} can be given only once")
        try:
            options[name] = json.loads(value)
        except (ValueError, RecursionError):
            options[name] = value
    return options
