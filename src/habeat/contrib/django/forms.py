"""The form of an entry, made from the table of fields, and what a submitted form changes.

**Two people at once.** The form carries the revision that it was made from, and a digest of each
value that it showed. If the entry has another revision by the time it is saved, the digests tell
which fields this user has changed. `merged` is a form with these changes over the entry as it is
now. Nothing typed is lost, and nothing that others changed meanwhile is undone.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django import forms

from habeat.contrib.django.schedule_form import KEPT, KINDS, ScheduleForm, initial_of
from habeat.contrib.django.times import SpanField, WhenField, zone_name
from habeat.core.entry import Entry
from habeat.entries.fields import FIELDS, Field
from habeat.entries.values import Form
from habeat.errors import ValidationError
from habeat.printable import kind_of, printable

#: Fields whose values may be secret: shown only to those who may change entries.
SECRET = ("args", "kwargs", "options")

_GROUPS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("What to send", ("name", "task", "args", "kwargs", "queue", "options")),
    ("When", (*ScheduleForm.schedule_fields, "start", "end", "max_runs", "jitter", "spread")),
    ("About it", ("enabled", "tags", "description")),
)
_MORE = "Late and lost messages"
_BY_NAME = {field.name: field for field in FIELDS}
_LABELS = {
    "args": "Positional arguments",
    "kwargs": "Keyword arguments",
    "max_runs": "Maximum runs",
}


class JsonField(forms.JSONField):
    """A JSON list or object; empty input is an empty one.

    A stored value that is not plain JSON, such as a datetime, is shown and cannot be changed.
    """

    def __init__(self, kind: type, what: str, **options: Any) -> None:
        options.setdefault("help_text", f"{what[:1].upper()}{what[1:]}.")
        super().__init__(
            required=False, widget=forms.Textarea({"rows": 2, "spellcheck": "false"}), **options
        )
        self._kind, self._what = kind, what

    def to_python(self, value: Any) -> Any:
        if self.disabled:
            return value
        try:
            found = super().to_python(value)
        except (ValueError, RecursionError):  # too many digits, or too deep
            raise forms.ValidationError(f"Expected {self._what}.") from None
        found = self._kind() if found is None else found
        if not isinstance(found, self._kind):
            raise forms.ValidationError(f"Expected {self._what}, got {kind_of(found)}.")
        return found

    def bound_data(self, data: Any, initial: Any) -> Any:
        return initial if self.disabled else data

    def prepare_value(self, value: Any) -> Any:
        if value is None or isinstance(value, str):
            return value
        return _as_json(value)

    def has_changed(self, initial: Any, data: Any) -> bool:
        return not self.disabled and _changed(self, initial, data)


class TagsField(forms.CharField):
    """Tags, one per line; cleaned, they are a list."""

    def __init__(self, **options: Any) -> None:
        super().__init__(required=False, widget=forms.Textarea({"rows": 2}), **options)

    def prepare_value(self, value: Any) -> Any:
        return "\n".join(value) if isinstance(value, list) else value

    def to_python(self, value: Any) -> list[str]:
        lines = value if isinstance(value, list) else str(value or "").splitlines()
        return [line.strip() for line in lines if line.strip()]

    def has_changed(self, initial: Any, data: Any) -> bool:
        return self.to_python(initial) != self.to_python(data)


class LinesField(forms.CharField):
    """Text with line breaks as habeat stores them."""

    def __init__(self, **options: Any) -> None:
        super().__init__(required=False, strip=False, widget=forms.Textarea({"rows": 2}), **options)

    def to_python(self, value: Any) -> str:
        return str(super().to_python(value)).replace("\r\n", "\n")


class EntryForm(ScheduleForm):
    """The form of a new entry, or (with `entry`) of a stored one."""

    name = forms.CharField(widget=forms.TextInput({"size": 60}))
    task = forms.CharField(widget=forms.TextInput({"size": 60, "list": "habeat-tasks"}))
    queue = forms.CharField(required=False, help_text="Empty: where Celery routes the task.")
    options = JsonField(dict, 'a JSON object, such as {"expires": 60}')
    enabled = forms.BooleanField(required=False, initial=True)
    rev = forms.IntegerField(required=False, widget=forms.HiddenInput)
    seen = forms.CharField(required=False, widget=forms.HiddenInput)

    def __init__(self, *args: Any, entry: Entry | None, timezone: str, **options: Any) -> None:
        initial = {} if entry is None else values_of(entry)
        kept = None
        if entry is not None and initial["kind"] == KEPT:
            kept = entry.schedule
        options.setdefault("initial", {**initial, **options.pop("prefilled", {})})
        super().__init__(*args, kept=kept, timezone=timezone, **options)
        self.entry, self._timezone = entry, timezone
        for field in FIELDS:
            self._add(field)
        if entry is not None:
            self._fit_to(entry)
            self.initial |= {"rev": entry.rev, "seen": json.dumps(self._digests(initial))}

    def _add(self, field: Field) -> None:
        """Add the form's field for one of the table, or give the one that is there its help."""
        if field.name == "schedule":
            return
        made = self.fields.get(field.name) or _field_for(field)
        made.help_text = f"{field.meaning.replace('`', '')} {made.help_text}".strip()
        made.label = _LABELS.get(field.name)
        self.fields[field.name] = made

    def _fit_to(self, entry: Entry) -> None:
        """Disable what the form cannot express, or may not change."""
        self.fields["name"].disabled = True
        if not isinstance(entry.task, str):
            self.fields["task"].disabled = True
            self.fields["task"].help_text = "A signature, which can only be changed by code."
        for name in SECRET:
            if not _is_plain(self.initial[name]):
                self.fields[name].disabled = True
                self.fields[name].help_text = "Not plain JSON, so it can only be changed by code."

    # -- what was submitted -------------------------------------------------------------------

    def arguments(self) -> dict[str, Any]:
        """All values as arguments of `Client.add`, without the name."""
        given = {name: self._argument(name) for name in _BY_NAME if name != "schedule"}
        return {**given, "schedule": self.schedule()}

    def changes(self) -> dict[str, Any]:
        """The changed values as arguments of `Client.update`."""
        changed = set(self.changed_data)
        if "queue" in changed:
            changed.add("options")
        given = {name: self._argument(name) for name in _BY_NAME if name in changed}
        return {**given, "schedule": self.schedule()} if self.is_rescheduled() else given

    def _argument(self, name: str) -> Any:
        value = self.cleaned_data[name]
        if name == "options":
            queue = self.cleaned_data["queue"]
            return {**value, **({"queue": queue} if queue else {})}
        return None if value == "" and name != "description" else value

    def refuse(self, error: ValidationError) -> None:
        """Show an error of the client at the field that it is about."""
        field = error.field.partition("[")[0].partition(".")[0]
        is_shown = field in self.fields and field not in ("rev", "seen")
        self.add_error(field if is_shown else _main_field(self, field), str(error))

    # -- two people at once -------------------------------------------------------------------

    @property
    def is_outdated(self) -> bool:
        """Whether the entry has changed since the form was shown."""
        return self.entry is not None and self.data.get("rev") != str(self.entry.rev)

    def merged(self) -> tuple[EntryForm, list[Conflict]]:
        """The form with this user's changes over the entry as it is now, and the differences."""
        assert self.entry is not None
        seen, now = self._seen(), self._digests(self.initial)
        mine = {name for name in self._texts() if self._digest(name) != seen.get(name)}
        data = self.data.copy()
        fresh = EntryForm(entry=self.entry, timezone=self._timezone)
        for name, text in fresh._texts().items():
            if name not in mine:
                data.setlist(name, [text] if text else [])
        data["rev"], data["seen"] = str(self.entry.rev), fresh.initial["seen"]
        form = EntryForm(data, entry=self.entry, timezone=self._timezone)
        return form, [
            Conflict(str(form[name].label), stored, self._texts()[name], is_mine=name in mine)
            for name, stored in fresh._texts().items()
            if now[name] != seen.get(name) and (name not in mine or now[name] != self._digest(name))
        ]

    def _texts(self) -> dict[str, str]:
        """What each field shows, as it is submitted."""
        return {
            name: _text(self[name]) for name in self.fields if name not in ("name", "rev", "seen")
        }

    def _seen(self) -> dict[str, str]:
        try:
            found = json.loads(self.data.get("seen", ""))
        except (ValueError, RecursionError):
            return {}
        return found if isinstance(found, dict) else {}

    def _digest(self, name: str) -> str:
        """The digest of what was submitted; a disabled field is not."""
        field, bound = self.fields[name], self[name]
        return _digest_of(field, bound.initial if field.disabled else bound.data)

    def _digests(self, initial: Mapping[str, Any]) -> dict[str, str]:
        return {
            name: _digest_of(field, initial.get(name, field.initial))
            for name, field in self.fields.items()
            if name not in ("name", "rev", "seen")
        }

    # -- how it is shown ----------------------------------------------------------------------

    def groups(self) -> Iterator[tuple[str, list[Any], bool]]:
        """Headings with their fields, and whether the group is folded away at first."""
        placed = {"rev", "seen"}
        for heading, names in _GROUPS:
            placed |= set(names)
            yield heading, [self[name] for name in names], False
        rest = [self[name] for name in self.fields if name not in placed]
        set_at_all = any(field.value() not in (None, "") or field.errors for field in rest)
        yield _MORE, rest, not set_at_all


@dataclass(frozen=True, slots=True)
class Conflict:
    """A field that changed meanwhile: what is stored, what this user saw or typed."""

    label: str
    stored: str
    yours: str
    is_mine: bool


def values_of(entry: Entry) -> dict[str, Any]:
    """The values of the form's fields for this entry."""
    options = dict(entry.options)
    queue = options.pop("queue") if isinstance(options.get("queue"), str) else ""
    shown = {
        **{field.name: _initial(field, entry) for field in FIELDS if field.name != "schedule"},
        **initial_of(entry.name, entry.schedule),
        "name": printable(entry.name),
        "task": entry.task_name,
        "queue": queue,
    }
    texts = {name: _encodable(value) for name, value in shown.items() if name not in SECRET}
    return {**texts, **{name: shown[name] for name in SECRET}, "options": options}


def _initial(field: Field, entry: Entry) -> Any:
    value, form = getattr(entry, field.stored), field.kind.form
    if form is Form.WHEN:
        return getattr(entry, field.name)
    if form is Form.SPAN:
        return None if value is None or value == field.default else value / 1_000
    if form in (Form.LIST, Form.TAGS):
        return list(value)
    if form is Form.WORD:
        return "" if value is None else str(value)
    return dict(value) if form is Form.OBJECT else value


def _field_for(field: Field) -> Any:
    form = field.kind.form
    if form is Form.LIST:
        return JsonField(list, "a JSON list, such as [1, 2]")
    if form is Form.OBJECT:
        return JsonField(dict, 'a JSON object, such as {"a": 1}')
    if form is Form.WORD:
        choices = [("", "as the app's settings say"), *((word, word) for word in field.kind.words)]
        return forms.ChoiceField(required=False, choices=choices)
    if form is Form.WHEN:
        return WhenField(help_text=f"In {zone_name()}.")
    return _PLAIN_FIELDS[form]()


_PLAIN_FIELDS: Mapping[Form, Any] = {
    Form.TEXT: LinesField,
    Form.TAGS: lambda: TagsField(help_text="One per line."),
    Form.SPAN: SpanField,
    Form.COUNT: lambda: forms.IntegerField(required=False, min_value=1),
    Form.PACE: lambda: forms.FloatField(required=False),
}


def _main_field(form: EntryForm, field: str) -> str | None:
    """Where to show an error about a field that the form does not have."""
    if field != "schedule":
        return None
    kind = form.cleaned_data.get("kind", KEPT)
    return "kind" if kind == KEPT else KINDS[kind].fields[0]


def _text(bound: Any) -> str:
    """The value of a bound field as a browser would submit it."""
    value, widget = bound.value(), bound.field.widget
    if isinstance(widget, forms.CheckboxInput):
        return "on" if value else ""
    if isinstance(widget, forms.Select):
        return str(value or "")
    return str(widget.format_value(value) or "")


def _changed(field: Any, initial: Any, data: Any) -> bool:
    try:
        return _canonical(initial) != _canonical(field.to_python(data))
    except forms.ValidationError:
        return True


def _digest_of(field: Any, value: Any) -> str:
    """A digest of what a field has, equal for different spellings of one value."""
    with suppress(forms.ValidationError):  # invalid input differs from everything stored
        value = field.to_python(value)
    return hashlib.sha256(_canonical(value).encode()).hexdigest()[:16]


def _canonical(value: Any) -> str:
    if isinstance(value, datetime):
        value = value.astimezone(UTC).replace(microsecond=0).isoformat()
    return json.dumps("" if value is None else value, sort_keys=True, default=str)


def _as_json(value: Any) -> str:
    """JSON on one line, with escapes for what is not printable or cannot be encoded."""
    written = json.dumps(value, ensure_ascii=False, default=str)
    if written.isprintable():
        return written
    return "".join(char if char.isprintable() else json.dumps(char)[1:-1] for char in written)


def _encodable(value: Any) -> Any:
    """Text without lone surrogates, which no page can contain."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    return [_encodable(each) for each in value] if isinstance(value, list) else value


def _is_plain(value: Any) -> bool:
    try:
        return bool(json.loads(json.dumps(value)) == value)
    except (TypeError, ValueError, RecursionError):
        return False
