"""This deploy's beat_schedule, translated entry by entry.

It has the entries of `app.conf.beat_schedule`, where ``add_periodic_task`` puts its own, and
Celery's default entry. An entry that cannot be translated or stored is reported with the reason,
and the others are used. Lazy arguments and the user's schedule classes exist only in code and
cannot be stored. The stored definition says which parts those are, and a leader takes them from its
own code.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import cached_property
from typing import Any

from celery import Celery
from celery.beat import ScheduleEntry
from celery.schedules import crontab

from habeat.beat.declared.celery_schedules import LiveSchedule, to_schedule
from habeat.beat.message.send_path import is_lazy
from habeat.beat.message.template_limits import OptionReaders
from habeat.config.from_app import timezone_of
from habeat.core.entry import Entry, Policies
from habeat.core.limits import DEFAULT_LIMITS, Limits, check_entry
from habeat.entries.celery_schedules import own_code
from habeat.entries.codec import encode, encode_checked
from habeat.entries.fields import OWN, read_fields, validated
from habeat.entries.names import plain_name
from habeat.entries.options import KNOWN, check_names, is_misspelt
from habeat.entries.serializers import (
    JSON,
    changed_by_json,
    check_carried,
    check_compression,
    check_serializer,
)
from habeat.entries.values import span_ms
from habeat.errors import ValidationError
from habeat.printable import kind_of, repr_of

_CELERY_KEYS = ("task", "schedule", "args", "kwargs", "options", "relative", "name", "app")
_IGNORED_KEYS = ("last_run_at", "total_run_count")
DEFAULT_POLICIES = Policies()
_SHAPES: Mapping[str, tuple[type, str]] = {
    "args": (Iterable, "a list or tuple"),
    "kwargs": (Mapping, "a mapping"),
    "options": (Mapping, "a mapping"),
}
_ENTRY_KEYS = frozenset((*_CELERY_KEYS, *_IGNORED_KEYS, *OWN))


@dataclass(frozen=True)
class BeatSchedule:
    """The entries of this deploy's code; `broken` has those that cannot be used, and why."""

    entries: Mapping[str, Entry] = field(default_factory=dict)
    raw: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    broken: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def fingerprint(self) -> str:
        """A hash of the whole beat_schedule, the same on all replicas of one deploy."""
        whole = hashlib.sha1(usedforsecurity=False)
        for name in sorted(self.entries):
            whole.update(f"{name}\0{self.entries[name].fingerprint}\0".encode())
        return whole.hexdigest()[:16]


def declare(
    app: Celery,
    schedule: Mapping[str, Any],
    limits: Limits = DEFAULT_LIMITS,
    policies: Policies = DEFAULT_POLICIES,
) -> BeatSchedule:
    """Translate a beat_schedule; entries that are invalid or exceed the limits are in `broken`.

    `policies` are the app's.
    """
    entries: dict[str, Entry] = {}
    raw: dict[str, Mapping[str, Any]] = {}
    broken: dict[str, str] = {}
    zone, readers = timezone_of(app.conf), OptionReaders(app)
    for key, given in schedule.items():
        name = f"{repr_of(key)} ({type(key).__name__})"
        try:
            name = _new_name(key, raw)
            raw[name] = _fields_of(given)
            _check_options(readers, raw[name], limits)
            entry = _entry(app, name, raw[name], zone, policies)
            entries[name] = _stored(validated(entry), limits)
        except ValidationError as error:
            broken[name] = str(error.of_entry(""))
        except Exception as error:
            broken[name] = f"{type(error).__name__}: {error}"
    return BeatSchedule(entries, raw, broken)


def _fields_of(given: Any) -> dict[str, Any]:
    """The fields of an entry, which may be a `ScheduleEntry`, too; ValidationError."""
    if not isinstance(given, Mapping | ScheduleEntry):
        raise ValidationError("entry", given, "a mapping with task, schedule and so on")
    fields = dict(given)
    for name, (kind, allowed) in _SHAPES.items():
        if fields.get(name) is not None and not isinstance(fields[name], kind):
            raise ValidationError(name, kind_of(fields[name]), allowed)
    return fields


def _new_name(key: Any, others: Container[str]) -> str:
    """The name that a key of beat_schedule stands for; ValidationError if another has it."""
    name = plain_name(key)
    if name in others:  # such as 1 and "1"
        raise ValidationError("name", key, "a name that no other entry has")
    return name


def check(app: Celery, name: str, given: Mapping[str, Any], limits: Limits) -> None:
    """Raise the reason why this entry could not be scheduled, mostly a ValidationError."""
    _check_options(OptionReaders(app), _fields_of(given), limits)
    entry = _entry(app, name, given, timezone_of(app.conf), DEFAULT_POLICIES)
    _stored(validated(entry), limits)


def _entry(
    app: Celery, name: str, given: Mapping[str, Any], zone: str, policies: Policies
) -> Entry:
    unknown = sorted(set(given) - _ENTRY_KEYS)
    if unknown:
        allowed = "one of " + ", ".join(sorted(_ENTRY_KEYS))
        problem = f"unknown key {str(unknown[0])!r}"
        raise ValidationError(
            str(unknown[0]), given[unknown[0]], allowed, entry=name, problem=problem
        )
    for required in ("task", "schedule"):
        if required not in given:
            raise ValidationError(
                required, None, "a value", entry=name, problem=f"{required} is missing"
            )
    relative = bool(given.get("relative"))
    schedule = to_schedule(given["schedule"], app, zone=zone, relative=relative).bound(name, zone)
    args, kwargs = given.get("args") or (), given.get("kwargs") or {}
    lazy = is_lazy(args, kwargs)
    if not lazy and (serializer := _serializer_of(app, given)) != JSON:
        check_carried(args, kwargs, serializer)
        lazy = any(changed_by_json([*args, dict(kwargs)]))
    task = given["task"]
    deadline = _starting_deadline(app, given["schedule"], policies)
    return Entry(
        name=name,
        task=task if isinstance(task, str) else _task(task),
        schedule=schedule,
        args=() if lazy else tuple(args),
        kwargs={} if lazy else dict(kwargs),
        options=_options(given.get("options")),
        owner="config",
        rev=0,
        from_code=(("args",) if lazy else ())
        + (("schedule",) if isinstance(schedule, LiveSchedule) else ()),
        **(deadline | _own(given)),
    )


def _stored(entry: Entry, limits: Limits) -> Entry:
    """The entry with its fingerprint, a digest of its stored form without the order of keys.

    Options may hold queues and exchanges as objects; then the options exist only in code. `expires`
    is stored even so, because the planner needs it to skip firings that are too late to send.
    """
    try:
        written = encode_checked(entry) if entry.args or entry.kwargs else encode(entry)
    except ValidationError as error:
        if not error.field.startswith("options"):
            raise
        known = {key: value for key, value in entry.options.items() if key == "expires"}
        entry = replace(entry, options=known, from_code=(*entry.from_code, "options"))
        written = encode(entry)
    check_entry(entry, len(written), limits)
    # The order of keys may come from a set, and so differ between processes: it does not count.
    ordered = json.dumps(json.loads(written), sort_keys=True).encode()
    fingerprint = hashlib.sha1(ordered, usedforsecurity=False).hexdigest()
    object.__setattr__(entry, "fingerprint", fingerprint)  # safe: the entry is not shared yet
    return entry


def _serializer_of(app: Celery, given: Mapping[str, Any]) -> str:
    """The serializer of this entry's messages; ValidationError if it is not installed."""
    task = app.tasks.get(given["task"]) if isinstance(given["task"], str) else None
    options = given.get("options") or {}
    if options.get("compression"):
        check_compression(options["compression"])
    own = options.get("serializer") or getattr(task, "serializer", None)
    name = str(own or app.conf.task_serializer)
    check_serializer(name)
    return name


def _check_options(readers: OptionReaders, given: Mapping[str, Any], limits: Limits) -> None:
    """ValidationError for an option that nothing reads.

    If Celery passes the options to code of the project, that code may read any of them. Then only
    names that look misspelt are refused.
    """
    options = given.get("options") or {}
    try:
        check_names(options, limits.own_options)
    except ValidationError:
        others = [name for name in options if name not in KNOWN and not is_misspelt(name)]
        if not others or not readers.see(given.get("task")):
            raise
        check_names(options, (*limits.own_options, *others))


def _options(given: Mapping[str, Any] | None) -> dict[str, Any]:
    """The options, with `expires` in seconds, because a timedelta cannot be stored."""
    options = dict(given or {})
    if isinstance(expires := options.get("expires"), timedelta):
        options["expires"] = expires.total_seconds()
    return options


def _starting_deadline(app: Celery, schedule: Any, policies: Policies) -> dict[str, int]:
    """`beat_cron_starting_deadline` as policies: how late a slot of a crontab may still fire.

    In Celery, `crontab.is_due` applies it. A class with code of its own is asked, so it applies the
    deadline itself or ignores it, as django-celery-beat's does.
    """
    given = app.conf.beat_cron_starting_deadline
    asked = own_code(schedule) or getattr(type(schedule), "is_due", None) is not crontab.is_due
    if given is None or asked:
        return {}
    deadline_ms = span_ms("beat_cron_starting_deadline", given)
    window_ms = policies.misfire_window_ms
    window_ms = deadline_ms if window_ms is None else min(window_ms, deadline_ms)
    found = {"misfire_window_ms": window_ms}
    if deadline_ms < policies.misfire_grace_ms:  # the misfire window does not cut below the grace
        found["misfire_grace_ms"] = deadline_ms
    return found


def _task(task: Any) -> Any:
    return dict(task) if isinstance(task, Mapping) else getattr(task, "name", task)


def _own(given: Mapping[str, Any]) -> dict[str, Any]:
    """habeat's own fields of an entry; None means the default, as for `Client.add`."""
    found = {key: given[key] for key in OWN if given.get(key) is not None}
    return read_fields(found)
