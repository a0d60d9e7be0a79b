"""An entry: what to send, when, and by which policies; and its state in Redis.

`Entry` is the definition, `EntryState` the runtime state that is read with it. Both are values:
nothing here reads a clock or a network.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import datetime, timedelta
from typing import Any, Literal

from habeat.core.offsets import offset_ms
from habeat.schedules.schedule import LAST_MS, Run, Schedule, moment

PACE_MAX = 1_000.0

Owner = Literal["config", "api"]
Condition = Literal["active", "failing", "paused", "disabled", "quarantined", "exhausted"]


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

    @property
    def misfire_grace(self) -> timedelta:
        return timedelta(milliseconds=self.misfire_grace_ms)

    @property
    def misfire_window(self) -> timedelta | None:
        return span(self.misfire_window_ms)


#: The fields of policies that an entry may set for itself.
POLICIES = tuple(each.name for each in fields(Policies))


def instant(at_ms: int | None) -> datetime | None:
    """Unix milliseconds as an aware UTC datetime."""
    return None if at_ms is None else moment(at_ms)


def span(length_ms: int | None) -> timedelta | None:
    """Milliseconds as a timedelta."""
    return None if length_ms is None else timedelta(milliseconds=length_ms)


@dataclass(frozen=True, slots=True)
class EntryState:
    """The state of an entry at the moment it was read.

    `paused` is the reason of a pause, which may be "", `quarantined` the reason of a quarantine;
    both are None otherwise. `fired` counts against `max_runs`. `failing` is true while its circuit
    is open (core/circuit.py). The properties are aware datetimes in UTC, the attributes in `_ms`
    the same in Unix ms.
    """

    cursor_ms: int = 0
    next_slot_ms: int | None = None
    due_ms: int | None = None
    last_fired_ms: int | None = None
    fired: int = 0
    paused: str | None = None
    paused_at_ms: int | None = None
    paused_until_ms: int | None = None
    quarantined: str | None = None
    failing: bool = False
    #: The prefix that `adopt` is moving it to; "" if it is not being moved.
    moving_to: str = ""

    @property
    def next_due(self) -> datetime | None:
        return instant(self.due_ms)

    @property
    def next_slot(self) -> datetime | None:
        return instant(self.next_slot_ms)

    @property
    def last_fired(self) -> datetime | None:
        return instant(self.last_fired_ms)

    @property
    def paused_at(self) -> datetime | None:
        return instant(self.paused_at_ms)

    @property
    def paused_until(self) -> datetime | None:
        return instant(self.paused_until_ms)


#: What habeat itself sets in an entry.
_KEPT = ("owner", "from_code", "rev", "created_ms", "generation", "fingerprint", "extra", "state")


@dataclass(frozen=True, slots=True)
class Entry:
    """A named definition: task, arguments, schedule, policies.

    `task` is a task's name, or a signature or canvas as a mapping. Policies that are None
    follow the app's setting. `from_code` names the parts ("args", "schedule") that only code
    can express; the leader looks them up in its own beat_schedule. `extra` has the keys of the
    stored definition that this release does not know: a newer release wrote them, and they are
    written back unchanged.

    What `add` and `update` take can be read under the same name: `start` and `end` as aware
    datetimes in UTC, durations as timedeltas. `definition` has all of them. The attributes in `_ms`
    are the same in milliseconds.
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
    calendar: str = ""
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
    start_by_ms: int | None = None
    from_code: tuple[str, ...] = ()
    rev: int = 1
    created_ms: int = 0
    generation: int = 0
    fingerprint: str = ""
    extra: Mapping[str, Any] = field(default_factory=dict)
    state: EntryState = field(default_factory=EntryState, compare=False)

    def definition(self) -> dict[str, Any]:
        """The arguments of `Client.add` that make this entry: its name and all that users set."""
        names = (each.name.removesuffix("_ms") for each in fields(self) if each.name not in _KEPT)
        return {name: getattr(self, name) for name in names}

    @property
    def calendars(self) -> tuple[str, ...]:
        """The names of its calendars."""
        return tuple(self.calendar.split(",")) if self.calendar else ()

    @property
    def start(self) -> datetime | None:
        return instant(self.start_ms)

    @property
    def end(self) -> datetime | None:
        return instant(self.end_ms)

    @property
    def jitter(self) -> timedelta:
        return timedelta(milliseconds=self.jitter_ms)

    @property
    def spread(self) -> timedelta:
        return timedelta(milliseconds=self.spread_ms)

    @property
    def deadline(self) -> timedelta | None:
        return span(self.deadline_ms)

    @property
    def start_by(self) -> timedelta | None:
        return span(self.start_by_ms)

    @property
    def misfire_grace(self) -> timedelta | None:
        return span(self.misfire_grace_ms)

    @property
    def misfire_window(self) -> timedelta | None:
        return span(self.misfire_window_ms)

    @property
    def created(self) -> datetime | None:
        """When it was added, by Redis' clock; None for an entry that is not stored."""
        return instant(self.created_ms or None)

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
        """One word: active, failing, paused, disabled, quarantined or exhausted."""
        if self.state.quarantined is not None:
            return "quarantined"
        if self.state.paused is not None:
            return "paused"
        if not self.enabled:
            return "disabled"
        if self.state.due_ms is None:
            return "exhausted"
        return "failing" if self.state.failing else "active"

    @property
    def task_name(self) -> str:
        """The task's name; for a signature, the name of its task or canvas."""
        return self.task if isinstance(self.task, str) else str(self.task.get("task", "?"))
