"""The next slots of the schedule that a form describes, before it is saved.

They are computed as those of a stored entry are, with the offset, spread and jitter that the entry
will get from its name. Redis is not needed.
"""

from __future__ import annotations

from typing import Any

from habeat.client import Client
from habeat.client.preview import Span, instants_of
from habeat.clock import SystemClock
from habeat.contrib.django.forms import EntryForm
from habeat.contrib.django.showing import in_words, slots
from habeat.entries.draft import new_entry
from habeat.errors import ValidationError
from habeat.schedules.schedule import moment

SLOTS = 8
#: What the slots depend on.
_FIELDS = ("start", "end", "max_runs", "jitter", "spread")


def preview_of(client: Client, data: Any) -> dict[str, Any]:
    """The schedule in words and its slots, or the errors by the form's fields, as JSON values."""
    form = EntryForm(data, entry=None, timezone=client.timezone)
    form.full_clean()
    schedule = form.schedule()
    wrong = [name for name in ("kind", *_FIELDS) if name in form.errors]
    if schedule is None or wrong:
        return {"errors": _errors(form)}
    name = form.cleaned_data.get("name") or "new"
    given = {field: form.cleaned_data[field] for field in _FIELDS}
    try:
        entry = new_entry(name, {"task": "?", "schedule": schedule, **given}, client.timezone)
        now = moment(SystemClock().wall_ms())
        found = instants_of(entry, Span.checked(now, None, SLOTS))
    except ValidationError as error:
        form.refuse(error)
        return {"errors": _errors(form)}
    return {
        "words": in_words(entry.schedule),
        "slots": slots(entry.schedule, found, now),
        "none": "" if found else "It has no slots from now on.",
    }


def _errors(form: EntryForm) -> dict[str, str]:
    """The errors of the schedule's fields, each as one text."""
    about = {*form.schedule_fields, *_FIELDS}
    return {
        name: " ".join(map(str, errors)) for name, errors in form.errors.items() if name in about
    }
