"""`Scheduler.schedule`: the entries of this deploy's code, as Celery's `ScheduleEntry`.

Handlers of `beat_init` and older SDKs read and change `scheduler.schedule`, directly or through
`add`, `update_from_dict` and `merge_inplace`. Until the first tick, that changes what this replica
declares, as it would be with Celery's beat. Afterwards the entries live in Redis, where all
replicas see them, and a change made here would concern one process only: it raises `BeatRuns`,
which names the call to use.

An entry is made when it is first read, so a beat_schedule with many entries costs nothing here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping
from typing import Any

from celery import Celery
from celery.beat import ScheduleEntry

from habeat.beat.declared.shown_schedules import to_celery
from habeat.entries.fields import OWN
from habeat.errors import BeatRuns, ValidationError
from habeat.schedules import Schedule

EDITABLE = frozenset(("task", "schedule", "args", "kwargs", "options"))
STATE = frozenset(("last_run_at", "total_run_count"))


class DeclaredEntry(ScheduleEntry):
    """An entry of beat_schedule as Celery shows it; it also takes habeat's own fields.

    `last_run_at` and `total_run_count` are those of a new entry: the state is in Redis.
    """

    def __init__(
        self,
        name: Any = None,
        task: Any = None,
        last_run_at: Any = None,
        total_run_count: Any = None,
        schedule: Any = None,
        args: Any = (),
        kwargs: Any = None,
        options: Any = None,
        relative: bool = False,
        app: Any = None,
        **own: Any,
    ) -> None:
        unknown = sorted(set(own) - set(OWN))
        if unknown:
            raise TypeError(
                f"unknown field {unknown[0]!r} of entry {name!r}: expected Celery's fields or one "
                f"of {', '.join(sorted(OWN))}"
            )
        if isinstance(schedule, str):  # Celery would fail with an AttributeError
            expected = "seconds, a timedelta, a schedule of Celery's or of habeat's"
            raise ValidationError("schedule", schedule, expected, entry=str(name))
        shown = to_celery(schedule, app) if isinstance(schedule, Schedule) else schedule
        super().__init__(
            name=name,
            task=task,
            last_run_at=last_run_at,
            total_run_count=total_run_count,
            schedule=shown,
            args=args,
            kwargs=kwargs,
            options=options,
            relative=relative,
            app=app,
        )
        self._own = own
        self._relative = relative
        #: The schedule as given, and what it is shown as; replacing what is shown replaces it.
        self._given_as = (schedule, self.schedule)

    def __setattr__(self, name: str, value: Any) -> None:
        held_by = self.__dict__.get("_held_by")
        if held_by is not None and name in EDITABLE:
            held_by.refuse_if_closed(f"changing entry {self.name!r}")
        if held_by is not None and name in STATE:
            raise RuntimeError(
                f"setting {name} of entry {self.name!r} has no effect, because Redis says when it "
                "last ran: call habeat.Client(app).trigger to have it fire now"
            )
        super().__setattr__(name, value)

    def held_by(self, entries: ShownEntries) -> None:
        """Refuse changes once `entries` is closed."""
        self.__dict__["_held_by"] = entries

    def update(self, other: Any) -> None:
        """Take the editable fields of another entry, and habeat's own fields if it has them."""
        for name in sorted(EDITABLE):
            setattr(self, name, getattr(other, name))
        if isinstance(other, DeclaredEntry):
            self._own, self._relative = other._own, other._relative
            self._given_as = other._given_as

    @staticmethod
    def copy_to_send(entry: ScheduleEntry) -> ScheduleEntry:
        """A copy with headers of its own, because Celery adds one while it sends."""
        if not isinstance(entry, DeclaredEntry):
            return entry
        sent = entry._free_copy()
        headers = sent.options.get("headers")
        sent.options = {**sent.options, "headers": dict(headers or {})}
        return sent

    def _free_copy(self) -> DeclaredEntry:
        free = object.__new__(type(self))
        free.__dict__.update(self.__dict__)
        free.__dict__.pop("_held_by", None)
        return free

    def _next_instance(self, last_run_at: Any = None) -> DeclaredEntry:
        following = self._free_copy()
        following.last_run_at = last_run_at or self.default_now()
        following.total_run_count = self.total_run_count + 1
        return following

    __next__ = next = _next_instance

    def __iter__(self) -> Iterator[tuple[str, Any]]:
        mine = vars(self).items()
        return iter([(name, value) for name, value in mine if not name.startswith("_")])

    # Equality compares the editable fields; like Celery's entries, these are not hashable.
    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        return bool(super().__eq__(other))

    def definition(self) -> dict[str, Any]:
        """The entry as it would be written in beat_schedule."""
        given, shown_as = self._given_as
        schedule = given if self.schedule is shown_as else self.schedule
        return {**_fields_of(self), **self._own, "schedule": schedule, "relative": self._relative}


class ShownEntries(MutableMapping[str, ScheduleEntry]):
    """Names and entries; `closed` at the first tick."""

    def __init__(self, app: Celery, check: Callable[[str, Mapping[str, Any]], None]) -> None:
        """`check` raises ValidationError for an entry that cannot be scheduled."""
        self._app = app
        self._check = check
        self._given: dict[str, Mapping[str, Any]] = {}
        self._made: dict[str, ScheduleEntry] = {}
        self._hidden: set[str] = set()
        self._changed = False
        self._closed = False

    def fill(self, given: Mapping[str, Any], hidden: Iterable[str]) -> None:
        """Take a translated beat_schedule; `hidden` names the entries that are not scheduled."""
        self._given, self._made = dict(given), {}
        self._hidden, self._changed = set(hidden), False

    def close(self) -> None:
        """From now on, refuse changes."""
        self._closed = True

    @property
    def closed(self) -> bool:
        return self._closed

    def refuse_if_closed(self, what: str) -> None:
        """Raise BeatRuns if beat has begun to schedule."""
        if self._closed:
            raise BeatRuns(what)

    @property
    def touched(self) -> bool:
        """Whether other code may have changed an entry since `fill`: it added, removed or read one.

        Reading counts, because the options of an entry can be changed in place.
        """
        return self._changed or bool(self._made)

    def definitions(self) -> dict[str, Any]:
        """All entries in the form of beat_schedule, those that are not scheduled included."""
        made = {name: _definition(entry) for name, entry in self._made.items()}
        return {**self._given, **made}

    # -- MutableMapping ---------------------------------------------------------------------

    def __getitem__(self, name: str) -> ScheduleEntry:
        if name in self._hidden:
            raise KeyError(name)
        if name not in self._made:
            given = self._given[name]
            entry = DeclaredEntry(**{**given, "name": name, "app": self._app})
            entry.held_by(self)
            self._made[name] = entry
        return self._made[name]

    def __setitem__(self, name: str, entry: ScheduleEntry) -> None:
        self.refuse_if_closed(f"setting entry {name!r}")
        if not isinstance(entry, ScheduleEntry):
            expected = "a ScheduleEntry; add() and update_from_dict() make one"
            raise ValidationError("value", type(entry).__name__, expected, entry=str(name))
        definition = _definition(entry)
        self._check(name, definition)
        if isinstance(entry, DeclaredEntry):
            entry.held_by(self)
        self._given[name], self._made[name] = definition, entry
        self._hidden.discard(name)
        self._changed = True

    def __delitem__(self, name: str) -> None:
        self.refuse_if_closed(f"removing entry {name!r}")
        if name not in self:
            raise KeyError(name)
        del self._given[name]
        self._made.pop(name, None)
        self._changed = True

    def __contains__(self, name: object) -> bool:
        return name in self._given and name not in self._hidden

    def __iter__(self) -> Iterator[str]:
        return iter([name for name in self._given if name not in self._hidden])

    def __len__(self) -> int:
        return len(self._given) - len(self._hidden & self._given.keys())

    def __repr__(self) -> str:
        return f"<entries of beat_schedule: {len(self)}>"


def _fields_of(entry: ScheduleEntry) -> dict[str, Any]:
    return {name: getattr(entry, name) for name in ("task", "args", "kwargs", "options")}


def _definition(entry: ScheduleEntry) -> dict[str, Any]:
    if isinstance(entry, DeclaredEntry):
        return entry.definition()
    return {**_fields_of(entry), "schedule": entry.schedule}
