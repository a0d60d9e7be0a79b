"""The Client: what Python code, the command line and a dashboard call.

It is made for web requests: no connection is made before the first call, each call ends within
a few seconds whatever Redis does, threads may share one client, and a fork may go on using it.
Celery is not needed and not imported.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from types import TracebackType
from typing import Any, Self

from habeat.client.calls import Calls, Desk
from habeat.client.clearing import clear
from habeat.client.definition import checked_name
from habeat.client.editing import Editing
from habeat.client.exchange import LoadReport, Progress, exported, loaded
from habeat.client.instants import Instant, in_zone, instants, instants_of
from habeat.client.lookback import (
    Drift,
    LedgerRecord,
    drift_of,
    drift_since,
    moment,
    records,
    since_ms,
)
from habeat.client.place import place_of_app, place_of_url
from habeat.client.schedules import schedule_of
from habeat.client.selection import Selection, entries_of, pages_of, selected
from habeat.client.status import Status, read_status
from habeat.core.entry import Entry
from habeat.core.lateness import Lateness
from habeat.core.schedule import Schedule
from habeat.errors import EntryNotFound, ValidationError

ScheduleLike = Schedule | float | timedelta

# In the body of a class that has a `list` of its own, these cannot be spelled.
Instants = list[Instant]
Drifts = list[Drift]
Records = list[LedgerRecord]


class Client:
    """The schedule of one app: entries, their state, and that of the beats that keep it.

    ``Client(app)`` finds everything in the app's settings. Without an app,
    ``Client(url, prefix="habeat:proj")`` names the Redis and the key prefix of its beats
    (`habeat_key_prefix`); `options` are then as in `habeat_redis_options`, and `timezone` is for
    schedules that name none.

    Every call ends within about `timeout` seconds. All may raise RedisUnavailable (Redis was
    away for so long) and SettingsError; those that change something ForeignState (the keys under
    the prefix are another app's) and RevisionConflict (somebody else kept changing the entry).
    """

    def __init__(
        self,
        app: Any,
        *,
        prefix: str | None = None,
        options: Mapping[str, Any] | None = None,
        timezone: str | None = None,
        timeout: float = 5.0,
        sleep: Callable[[float], None] | None = None,
    ) -> None:
        if type(timeout) not in (int, float) or timeout <= 0:
            raise ValidationError("timeout", timeout, "seconds more than 0")
        if isinstance(app, str):
            place = place_of_url(app, prefix, options, timezone)
            self._calls = Calls(lambda: place, timeout, sleep)
        elif not hasattr(app, "main"):  # asking for its conf might load it
            raise ValidationError("app", app, "a Celery app, or the URL of a Redis")
        else:
            for field, given in (("prefix", prefix), ("options", options), ("timezone", timezone)):
                if given is not None:
                    raise ValidationError(field, given, "left out: the app's settings say it")
            self._calls = Calls(lambda: place_of_app(app), timeout, sleep)
        self._editing = Editing(self._calls)

    # -- changes ----------------------------------------------------------------------------

    def add(
        self,
        name: str,
        task: Any,
        schedule: ScheduleLike,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        *,
        options: Mapping[str, Any] | None = None,
        enabled: bool = True,
        tags: Iterable[str] = (),
        description: str = "",
        misfire: str | None = None,
        misfire_grace: float | timedelta | None = None,
        misfire_limit: int | None = None,
        delivery: str | None = None,
        replace: bool = False,
    ) -> Entry:
        """Add an entry; its first slot is strictly after this moment, by Redis' clock.

        `task` is a task's name, a task or a signature (also a chain, group or chord); a name that
        nobody has registered is allowed. A number as `schedule` is a period in seconds, as is
        `misfire_grace`. What is None follows the app's settings.

        With `replace` an entry of this name is changed into this one, and if its schedule stays
        the same, it keeps its rhythm. Raises ValidationError, and EntryExists if there is one of
        this name already (always, if beat_schedule declares it).
        """
        given = {
            "task": task,
            "schedule": schedule,
            "args": args,
            "kwargs": kwargs,
            "options": options,
            "enabled": enabled,
            "tags": tags,
            "description": description,
            "misfire": misfire,
            "misfire_grace": misfire_grace,
            "misfire_limit": misfire_limit,
            "delivery": delivery,
        }
        return self._editing.add(checked_name(name), given, may_replace=replace)

    def update(self, name: str, *, rev: int | None = None, **changes: Any) -> Entry:
        """Change some fields, named as in `add`; the others stay.

        Only another schedule changes the entry's rhythm. With `rev` the change is made only if the
        entry is at that revision, else RevisionConflict. Raises EntryNotFound, ValidationError,
        OwnedByConfig, and DefinitionError if a quarantined entry cannot be read even so.
        """
        return self._editing.update(checked_name(name), rev, changes)

    def remove(self, name: str | None = None, *, prefix: str = "", tags: Iterable[str] = ()) -> int:
        """Remove one entry, or all of the API's whose name begins so and that have all the tags.

        Returns how many were removed. Those of beat_schedule stay: one that is named raises
        OwnedByConfig. Raises EntryNotFound, and ValidationError if nothing is named at all.
        """
        selection = Selection.checked(prefix, tags)
        if name is None:
            return clear(self._calls, selection)
        if selection != Selection():
            raise ValidationError("name", name, "left out where prefix or tags are given")
        self._editing.remove(checked_name(name))
        return 1

    def pause(self, name: str, reason: str = "") -> Entry:
        """Stop an entry until `resume`; its slots meanwhile end in the ledger as skipped."""
        if not isinstance(reason, str):
            raise ValidationError("reason", reason, "a text", entry=name)
        return self._editing.pause(checked_name(name), reason)

    def resume(self, name: str) -> Entry:
        """Let a paused or quarantined entry go on from now; nothing is caught up.

        Raises EntryNotFound, and DefinitionError if its definition cannot be read.
        """
        return self._editing.resume(checked_name(name))

    # -- entries ----------------------------------------------------------------------------

    def get(self, name: str) -> Entry:
        """One entry as it is now; EntryNotFound. One that cannot be read is quarantined."""
        found = entries_of(self._calls, [checked_name(name)])
        if not found:
            raise EntryNotFound(name)
        return found[0]

    def list(
        self,
        *,
        prefix: str = "",
        tags: Iterable[str] = (),
        owner: str | None = None,
        state: str | None = None,
    ) -> Iterator[Entry]:
        """The entries by name: those whose name begins so, and that have all the tags.

        `owner` is "api" or "config"; `state` is active, paused, disabled, quarantined or
        exhausted. Read page by page as they are asked for.
        """
        return selected(self._calls, Selection.checked(prefix, tags, owner, state))

    def preview(
        self, name_or_schedule: str | ScheduleLike, count: int = 10, start: datetime | None = None
    ) -> Instants:
        """The next slots of an entry or of a schedule, strictly after `start` (default: now)."""
        entry = self.get(name_or_schedule) if isinstance(name_or_schedule, str) else None
        begin = self.server_time() if start is None else start
        if entry is not None:
            return instants_of(entry, begin, count)
        schedule = in_zone(schedule_of(name_or_schedule), self._calls.place.timezone)
        return instants(schedule, begin, count)

    # -- what happened ----------------------------------------------------------------------

    def drift(self, name: str | None = None, since: datetime | timedelta | None = None) -> Drifts:
        """How late firings left: a row per entry that has fired, the worst first.

        With `since` (a moment, or that long ago) it is reckoned exactly from the ledger; without,
        from the histograms of all time, whose percentiles are at most 0.8 % too small. Raises
        EntryNotFound for a name that neither exists nor stands in the ledger.
        """
        if since is not None:
            rows = self._calls.read(
                lambda desk: drift_since(desk.insight, name, _from_ms(desk, since) or 0)
            )
            if not rows and name is not None:
                self.get(name)
            return rows
        pages = pages_of(self._calls) if name is None else [[self.get(name).name]]
        found: dict[str, Lateness] = {}
        for page in pages:
            found |= self._calls.read(partial(_lateness, page))
        return drift_of(found.items())

    def history(
        self,
        name: str | None = None,
        since: datetime | timedelta | None = None,
        limit: int = 100,
    ) -> Records:
        """What became of slots, newest first: of one entry, or of all."""
        return self._calls.read(
            lambda desk: records(desk.insight, name, _from_ms(desk, since), limit)
        )

    def status(self) -> Status:
        """Who leads, who stands by, what is due, and what does not add up."""
        grace_ms = self._calls.place.misfire_grace_ms
        return self._calls.read(lambda desk: read_status(desk.insight, grace_ms))

    def server_time(self) -> datetime:
        """Redis' clock, by which everything is decided; aware, UTC."""
        return moment(self._calls.read(lambda desk: desk.insight.now_us()) // 1_000)

    # -- all of it --------------------------------------------------------------------------

    def export(self) -> dict[str, Any]:
        """All entries as one JSON-able document, for `load`; it holds no URL and no password."""
        return exported(self._calls)

    def load(
        self, data: Mapping[str, Any], dry_run: bool = False, *, progress: Progress | None = None
    ) -> LoadReport:
        """Add and change entries as an exported document has them; others stay as they are.

        Everything is checked first: if one entry is refused, nothing is written. With `dry_run`
        nothing is in any case. `progress` is called with (entries done, entries to do). Raises
        ValidationError if `data` is no such document.
        """
        return loaded(self._calls, data, dry_run=dry_run, progress=progress)

    # -- connections ------------------------------------------------------------------------

    @property
    def timezone(self) -> str:
        """The IANA name of the zone for schedules that name none."""
        return self._calls.place.timezone

    @property
    def redis(self) -> str:
        """The Redis and the key prefix, for people; no password."""
        return f"{self._calls.place.target}, keys {self._calls.place.prefix}"

    def close(self) -> None:
        """Disconnect. A later call connects anew."""
        self._calls.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _lateness(names: Sequence[str], desk: Desk) -> dict[str, Lateness]:
    return desk.insight.lateness(names)


def _from_ms(desk: Desk, since: datetime | timedelta | None) -> int | None:
    return None if since is None else since_ms(since, desk.insight.now_us() // 1_000)
