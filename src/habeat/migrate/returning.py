"""What becomes of habeat's entries in another scheduler: decided here, purely.

**Where an entry goes on.** Another beat computes the next run from the last one. So each entry gets
a last run from which that beat comes to the first slot after habeat's cursor: neither a slot that
habeat has handled, nor one later. For a period that is the first slot minus the period. For slots
of the calendar it is the cursor itself, or the start of the entry if that is later.

**What is lost.** An entry is not carried if the other beat would run it at other times than habeat,
or without end. Whatever else that beat does not know (tags, policies for misfires, jitter) is left
out, and named.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from habeat.core.entry import POLICIES, Entry, instant
from habeat.errors import HabeatError
from habeat.schedules import Cron, Crontab, Interval, Schedule, Solar
from habeat.schedules.local import LocalSchedule
from habeat.schedules.schedule import moment

#: habeat rounds a solar event to whole seconds, so the same event may be a little after its slot.
SOLAR_MARGIN_MS = 60_000

#: Fields that no other beat has.
_UNKNOWN = ("tags", "jitter", "spread", *(name.removesuffix("_ms") for name in POLICIES))


@dataclass(frozen=True, slots=True)
class Abilities:
    """What another scheduler can express.

    `kinds` are the kinds of schedules, and `why_not` says what else is wrong with one ("" if
    nothing). `zone` is the only zone in which its crontabs count; "" if each has its own. `options`
    are the options of a message that it can store, or None for all. With `ends`, an entry can end;
    then its messages expire at its end and not earlier. If not `keeps`, it drops the entries that
    beat_schedule does not have.
    """

    name: str
    kinds: Collection[str]
    zone: str = ""
    options: Collection[str] | None = None
    ends: bool = False
    counts: bool = False
    describes: bool = False
    switches: bool = True
    keeps: bool = True
    why_not: Callable[[Schedule], str] = lambda schedule: ""


@dataclass(frozen=True, slots=True)
class Returned:
    """An entry as the other scheduler gets it.

    `last_run` leads that scheduler to `first_slot`. `ends` is the first instant at which it must no
    longer run. For a `declared` entry, the code has the rest: `schedule` is None if the other
    scheduler cannot express it. `lost` names what is left out.
    """

    name: str
    task: str
    schedule: Schedule | None
    last_run: datetime
    first_slot: datetime | None
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    enabled: bool = True
    declared: bool = False
    starts: datetime | None = None
    ends: datetime | None = None
    one_off: bool = False
    total_run_count: int = 0
    description: str = ""
    lost: tuple[str, ...] = ()


class NotReturned(Exception):
    """This entry cannot be carried: why not, and what a person may do."""

    def __init__(self, why: str, advice: str = "") -> None:
        super().__init__(why)
        self.why, self.advice = why, advice


class Spent(NotReturned):
    """This entry has no more slots."""


def returned(entry: Entry, target: Abilities, sent_until_ms: int | None = None) -> Returned:
    """The entry as `target` gets it; NotReturned.

    Slots up to `sent_until_ms` count as handled, if it is given.
    """
    after_ms = _handled_ms(entry, sent_until_ms)
    if entry.owner == "config":
        return _of_code(entry, target, after_ms)
    return _of_api(entry, target, after_ms)


def _of_api(entry: Entry, target: Abilities, after_ms: int) -> Returned:
    schedule = _expressed(entry.schedule, target)
    slot_ms = _first_slot_ms(entry, after_ms)
    if slot_ms is None:
        raise Spent("it has no more slots")
    task = _task(entry)
    _check_bounds(entry, target)
    lost = _Lost(entry, target)
    options = lost.without_unknown(_options(entry, lost))
    return Returned(
        name=entry.name,
        task=task,
        schedule=schedule,
        last_run=moment(_last_run_ms(entry, after_ms, slot_ms)),
        first_slot=instant(slot_ms),
        args=entry.args,
        kwargs=entry.kwargs,
        options=options,
        enabled=_enabled(entry, target, lost),
        starts=entry.start,
        ends=None if entry.end_ms is None else moment(entry.end_ms + 1),
        one_off=entry.max_runs is not None or schedule.kind == "once",
        total_run_count=entry.state.fired,
        description=entry.description,
        lost=lost.named(),
    )


def _of_code(entry: Entry, target: Abilities, after_ms: int) -> Returned:
    """The last run of an entry that the code declares, also for the other beat."""
    lost = _Lost(entry, target)
    for name in ("start", "end", "max_runs"):
        if getattr(entry, name) is not None:
            lost.add(name)
    slot_ms = _first_slot_ms(entry, after_ms)
    if slot_ms is None and "schedule" not in entry.from_code:
        raise Spent("it has no more slots")
    try:
        schedule: Schedule | None = _expressed(entry.schedule, target)
    except NotReturned:
        schedule = None
    return Returned(
        name=entry.name,
        task=entry.task_name,
        schedule=schedule,
        last_run=moment(after_ms if slot_ms is None else _last_run_ms(entry, after_ms, slot_ms)),
        first_slot=instant(slot_ms),
        args=entry.args,
        kwargs=entry.kwargs,
        options=lost.without_unknown(_options(entry, lost)),
        enabled=_enabled(entry, target, lost),
        declared=True,
        total_run_count=entry.state.fired,
        description=entry.description,
        lost=lost.named(),
    )


# -- when it runs next ------------------------------------------------------------------------


def _handled_ms(entry: Entry, sent_until_ms: int | None) -> int:
    """The instant up to which every slot is handled."""
    if entry.state.quarantined is not None or not entry.state.cursor_ms:
        why = entry.state.quarantined or "its state is missing"
        raise NotReturned(f"it is quarantined ({why})", "replace or remove it here first")
    return max(entry.state.cursor_ms, sent_until_ms or 0)


def _first_slot_ms(entry: Entry, after_ms: int) -> int | None:
    """The first slot that habeat has not handled; None if there is none, or only code knows it."""
    if entry.runs_left(entry.state.fired) == 0 or "schedule" in entry.from_code:
        return None
    try:
        return entry.next_slot_ms(after_ms)
    except HabeatError as error:
        raise NotReturned(str(error), "correct its schedule here first") from None


def _last_run_ms(entry: Entry, after_ms: int, slot_ms: int) -> int:
    """A last run from which the other beat comes to `slot_ms`."""
    if isinstance(entry.schedule, Interval):
        return slot_ms - entry.schedule.every_ms
    begin_ms = after_ms if entry.start_ms is None else max(after_ms, entry.start_ms - 1)
    if isinstance(entry.schedule, Solar):
        return min(begin_ms + SOLAR_MARGIN_MS, max(begin_ms, slot_ms - SOLAR_MARGIN_MS))
    return begin_ms


# -- what the other beat can express ----------------------------------------------------------


def _expressed(schedule: Schedule, target: Abilities) -> Schedule:
    """The schedule in a kind that the target has; NotReturned if it would run at other times."""
    if isinstance(schedule, Cron):
        plain = schedule.as_crontab()
        if plain is None:
            raise NotReturned(
                f"{target.name} has no cron expression with seconds, years, L, W, # or two day "
                "fields of which one is enough",
                "write it as one or more crontabs",
            )
        schedule = plain
    if schedule.kind not in target.kinds:
        raise NotReturned(f"{target.name} has no schedule of the kind {schedule.kind}")
    if isinstance(schedule, Crontab) and target.zone and not _counts_in(schedule, target.zone):
        raise NotReturned(
            f"its zone is {schedule.tz}, and crontabs of {target.name} count in {target.zone}",
            f"write its times in {target.zone}",
        )
    if why := target.why_not(schedule):
        raise NotReturned(why)
    return schedule


def _counts_in(schedule: Crontab, zone: str) -> bool:
    """Whether its fields count in this zone."""
    utc = ("UTC", "Etc/UTC", "UTC+00:00")
    return schedule.tz == zone or (schedule.tz in utc and zone in utc)


def _task(entry: Entry) -> str:
    if not isinstance(entry.task, str):
        raise NotReturned(
            "it sends a signature or a canvas, and other beats send a task's name",
            "write a task that sends it",
        )
    return entry.task


def _check_bounds(entry: Entry, target: Abilities) -> None:
    """NotReturned if the target would run it without the end that it has here."""
    if entry.end_ms is not None and not target.ends:
        raise NotReturned(f"{target.name} has no end, and it ends at {entry.end}")
    left = entry.runs_left(entry.state.fired)
    if left is not None and not (left == 1 and target.counts):
        only = "runs an entry once or without end" if target.counts else "has no limit of runs"
        raise NotReturned(f"{target.name} {only}, and it has {left} runs left")


def _options(entry: Entry, lost: _Lost) -> dict[str, Any]:
    """The options of its messages; a deadline becomes `expires`."""
    options = dict(entry.options)
    if entry.deadline_ms is not None:
        deadline_s, expires = entry.deadline_ms / 1_000, options.get("expires")
        if isinstance(expires, datetime):
            lost.add("deadline")
        else:
            options["expires"] = deadline_s if expires is None else min(expires, deadline_s)
    ends = lost.target.ends and entry.end_ms is not None
    if ends and isinstance(options.pop("expires", None), int | float):
        lost.add("options.expires")
    headers = {**options.pop("headers", {})}
    if headers.get("periodic_task_name") == entry.name:  # other beats set it themselves
        del headers["periodic_task_name"]
    return {**options, "headers": headers} if headers else options


def _enabled(entry: Entry, target: Abilities, lost: _Lost) -> bool:
    """Whether it fires; a pause becomes "disabled", as no other beat has one."""
    paused = entry.state.paused is not None
    if (paused or not entry.enabled) and not target.switches:
        raise NotReturned(
            f"it is {entry.condition} here, and {target.name} cannot switch an entry off",
            "leave it out of beat_schedule until it should fire",
        )
    if paused:
        lost.add("the pause (it is disabled instead)")
    return entry.enabled and not paused


class _Lost:
    """Collects what the target does not know."""

    def __init__(self, entry: Entry, target: Abilities) -> None:
        self._entry, self.target = entry, target
        self._names: list[str] = []

    def add(self, what: str) -> None:
        self._names.append(what)

    def without_unknown(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """The options that the target can store."""
        known = self.target.options
        if known is None:
            return dict(options)
        for name in sorted(set(options) - set(known)):
            self.add(f"options.{name}")
        return {name: value for name, value in options.items() if name in known}

    def named(self) -> tuple[str, ...]:
        entry, schedule = self._entry, self._entry.schedule
        blank = Entry("", "", schedule)
        names = [name for name in _UNKNOWN if getattr(entry, name) != getattr(blank, name)]
        if entry.description and not self.target.describes:
            names.append("description")
        if isinstance(schedule, LocalSchedule):
            names += ["gap"] if schedule.gap != "shift" else []
            names += ["fold"] if schedule.fold != "auto" else []
        return (*names, *self._names)
