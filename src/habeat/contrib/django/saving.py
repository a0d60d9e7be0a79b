"""Save a submitted form: through the client, with a row in Django's log."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from habeat.client import Client
from habeat.contrib.django.audit import ADDITION, CHANGE, audited
from habeat.contrib.django.forms import EntryForm
from habeat.contrib.django.showing import in_words
from habeat.core.entry import Entry
from habeat.errors import (
    CallTimeout,
    EntryExists,
    EntryNotFound,
    HabeatError,
    RedisUnavailable,
    RevisionConflict,
    ValidationError,
)

#: Errors that are not the form's fault: the view handles them, and keeps what was typed.
_NOT_OF_THE_FORM = (EntryNotFound, RevisionConflict, RedisUnavailable, CallTimeout)


def added(user: Any, client: Client, form: EntryForm) -> str | None:
    """The name of the entry that was added; None if the form has errors now."""
    if not is_valid(form):
        return None
    name, given = form.cleaned_data["name"], form.arguments()
    message = f"Added: {given['task']}, {in_words(given['schedule'])}."
    try:
        audited(user, ADDITION, {name: message}, lambda: client.add(name, **given))
    except HabeatError as error:
        _refuse(form, error)
        return None
    return str(name)


def changed(user: Any, client: Client, form: EntryForm) -> bool:
    """Whether the entry is as the form says now; if not, the form has errors.

    Raises EntryNotFound, RevisionConflict, RedisUnavailable and CallTimeout.
    """
    assert form.entry is not None
    if not is_valid(form):
        return False
    entry, changes = form.entry, form.changes()
    if not changes:
        return True
    try:
        audited(
            user,
            CHANGE,
            {entry.name: _message(entry, changes)},
            lambda: client.update(entry.name, rev=entry.rev, **changes),
        )
    except _NOT_OF_THE_FORM:
        raise
    except HabeatError as error:
        _refuse(form, error)
        return False
    return True


def is_valid(form: EntryForm) -> bool:
    """Whether the form is valid with its schedule, which adds errors of its own."""
    form.full_clean()
    if form.schedule() is None and not form.errors:
        form.add_error("kind", "Choose a schedule.")
    return bool(form.is_valid())


def _refuse(form: EntryForm, error: HabeatError) -> None:
    """Show the client's error in the form, so that nothing typed is lost."""
    if isinstance(error, ValidationError):
        form.refuse(error)
    else:
        form.add_error("name" if isinstance(error, EntryExists) else None, str(error))


def _message(entry: Entry, changes: Mapping[str, Any]) -> str:
    """Which fields were changed. Only the schedule's values are named: others may be secret."""
    names = ", ".join(sorted(changes))
    if "schedule" not in changes:
        return f"Changed {names}."
    old, new = in_words(entry.schedule), in_words(changes["schedule"])
    return f"Changed {names} (schedule: {old} → {new})."
