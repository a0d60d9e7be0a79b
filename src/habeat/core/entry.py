"""An entry: what to send, when, and by which policies; and its state in Redis.

`Entry` is the definition, `EntryState` the runtime state that is read with it. Both are values:
nothing here reads a clock or a network.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Literal

from habeat.core.offsets import offset_ms
from habeat.errors import ValidationError
from habeat.schedules.schedule import FIRST_MS, LAST_MS, Run, Schedule

NAME_MAX_CHARS = 1_000
PACE_MAX = 1_000.0

Owner = Literal["config", "api"]
Condition = Literal["active", "paused", "disabled", "quarantined", "exhausted"]

#: The fields of policies that an entry may set for itself.
POLICIES = (
    "misfire",
    "misfire_grace_ms",
    "misfire_limit",
    "misfire_window_ms",
    "misfire_pace",
    "delivery",
)


class Misfire(enum.StrEnum):
    """What to do with slots found later than their grace (see core/catchup.py)."""

    LATEST = "latest"
    ALL = "all"
    SKIP = "skip"


class Delivery(enum.StrEnum):
    """What to do when a crash leaves it unclear whether a message was sent: resend or drop it."""

    AT_LEAST_ONCE = "at_least_once"
    AT_MOST_ONCE = "at_most_once"


@dataclass(frozen=True, slots=True)
class Policies:
    """The policies of one entry, with the app's defaults filled in."""

    misfire: Misfire = Misfire.LATEST
    misfire_grace_ms: int = 60_000
    misfire_limit: int = 1_000
    delivery: Delivery = Delivery.AT_LEAST_ONCE
    #: Misfires older than this are missed regardless of the policy; None for no limit.
    misfire_window_ms: int | None = None
    #: How many misfires of one entry fire per second under ``all``.
    misfire_pace: float = 50.0


def instant(at_ms: int | None) -> datetime | None:
    """Unix milliseconds as an aware UTC datetime."""
    return None if at_ms is None else datetime.fromtimestamp(at_ms / 1000, UTC)


@dataclass(frozen=True, slots=True)
class EntryState:
    """The state of an entry at the moment it was read; the instants are Unix ms."""

    cursor_ms: int = 0
    next_slot_ms: int | None = None
    due_ms: int | None = None
    last_fired_ms: int | None = None
    fired: int = 0
    paused: str | None = None
    paused_at_ms: int | None = None
    paused_until_ms: int | None = None
    quarantined: str | None = None

    @property
    def next_due(self) -> datetime | None:
        return instant(self.due_ms)

    @property
    def last_fired(self) -> datetime | None:
        return instant(self.last_fired_ms)


@dataclass(frozen=True, slots=True)
class Entry:
    """A named definition: task, arguments, schedule, policies.

    `task` is a task's name, or a signature or canvas as a mapping. Policies that are None
    follow the app's setting. `from_code` names the parts ("args", "schedule") that only code
    can express; the leader looks them up in its own beat_schedule. `extra` has the keys of the
    stored definition that this release does not know: a newer release wrote them, and they are
    written back unchanged.
    """

    name: str
    task: str | Mapping[str, Any]
    schedule: Schedule
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    enabled: bool = True
    tags: tuple[str, ...] = ()
    description: str = ""
    owner: Owner = "api"
    misfire: Misfire | None = None
    misfire_grace_ms: int | None = None
    misfire_limit: int | None = None
    delivery: Delivery | None = None
    misfire_window_ms: int | None = None
    misfire_pace: float | None = None
    start_ms: int | None = None
    end_ms: int | None = None
    max_runs: int | None = None
    jitter_ms: int = 0
    spread_ms: int = 0
    deadline_ms: int | None = None
    from_code: tuple[str, ...] = ()
    rev: int = 1
    created_ms: int = 0
    generation: int = 0
    fingerprint: str = ""
    extra: Mapping[str, Any] = field(default_factory=dict)
    state: EntryState = field(default_factory=EntryState, compare=False)

    def policies(self, defaults: Policies) -> Policies:
        """The entry's own policies, with `defaults` for those it does not set."""
        own = {name: value for name in POLICIES if (value := getattr(self, name)) is not None}
        return replace(defaults, **own) if own else defaults

    def effective_ms(self, slot_ms: int) -> int:
        """When the firing of `slot_ms` is due: the slot plus its spread and its jitter."""
        if not self.jitter_ms and not self.spread_ms:
            return slot_ms
        following_ms = self.schedule.next_after_ms(slot_ms)
        room_ms = LAST_MS - slot_ms if following_ms is None else following_ms - slot_ms - 1
        return slot_ms + offset_ms(self.name, slot_ms, self.spread_ms, self.jitter_ms, room_ms)

    def next_slot_ms(self, after_ms: int) -> int | None:
        """The first slot strictly after `after_ms`, between `start_ms` and `end_ms`."""
        if self.start_ms is not None:
            after_ms = max(after_ms, self.start_ms - 1)
        slot_ms = self.schedule.next_after_ms(after_ms)
        if slot_ms is None or (self.end_ms is not None and slot_ms > self.end_ms):
            return None
        return slot_ms

    def count_between(self, after_ms: int, until_ms: int, limit: int | None = None) -> Run | None:
        """The slots in ``after < slot <= until`` as one run; see `Schedule.count_between`."""
        if self.start_ms is not None:
            after_ms = max(after_ms, self.start_ms - 1)
        if self.end_ms is not None:
            until_ms = min(until_ms, self.end_ms)
        return self.schedule.count_between(after_ms, until_ms, limit)

    def runs_left(self, fired: int) -> int | None:
        """How many firings are left of `max_runs`; None if there is no limit."""
        return None if self.max_runs is None else max(0, self.max_runs - fired)

    @property
    def condition(self) -> Condition:
        """One word: active, paused, disabled, quarantined or exhausted."""
        if self.state.quarantined is not None:
            return "quarantined"
        if self.state.paused is not None:
            return "paused"
        if not self.enabled:
            return "disabled"
        return "active" if self.state.due_ms is not None else "exhausted"

    @property
    def task_name(self) -> str:
        """The task's name; for a signature, the name of its task or canvas."""
        return self.task if isinstance(self.task, str) else str(self.task.get("task", "?"))


def validated(entry: Entry) -> Entry:
    """`entry` if every field is valid; otherwise ValidationError, which names the field."""
    for name, given, allowed, ok in _checks(entry):
        if not ok:
            raise ValidationError(name, given, allowed, entry=entry.name)
    return entry


def _checks(entry: Entry) -> list[tuple[str, object, str, bool]]:
    return [
        (
            "name",
            entry.name,
            f"1 to {NAME_MAX_CHARS} printable characters",
            _is_text(entry.name)
            and 0 < len(entry.name) <= NAME_MAX_CHARS
            and entry.name.isprintable(),
        ),
        (
            "task",
            entry.task,
            "a task's name, a task or a signature",
            bool(entry.task) and (_is_text(entry.task) or isinstance(entry.task, Mapping)),
        ),
        ("schedule", entry.schedule, "a schedule", isinstance(entry.schedule, Schedule)),
        (
            "args",
            entry.args,
            "a list or tuple",
            isinstance(entry.args, (list, tuple)),
        ),
        ("kwargs", entry.kwargs, "a mapping with string keys", _text_keys(entry.kwargs)),
        ("options", entry.options, "a mapping with string keys", _text_keys(entry.options)),
        ("enabled", entry.enabled, "True or False", isinstance(entry.enabled, bool)),
        (
            "tags",
            entry.tags,
            "a list of strings",
            all(_is_text(tag) for tag in entry.tags),
        ),
        ("description", entry.description, "a string", isinstance(entry.description, str)),
        *_amounts(entry),
    ]


def _amounts(entry: Entry) -> list[tuple[str, object, str, bool]]:
    seconds = "0 seconds or more"
    whole = _at_least(entry.start_ms, FIRST_MS) and _at_least(entry.end_ms, FIRST_MS)
    bounds = (entry.start_ms, entry.end_ms) if whole else (None, None)
    return [
        ("start and end", (entry.start_ms, entry.end_ms), "instants in whole milliseconds", whole),
        ("misfire_grace", entry.misfire_grace_ms, seconds, _at_least(entry.misfire_grace_ms, 0)),
        (
            "misfire_window",
            entry.misfire_window_ms,
            seconds,
            _at_least(entry.misfire_window_ms, 0),
        ),
        (
            "misfire_limit",
            entry.misfire_limit,
            "a whole number, 0 or more",
            _at_least(entry.misfire_limit, 0),
        ),
        (
            "misfire_pace",
            entry.misfire_pace,
            "firings per second, more than 0 and at most 1000",
            entry.misfire_pace is None
            or (_is_number(entry.misfire_pace) and 0 < entry.misfire_pace <= PACE_MAX),
        ),
        ("max_runs", entry.max_runs, "a whole number, 1 or more", _at_least(entry.max_runs, 1)),
        ("jitter", entry.jitter_ms, seconds, _is_whole(entry.jitter_ms, 0)),
        ("spread", entry.spread_ms, seconds, _is_whole(entry.spread_ms, 0)),
        ("deadline", entry.deadline_ms, "more than 0 seconds", _at_least(entry.deadline_ms, 1)),
        (
            "end",
            instant(bounds[1]),
            "an instant after the start",
            None in bounds or bool(bounds[0] < bounds[1]),  # type: ignore[operator]
        ),
    ]


def _at_least(value: object, least: int) -> bool:
    return value is None or _is_whole(value, least)


def _is_whole(value: object, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= LAST_MS


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _text_keys(value: object) -> bool:
    return isinstance(value, Mapping) and all(isinstance(key, str) for key in value)
