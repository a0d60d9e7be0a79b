"""The part of the form that describes a schedule: one kind, and the fields of that kind.

A schedule that the form cannot express (a class of the project, an unreadable definition) is a
kind of its own, "kept", and stays as it is until another kind is chosen.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from django import forms

from habeat.contrib.django.showing import in_words
from habeat.contrib.django.times import SPAN_EXPECTED, SpanField, WhenField
from habeat.errors import ValidationError
from habeat.schedules import (
    Cron,
    Crontab,
    Interval,
    Once,
    RRule,
    Schedule,
    Solar,
    cron,
    crontab,
    every,
    once,
    rrule,
    solar,
)
from habeat.schedules.schedule import moment
from habeat.schedules.solar import EVENTS

KEPT = "kept"

_ZONED = ("tz", "gap", "fold")
_CRONTAB = ("minute", "hour", "day_of_week", "day_of_month", "month_of_year")
_GAPS = (("shift", "shift them to after the gap"), ("skip", "skip them"))
_FOLDS = (
    ("auto", "once, or at both passes if the schedule counts elapsed time"),
    ("first", "at the first pass"),
    ("last", "at the last pass"),
    ("both", "at both passes"),
)

Values = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of schedule: its label, its fields in the form, and how they become a schedule."""

    label: str
    fields: tuple[str, ...]
    make: Callable[[Values], Schedule]


def _every(given: Values) -> Schedule:
    if given["every"] is None:
        raise ValidationError("every", None, SPAN_EXPECTED, problem="the period is missing")
    return every(given["every"], given["offset"])


def _zoned(given: Values) -> dict[str, Any]:
    return {
        "tz": given["tz"] or None,
        "gap": given["gap"] or "shift",
        "fold": given["fold"] or "auto",
    }


def _crontab(given: Values) -> Schedule:
    return crontab(*(given[name] or "*" for name in _CRONTAB), **_zoned(given))


def _once(given: Values) -> Schedule:
    if given["at"] is None:
        raise ValidationError("at", None, "a date and a time", problem="the time is missing")
    return once(given["at"])


def _rrule(given: Values) -> Schedule:
    zoned = _zoned(given)
    if given["dtstart"]:  # a local time of the rule's own zone
        return RRule(given["rrule"], zoned["tz"], given["dtstart"], zoned["gap"], zoned["fold"])
    return rrule(given["rrule"], **zoned)


KINDS: Mapping[str, Kind] = {
    Interval.kind: Kind("Interval", ("every", "offset"), _every),
    Cron.kind: Kind("Cron", ("cron", *_ZONED), lambda given: cron(given["cron"], **_zoned(given))),
    Crontab.kind: Kind("Celery's crontab", (*_CRONTAB, *_ZONED), _crontab),
    RRule.kind: Kind("Recurrence rule", ("rrule", "dtstart", *_ZONED), _rrule),
    Once.kind: Kind("Once", ("at",), _once),
    Solar.kind: Kind(
        "Solar event",
        ("event", "lat", "lon"),
        lambda given: solar(given["event"], given["lat"], given["lon"]),
    ),
}

#: All fields of all kinds, in order, without repetitions.
FIELDS = tuple(dict.fromkeys(field for kind in KINDS.values() for field in kind.fields))


class ScheduleForm(forms.Form):
    """A schedule. `kept` is the stored one, if the form cannot express it."""

    schedule_fields = ("kind", *FIELDS)

    kind = forms.ChoiceField(label="Schedule")
    every = SpanField(help_text="300 (seconds), 90s, 5m, 1h30m, 1w.")
    offset = SpanField(help_text="After multiples of the period. Empty: the entry's own; 0: none.")
    cron = forms.CharField(
        required=False,
        widget=forms.TextInput({"size": 40}),
        help_text="Five fields, or six with seconds first: 0 8 * * mon-fri.",
    )
    minute = forms.CharField(required=False, initial="*")
    hour = forms.CharField(required=False, initial="*")
    day_of_week = forms.CharField(required=False, initial="*")
    day_of_month = forms.CharField(required=False, initial="*")
    month_of_year = forms.CharField(required=False, initial="*")
    rrule = forms.CharField(
        required=False,
        widget=forms.Textarea({"rows": 2}),
        help_text="RFC 5545: FREQ=MONTHLY;BYDAY=1MO.",
    )
    dtstart = forms.CharField(
        required=False,
        widget=forms.TextInput({"type": "datetime-local", "step": "1"}),
        help_text="When the rule begins, in the schedule's time zone.",
    )
    at = WhenField()
    event = forms.ChoiceField(
        required=False, choices=[(event, words) for event, words in EVENTS.items()]
    )
    lat = forms.FloatField(required=False, label="Latitude", help_text="Degrees, north positive.")
    lon = forms.FloatField(required=False, label="Longitude", help_text="Degrees, east positive.")
    tz = forms.CharField(required=False, label="Time zone")
    gap = forms.ChoiceField(
        required=False, choices=_GAPS, initial="shift", label="Local times that the clocks skip"
    )
    fold = forms.ChoiceField(
        required=False, choices=_FOLDS, initial="auto", label="Local times that occur twice"
    )

    def __init__(self, *args: Any, kept: Schedule | None, timezone: str, **options: Any) -> None:
        super().__init__(*args, **options)
        self._kept = kept
        choices = [(name, kind.label) for name, kind in KINDS.items()]
        if kept is not None:
            choices.insert(0, (KEPT, f"As it is: {in_words(kept)}"))
        self.fields["kind"].choices = choices
        self.fields["tz"].help_text = f"Such as Europe/Berlin. Empty: {timezone}."
        self.fields["tz"].widget.attrs["placeholder"] = timezone
        for field in FIELDS:
            of = [name for name, kind in KINDS.items() if field in kind.fields]
            self.fields[field].kinds = " ".join(of)  # read by the template

    def schedule(self) -> Schedule | None:
        """The schedule described; None if a field is invalid, which is then in `errors`."""
        kind = self.cleaned_data.get("kind")
        if kind is None or kind == KEPT:
            return self._kept
        fields = KINDS[kind].fields
        if any(field in self.errors for field in fields):
            return None
        try:
            return KINDS[kind].make(self.cleaned_data)
        except ValidationError as error:
            self.add_error(error.field if error.field in fields else fields[0], str(error))
            return None

    def is_rescheduled(self) -> bool:
        """Whether the kind has changed, or a field of the chosen kind."""
        kind = self.cleaned_data["kind"]
        fields = () if kind == KEPT else KINDS[kind].fields
        return not {"kind", *fields}.isdisjoint(self.changed_data)


def initial_of(name: str, schedule: Schedule) -> dict[str, Any]:
    """The values of the form's fields for the schedule of this entry."""
    kind = schedule.kind if schedule.kind in KINDS else KEPT
    return {"kind": kind, **(_INITIAL[kind](name, schedule) if kind != KEPT else {})}


def _initial_interval(name: str, schedule: Any) -> dict[str, Any]:
    own = Interval(schedule.every_ms).bound(name, "").offset_ms
    offset = None if schedule.offset_ms == own else (schedule.offset_ms or 0) / 1_000
    return {"every": schedule.every_ms / 1_000, "offset": offset}


def _initial_zoned(schedule: Any) -> dict[str, Any]:
    return {name: getattr(schedule, name) or "" for name in _ZONED}


_INITIAL: Mapping[str, Callable[[str, Any], dict[str, Any]]] = {
    Interval.kind: _initial_interval,
    Cron.kind: lambda _, each: {"cron": each.expression, **_initial_zoned(each)},
    Crontab.kind: lambda _, each: {
        **{name: getattr(each, name) for name in _CRONTAB},
        **_initial_zoned(each),
    },
    RRule.kind: lambda _, each: {
        "rrule": each.text,
        "dtstart": each.dtstart,
        **_initial_zoned(each),
    },
    Once.kind: lambda _, each: {"at": moment(each.at_ms)},
    Solar.kind: lambda _, each: {"event": each.event, "lat": each.lat, "lon": each.lon},
}
