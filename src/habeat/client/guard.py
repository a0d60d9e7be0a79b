"""Restrict a client that passes on the input of tenants: `habeat.Guard`.

A web application that lets tenants define entries passes on whatever they type. A guard restricts
that in one place: names, tasks, queues and options, how many entries, how often they fire. It is
part of the client, so no call site can forget it:

    client = habeat.Client(app, guard=habeat.Guard(prefix=f"tenant-{tenant.id}:",
        tasks=["reports.*"], queues=["tenants"], options=["expires"], max_entries=100,
        min_interval=60))

`prefix` and `tag` are the guard's scope. The client lists and changes only entries in its scope.
With a tag, `max_entries` is checked before the write, so simultaneous calls may exceed it. Without
a tag, simultaneous calls cannot exceed it either. A signature is checked with everything nested in
it, because a chain can send any task to any queue. A violation raises `NotAllowed`, and nothing is
written.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from fnmatch import fnmatchcase
from typing import Any

from habeat.core.entry import Entry
from habeat.entries.changes import Edit
from habeat.entries.readable import shown
from habeat.entries.values import span_ms
from habeat.errors import NotAllowed, ValidationError
from habeat.ports.entries import Stored
from habeat.schedules import Schedule

#: The shortest gap is looked for among this many slots from now.
SLOTS_LOOKED_AT = 500

#: Options that choose a destination in another way than `queue`.
_WAYS = ("exchange", "exchange_type", "routing_key", "declare", "router", "route_name", "reply_to")
_ALWAYS = ("queue",)

#: Headers of Celery's task messages. A header of an entry with such a name replaces Celery's own,
#: so `task` would choose another task, and `timelimit` would do what an option does.
_PROTOCOL_HEADERS = (
    *("task", "id", "lang", "method", "shadow", "eta", "expires", "timelimit", "retries", "origin"),
    *("group", "group_index", "taskset", "root_id", "parent_id", "correlation_id", "reply_to"),
    *("args", "kwargs", "argsrepr", "kwargsrepr", "callbacks", "errbacks", "chain", "chord"),
    *("ignore_result", "replaced_task_nesting", "stamped_headers", "stamps", "utc"),
)

#: Options whose values are sent as tasks too: signatures, or the names of tasks.
_LINKS = ("link", "link_error", "chord", "chain")
#: Celery's own tasks begin with this, and take signatures as arguments.
_CANVAS = "celery."
#: Those of them whose first argument may be the name of a task.
_CANVAS_OF_ONE_TASK = ("celery.map", "celery.starmap", "celery.chunks")

Words = tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class Scope:
    """The entries that a guard allows: those with this prefix and this tag; "" means any."""

    prefix: str = ""
    tag: str = ""

    def has_name(self, name: str) -> bool:
        return name.startswith(self.prefix)

    def has(self, entry: Entry) -> bool:
        return self.has_name(entry.name) and (not self.tag or self.tag in entry.tags)


class Guard:
    """The restrictions of one client; what you leave out is not restricted.

    `tasks` and `queues` are names or patterns such as ``reports.*``. With `queues`, no option may
    choose another destination (exchange, routing key). `options` are the names of the allowed
    options; `queue` is always allowed. With `tasks` or `options`, no entry may have a header with
    the name of one that Celery sets. `max_entries` limits the number of entries in the scope.
    `min_interval` (seconds or a timedelta) is the shortest time allowed between two slots, and
    bounds the paces that callers choose for backfills and catch-up. A trigger is one firing: limit
    how often your tenants may call it. Raises ValidationError.
    """

    def __init__(
        self,
        *,
        prefix: str = "",
        tag: str = "",
        tasks: Iterable[str] | None = None,
        queues: Iterable[str] | None = None,
        options: Iterable[str] | None = None,
        max_entries: int | None = None,
        min_interval: float | timedelta | None = None,
    ) -> None:
        # Annotated for users' type checkers, which do not infer the attributes of a package.
        self.scope: Scope = Scope(_text("prefix", prefix), _text("tag", tag))
        self.tasks: Words = _words("tasks", tasks)
        self.queues: Words = _words("queues", queues)
        self.options: Words = _words("options", options)
        self.max_entries: int | None = _count(max_entries)
        self.min_interval_ms: int | None = _interval_ms(min_interval)

    def check_name(self, name: str) -> None:
        """NotAllowed if this name is outside the scope."""
        if not self.scope.has_name(name):
            raise NotAllowed(name, "name", f"names that begin with {self.scope.prefix!r}")

    def check_scope(self, entry: Entry) -> None:
        """NotAllowed if this stored entry is outside the scope."""
        self.check_name(entry.name)
        if not self.scope.has(entry):
            raise NotAllowed(entry.name, "tags", f"entries with the tag {self.scope.tag!r}")

    def check(self, entry: Entry, now_ms: int) -> None:
        """NotAllowed if the guard forbids to store this entry."""
        self.check_scope(entry)
        self.check_sent(entry)
        self._check_interval(entry, now_ms)
        if entry.misfire_pace is not None:
            self.check_pace(entry.name, "misfire_pace", entry.misfire_pace)

    def check_sent(self, entry: Entry) -> None:
        """NotAllowed if a firing of this entry would send what the guard forbids."""
        for path, task, options in _sent(entry):
            self._check_task(entry.name, path, task)
            self._check_options(entry.name, path, options)

    def check_change(self, stored: Stored, edit: Edit | None, now_ms: int) -> None:
        """NotAllowed if the guard forbids this change of what is stored (an entry or none)."""
        if stored.exists:
            self.check_scope(shown(stored))
        if edit is not None and edit.write.definition:
            self.check(edit.entry, now_ms)

    @property
    def most_pace(self) -> float | None:
        """The most firings per second that `min_interval` allows; None if it allows any."""
        return None if not self.min_interval_ms else 1_000 / self.min_interval_ms

    def check_pace(self, name: str, field: str, pace: float) -> None:
        """NotAllowed if firings at this pace would come closer together than `min_interval`."""
        if self.most_pace is not None and pace > self.most_pace:
            allowed = f"at most {self.most_pace:.3g} firings per second"
            raise NotAllowed(name, field, allowed)

    def check_room(self, name: str, present: int, more: int) -> None:
        """NotAllowed if `more` new entries would exceed `max_entries`."""
        if self.max_entries is not None and present + more > self.max_entries:
            raise self.no_room(name, present)

    def no_room(self, name: str, present: int) -> NotAllowed:
        """The error for an entry that would exceed `max_entries`."""
        allowed = f"at most {self.max_entries} entries; there are {present}"
        return NotAllowed(name, "max_entries", allowed)

    def _check_task(self, name: str, path: str, task: str) -> None:
        if not _matches(task, self.tasks):
            raise NotAllowed(name, path or "task", "tasks such as " + _listed(self.tasks))

    def _check_options(self, name: str, path: str, options: Any) -> None:
        where = f"{path}.options" if path else "options"
        if not isinstance(options, Mapping):
            if self._restricts_messages:
                raise NotAllowed(name, where, "a mapping")
            return
        for option, value in options.items():
            if value is None or option in _ALWAYS:
                continue
            if self.queues is not None and option in _WAYS:
                raise NotAllowed(name, f"{where}.{option}", "only a queue")
            if self.options is not None and option not in self.options:
                raise NotAllowed(name, f"{where}.{option}", "options " + _listed(self.options))
        queue = options.get("queue")
        if queue is not None and not _matches(queue, self.queues):
            raise NotAllowed(name, f"{where}.queue", "queues " + _listed(self.queues))
        self._check_headers(name, f"{where}.headers", options.get("headers"))

    def _check_headers(self, name: str, where: str, headers: Any) -> None:
        if headers is None or (self.tasks is None and self.options is None):
            return
        if not isinstance(headers, Mapping):
            raise NotAllowed(name, where, "a mapping")
        for header in headers:
            if header in _PROTOCOL_HEADERS:
                raise NotAllowed(name, f"{where}.{header}", "headers that Celery does not set")

    @property
    def _restricts_messages(self) -> bool:
        return not self.tasks is self.queues is self.options is None

    def _check_interval(self, entry: Entry, now_ms: int) -> None:
        if self.min_interval_ms is None:
            return
        shortest_ms = shortest_gap_ms(entry.schedule, now_ms, self.min_interval_ms)
        if shortest_ms is not None:
            allowed = (
                f"slots at least {self.min_interval_ms / 1_000:g} s apart; "
                f"two of these are {shortest_ms / 1_000:g} s apart"
            )
            raise NotAllowed(entry.name, "schedule", allowed)


def shortest_gap_ms(schedule: Schedule, now_ms: int, least_ms: int) -> int | None:
    """The first gap between two of the next slots that is below `least_ms`; None if none is."""
    slot_ms = schedule.next_after_ms(now_ms)
    for _ in range(SLOTS_LOOKED_AT):
        following_ms = None if slot_ms is None else schedule.next_after_ms(slot_ms)
        if slot_ms is None or following_ms is None:
            return None
        if following_ms - slot_ms < least_ms:
            return following_ms - slot_ms
        slot_ms = following_ms
    return None


def _sent(entry: Entry) -> Iterator[tuple[str, str, Any]]:
    """Each task that the entry's firings may send: its path in the definition, name and options.

    A mapping with a task's name is a signature wherever it is nested: in the tasks of a chain or
    group, in the header and body of a chord, in `link` and `link_error`. Celery's own tasks take
    signatures as arguments.
    """
    yield from _one("", entry.task_name, entry.options, entry.args)
    if isinstance(entry.task, Mapping):
        yield from _nested("task", entry.task)
    for option in _LINKS:
        yield from _nested(f"options.{option}", entry.options.get(option))
    if entry.task_name.startswith(_CANVAS):
        yield from _nested("args", entry.args)
        yield from _nested("kwargs", entry.kwargs)


def _nested(path: str, value: Any) -> Iterator[tuple[str, str, Any]]:
    if isinstance(value, Mapping):
        if isinstance(value.get("task"), str):
            yield from _one(path, value["task"], value.get("options") or {}, value.get("args"))
        for key, each in value.items():
            yield from _nested(f"{path}.{key}", each)
    elif isinstance(value, list | tuple):
        for at, each in enumerate(value):
            yield from _nested(f"{path}[{at}]", each)


def _one(path: str, task: str, options: Any, args: Any) -> Iterator[tuple[str, str, Any]]:
    """A task and the tasks that its options and its first argument name."""
    yield path, task, options
    inside = f"{path}." if path else ""
    for option in _LINKS if isinstance(options, Mapping) else ():
        linked = options.get(option)
        for each in linked if isinstance(linked, list | tuple) else (linked,):
            if isinstance(each, str):
                yield f"{inside}options.{option}", each, {}
    first = args[0] if isinstance(args, list | tuple) and args else None
    if task in _CANVAS_OF_ONE_TASK and isinstance(first, str):
        yield f"{inside}args[0]", first, {}


def _matches(name: Any, patterns: Words) -> bool:
    if patterns is None:
        return True
    return isinstance(name, str) and any(fnmatchcase(name, pattern) for pattern in patterns)


def _listed(words: Words) -> str:
    return ", ".join(map(repr, words or ())) or "none"


def _text(field: str, given: object) -> str:
    if not isinstance(given, str):
        raise ValidationError(f"guard.{field}", given, "a string")
    return given


def _words(field: str, given: Iterable[str] | None) -> Words:
    if given is None:
        return None
    words: tuple[Any, ...] = ("",) if isinstance(given, str) else tuple(given)
    if not all(isinstance(word, str) and word for word in words):
        raise ValidationError(f"guard.{field}", given, "a list of names or patterns")
    return words


def _count(given: Any) -> int | None:
    if given is None or (type(given) is int and given >= 0):
        return given
    raise ValidationError("guard.max_entries", given, "a whole number, 0 or more")


def _interval_ms(given: Any) -> int | None:
    return None if given is None else span_ms("guard.min_interval", given)


#: A guard without restrictions.
NO_GUARD = Guard()
