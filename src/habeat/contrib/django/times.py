"""Times in Django's current time zone: shown, and typed into forms."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from django import forms
from django.utils import timezone

from habeat.entries.spans import relative, seconds_of, written

#: How browsers write the value of an input of type datetime-local.
_FORMAT = "%Y-%m-%dT%H:%M:%S"
SPAN_EXPECTED = "Expected a span such as 300 (seconds), 90s, 5m or 1h30m."


def local(at: datetime) -> datetime:
    """The same instant in Django's current time zone, also if USE_TZ is False."""
    return at.astimezone(timezone.get_current_timezone())


def shown(at: datetime | None, now: datetime) -> str:
    """A time with its distance from now; "" for None."""
    return "" if at is None else f"{local(at):%Y-%m-%d %H:%M:%S %Z} ({relative(at, now)})"


def zone_name() -> str:
    """The name of Django's current time zone."""
    return str(timezone.get_current_timezone_name())


class WhenField(forms.DateTimeField):
    """An instant, typed in Django's current time zone; cleaned, it is aware or None."""

    def __init__(self, **options: Any) -> None:
        widget = forms.DateTimeInput({"type": "datetime-local", "step": "1"}, format=_FORMAT)
        super().__init__(required=False, widget=widget, **options)

    def prepare_value(self, value: Any) -> Any:
        return local(value).replace(tzinfo=None) if isinstance(value, datetime) else value

    def to_python(self, value: Any) -> datetime | None:
        at: datetime | None = super().to_python(value)
        if at is not None and timezone.is_naive(at):  # USE_TZ is False
            at = timezone.make_aware(at, timezone.get_current_timezone())
        try:
            return None if at is None else at.astimezone(UTC)
        except OverflowError:  # the first or last day that a datetime can have
            raise forms.ValidationError(self.error_messages["invalid"], code="invalid") from None


class SpanField(forms.CharField):
    """A span such as 5m; cleaned, it is seconds or None."""

    def __init__(self, **options: Any) -> None:
        super().__init__(required=False, **options)

    def prepare_value(self, value: Any) -> Any:
        return written(round(value * 1_000)) if isinstance(value, int | float) else value

    def to_python(self, value: Any) -> Any:
        if value is None or isinstance(value, int | float):
            return value
        text = str(value).strip()
        seconds = seconds_of(text) if text else None
        if text and seconds is None:
            raise forms.ValidationError(SPAN_EXPECTED)
        return seconds
