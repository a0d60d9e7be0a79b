"""Parse a recurrence rule in the syntax of RFC 5545.

    DTSTART;TZID=Europe/Berlin:20260105T090000
    RRULE:FREQ=MONTHLY;BYDAY=1MO
    EXDATE:20260202T090000

The text has one RRULE, with or without that name, and optional DTSTART and EXDATE lines. Errors
name the invalid part, and nothing is guessed: other parsers read BYHOUR=25 as no hour at all, or
1MO in a weekly rule as every Monday. Blanks after a comma or a semicolon are dropped, and so are
quotation marks around a TZID. A date in an EXDATE with VALUE=DATE removes the whole day; a date
without it is midnight, as releases before VALUE=DATE was honoured stored it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from habeat.errors import ValidationError
from habeat.schedules.checks import choices
from habeat.schedules.recurrence.parts import FREQUENCIES, Parts
from habeat.schedules.zone import zone_named

WEEKDAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")

MAX_COUNT = 100_000
_MAX_INTERVAL = 999_999_999

_EPOCH = datetime(1970, 1, 1)
_FOLDED = re.compile(r"\r?\n[ \t]")
# "BYHOUR=9, 15" and "FREQ=DAILY; BYHOUR=9", but not the blank between two properties.
_BLANKS = re.compile(r"(?<=[,;])[ \t]+(?!(?:RRULE|EXRULE|DTSTART|RDATE|EXDATE)[:;])", re.IGNORECASE)
_TZID = re.compile(r"TZID=(?:\"([^\"]*)\"|([^:;\n]*))", re.IGNORECASE)
_TIME = re.compile(r"(\d{8})(?:T(\d{6})(Z?))?", re.ASCII)
_DAY = re.compile(r"([+-]?\d{1,2})?(MO|TU|WE|TH|FR|SA|SU)(?:\(([+-]?\d{1,2})\))?", re.ASCII)
_NUMBER = re.compile(r"[+-]?\d{1,9}", re.ASCII)


class _Numbers(NamedTuple):
    """A part that is a list of numbers; with `back` they may count from the end."""

    field: str
    low: int
    high: int
    back: bool = False


_LISTS = {
    "BYMONTH": _Numbers("by_month", 1, 12),
    "BYWEEKNO": _Numbers("by_week_no", 1, 53, back=True),
    "BYYEARDAY": _Numbers("by_year_day", 1, 366, back=True),
    "BYMONTHDAY": _Numbers("by_month_day", 1, 31, back=True),
    "BYHOUR": _Numbers("by_hour", 0, 23),
    "BYMINUTE": _Numbers("by_minute", 0, 59),
    "BYSECOND": _Numbers("by_second", 0, 59),
    "BYSETPOS": _Numbers("by_set_pos", 1, 366, back=True),
}
_KNOWN = ("FREQ", "INTERVAL", "COUNT", "UNTIL", "WKST", "BYDAY", *_LISTS)


class Moment(NamedTuple):
    """A local time in whole seconds, and its zone; None if the text names none.

    `whole_day` is true of a date with VALUE=DATE; its local time is midnight.
    """

    local_s: int
    tz: str | None
    whole_day: bool = False

    def instant_ms(self) -> int:
        """The instant in Unix ms; requires a zone. For a repeated local time, the first pass."""
        local = _EPOCH + timedelta(seconds=self.local_s)
        offset = zone_named(self.tz).info.utcoffset(local) or timedelta(0)
        return (self.local_s - int(offset.total_seconds())) * 1000


@dataclass(frozen=True)
class RuleText:
    """A parsed text; `rule` is its RRULE and EXDATEs, without DTSTART."""

    rule: str
    parts: Parts
    start: Moment | None
    excluded: tuple[Moment, ...]


def read(text: object) -> RuleText:
    """Parse a text; ValidationError names the part that is invalid."""
    if not isinstance(text, str) or not text.isascii() or not text.strip():
        raise ValidationError("text", text, "a recurrence rule, such as 'FREQ=DAILY;INTERVAL=2'")
    rules: list[str] = []
    starts: list[Moment] = []
    excluded: list[Moment] = []
    kept: list[str] = []
    for line in _lines(text):
        named, _, value = line.rpartition(":")
        name, *parameters = named.split(";")
        match name.upper():
            case "" if not parameters and "=" not in value:
                allowed = "parts such as BYMINUTE=0,15, without blanks between their values"
                raise ValidationError("text", line, allowed)
            case "" | "RRULE" if not parameters:
                rules.append(value.upper())
            case "DTSTART":
                starts += _moments("DTSTART", parameters, value)
            case "EXDATE":
                excluded += _moments("EXDATE", parameters, value)
                kept.append(":".join([";".join(["EXDATE", *parameters]), value.upper()]))
            case other:
                raise ValidationError(
                    other, line, "RRULE, DTSTART or EXDATE; use another entry for other rules"
                )
    if len(rules) != 1:
        raise ValidationError(
            "RRULE", text, "exactly one RRULE per entry", problem=f"found {len(rules)} RRULEs"
        )
    if len(starts) > 1:
        raise ValidationError("DTSTART", text, "only one DTSTART")
    return RuleText(
        "\n".join([*rules, *kept]), _parts(rules[0]), starts[0] if starts else None, tuple(excluded)
    )


def _lines(text: str) -> list[str]:
    """The properties of a text, without blanks inside them and quotation marks around a TZID."""
    unfolded = _FOLDED.sub("", text)
    for quoted, plain in _TZID.findall(unfolded):
        zone_named(quoted or plain)  # before a blank in the name splits it
    unfolded = _TZID.sub(lambda found: f"TZID={found[1] or found[2]}", unfolded)
    return _BLANKS.sub("", unfolded).split()


def local_seconds(local: datetime) -> int:
    """A naive local time as seconds since 1970-01-01 00:00 local time, rounded down."""
    return (local - _EPOCH).days * 86_400 + (local - _EPOCH).seconds


def _parts(rule: str) -> Parts:
    given: dict[str, str] = {}
    for part in rule.removesuffix(";").split(";"):
        name, _, value = part.partition("=")
        if name not in _KNOWN:
            raise ValidationError(name or "text", part, "one of " + ", ".join(_KNOWN))
        if name in given:
            raise ValidationError(name, value, f"only one {name}")
        given[name] = value
    fields: dict[str, Any] = {}
    for name, value in given.items():
        fields |= _field(name, value)
    if "freq" not in fields:
        raise ValidationError("FREQ", None, choices(FREQUENCIES), problem="FREQ is missing")
    parts = Parts(**fields)
    _check_together(parts, given)
    return parts


def _field(name: str, value: str) -> dict[str, Any]:
    match name:
        case "FREQ":
            return {"freq": _one_of(name, value, FREQUENCIES)}
        case "INTERVAL":
            return {"interval": _whole(name, value, 1, _MAX_INTERVAL)}
        case "COUNT":
            return {"count": _whole(name, value, 1, MAX_COUNT)}
        case "WKST":
            return {"wkst": WEEKDAYS.index(_one_of(name, value, WEEKDAYS))}
        case "UNTIL":
            until = _moment(name, value, None)
            return {"until_ms": until.instant_ms()} if until.tz else {"until_s": until.local_s}
        case "BYDAY":
            return {"by_day": tuple(sorted({_by_day(value, day) for day in value.split(",")}))}
        case _:
            numbers = _LISTS[name]
            values = {_listed(name, number, value) for number in value.split(",")}
            return {numbers.field: tuple(sorted(values))}


def _check_together(parts: Parts, given: dict[str, str]) -> None:
    """Refuse combinations that RFC 5545 excludes and other parsers silently reduce."""
    if parts.count is not None and "UNTIL" in given:
        raise ValidationError("COUNT", given["COUNT"], "either COUNT or UNTIL, not both")
    numbered = any(n for _, n in parts.by_day)
    if numbered and (parts.freq not in ("YEARLY", "MONTHLY") or parts.by_week_no):
        allowed = "numbers such as 1MO only with FREQ=MONTHLY, or with YEARLY without BYWEEKNO"
        raise ValidationError("BYDAY", given["BYDAY"], allowed)
    if parts.by_week_no and parts.freq != "YEARLY":
        allowed = "BYWEEKNO only with FREQ=YEARLY"
        raise ValidationError("BYWEEKNO", given["BYWEEKNO"], allowed)
    if parts.by_set_pos and not any(part.startswith("BY") and part != "BYSETPOS" for part in given):
        raise ValidationError("BYSETPOS", given["BYSETPOS"], "BYSETPOS only with another BY part")


def _by_day(value: str, day: str) -> tuple[int, int]:
    match = _DAY.fullmatch(day)
    before, name, behind = match.groups() if match else ("", "", "")
    number = int(before or behind or 0)
    if match is None or (before and behind) or ((before or behind) and not 1 <= abs(number) <= 53):
        raise ValidationError("BYDAY", value, "MO, TU, WE, TH, FR, SA or SU, or such as 1MO, -1FR")
    return WEEKDAYS.index(name), number


def _listed(name: str, number: str, value: str) -> int:
    _, low, high, back = _LISTS[name]
    found = int(number) if _NUMBER.fullmatch(number) else None
    if found is None or not (low <= found <= high or (back and low <= -found <= high)):
        backwards = f", or -{high} to -{low} from the end" if back else ""
        raise ValidationError(name, value, f"{low}–{high}{backwards}, separated by commas")
    return found


def _whole(name: str, value: str, low: int, high: int) -> int:
    if not _NUMBER.fullmatch(value) or not low <= int(value) <= high:
        raise ValidationError(name, value, f"a whole number from {low} to {high}")
    return int(value)


def _one_of(name: str, value: str, allowed: tuple[str, ...]) -> str:
    if value not in allowed:
        raise ValidationError(name, value, choices(allowed))
    return value


def _moments(name: str, parameters: list[str], value: str) -> list[Moment]:
    tz, is_date = None, False
    for parameter in parameters:
        key, _, given = parameter.partition("=")
        if key.upper() == "TZID":
            zone_named(given)
            tz = given
        elif parameter.upper() not in ("VALUE=DATE-TIME", "VALUE=DATE"):
            raise ValidationError(name, parameter, "TZID=…, VALUE=DATE or VALUE=DATE-TIME")
        else:
            is_date = parameter.upper() == "VALUE=DATE"
    found = [_moment(name, moment.upper(), tz) for moment in value.split(",")]
    return [each if is_date else each._replace(whole_day=False) for each in found]


def _moment(name: str, value: str, tz: str | None) -> Moment:
    match = _TIME.fullmatch(value)
    if match is not None and not (tz and match[3]):
        try:
            local = datetime.fromisoformat(f"{match[1]}T{match[2] or '000000'}")
        except ValueError:
            pass
        else:
            return Moment(local_seconds(local), "UTC" if match[3] else tz, not match[2])
    raise ValidationError(name, value, "a time such as 20261231T235959, or with a final Z for UTC")
