"""The Client: the API for Python code, the command line and dashboards.

It is built for web requests. It connects at the first call, each call ends within a few seconds
whatever Redis does, threads may share one client, and a forked process may continue to use it.
Celery is not needed and not imported.

This file is long because it is one subject: the class has one method for each call of the public
API, with its documentation. The work is done in the other modules of this package.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from types import TracebackType
from typing import Any, Literal, Self

from habeat.client.bulk import added
from habeat.client.by_hand import Backfill, RequestId, backfilled, triggered
from habeat.client.calls import RetryingCalls, Session
from habeat.client.dead_letters import DeadLetter, letter, letters, purged, resent
from habeat.client.editing import Editing, clear
from habeat.client.exchange import LoadReport, Progress, exported, loaded
from habeat.client.guard import NO_GUARD, Guard, Scope
from habeat.client.history import (
    Drift,
    LedgerRecord,
    drift_of,
    drift_since,
    moment,
    records,
    since_ms,
)
from habeat.client.location import location_of_app, location_of_url
from habeat.client.preview import Instant, Span, in_zone, instants, instants_of
from habeat.client.selection import Selection, entries_of, pages_of, selected
from habeat.client.simulation import Simulation, simulated
from habeat.client.status import Status, read_status
from habeat.core.circuit import Circuit
from habeat.core.entry import Entry, Policies
from habeat.core.lateness import Lateness
from habeat.core.request import BACKFILL_PACE
from habeat.entries.draft import checked_name
from habeat.entries.schedules import schedule_of
from habeat.errors import EntryNotFound, NotAllowed, ValidationError
from habeat.schedules import Schedule
from habeat.schedules.schedule import to_ms

ScheduleLike = Schedule | float | timedelta

# `Client` has a method `list`, so these types cannot be spelled in its body.
Entries = list[Entry]
Instants = list[Instant]
Drifts = list[Drift]
Records = list[LedgerRecord]
DeadLetters = list[DeadLetter]


class Client:
    """The schedule of one app: entries, their state, and that of the beats that keep it.

    ``Client(app)`` finds everything in the app's settings. Without an app,
    ``Client(url, prefix="habeat:proj")`` names the Redis and the key prefix of its beats
    (`habeat_key_prefix`); `options` are then as in `habeat_redis_options`, and `timezone` is for
    schedules that name none. A `guard` bounds what this client may change and see, for code that
    passes on what tenants typed.

    Every call ends within `timeout` seconds, retries, paging and counting included. Calls of many
    steps (`list`, `export`, `load`, `simulate`, `preview`, `history`, `drift`, removing many) may
    take `long_timeout` where that is given. All may raise RedisUnavailable (Redis was away for too
    long), CallTimeout (the call was not finished in time, and says how far it came) and
    SettingsError; those that change something ForeignState (the keys under the prefix are another
    app's) and RevisionConflict (others kept changing the entry).
    """

    def __init__(
        self,
        app: Any,
        *,
        prefix: str | None = None,
        options: Mapping[str, Any] | None = None,
        timezone: str | None = None,
        timeout: float = 5.0,
        long_timeout: float | None = None,
        sleep: Callable[[float], None] | None = None,
        guard: Guard | None = None,
    ) -> None:
        if guard is not None and not isinstance(guard, Guard):
            raise ValidationError("guard", guard, "a habeat.Guard")
        guard = guard or NO_GUARD
        for field, seconds in (("timeout", timeout), ("long_timeout", long_timeout)):
            given_at_all = seconds is not None or field == "timeout"
            if given_at_all and (type(seconds) not in (int, float) or not seconds > 0):  # type: ignore[operator]
                raise ValidationError(field, seconds, "more than 0 seconds")
        if isinstance(app, str):
            location = location_of_url(app, prefix, options, timezone)
            self._calls = RetryingCalls(lambda: location, timeout, sleep, guard, long_timeout)
        elif not hasattr(app, "main"):  # asking for its conf might load it
            raise ValidationError("app", app, "a Celery app, or the URL of a Redis")
        else:
            for field, given in (("prefix", prefix), ("options", options), ("timezone", timezone)):
                if given is not None:
                    raise ValidationError(field, given, "no value: the app's settings have it")
            self._calls = RetryingCalls(
                lambda: location_of_app(app), timeout, sleep, guard, long_timeout
            )
        self._editing = Editing(self._calls)

    # -- entries ----------------------------------------------------------------------------

    def get(self, name: str) -> Entry:
        """One entry as it is now; EntryNotFound. One that cannot be read is quarantined."""
        found = entries_of(self._calls, [checked_name(name)])
        if not found or not self._calls.guard.scope.has(found[0]):
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
        self,
        name_or_schedule: str | ScheduleLike,
        count: int | None = None,
        start: datetime | None = None,
        end: datetime | None = None,
    ) -> Instants:
        """The next slots of an entry or of a schedule that is not stored.

        Those strictly after `start` (default: now) and, with an `end`, not after that. `count`
        is how many at most; without it 10, or with an `end` all up to there. Of an entry with
        `max_runs` no more than it may still run. Raises ValidationError for a naive datetime,
        and where more than 10,000 slots would be the answer.
        """
        calls = self._calls.bounded()
        entry = self.get(name_or_schedule) if isinstance(name_or_schedule, str) else None
        span = Span.checked(self.server_time() if start is None else start, end, count)
        if entry is not None:
            return instants_of(entry, span, calls.check)
        schedule = in_zone(schedule_of(name_or_schedule), self._calls.location.timezone)
        return instants(schedule, span, calls.check)

    def simulate(
        self, start: datetime, end: datetime, *, spread: float | timedelta | None = None
    ) -> Simulation:
        """The whole schedule from `start` to `end`: firings per minute, the fullest minutes.

        Whole minutes of effective times, ``start <= t < end``, at most 366 days of them. With
        `spread` (seconds or a timedelta) the same is reckoned with at least that spread for
        every entry. Nothing is written. Raises ValidationError.
        """
        calls = self._calls.bounded()

        def pages() -> Iterator[Sequence[Entry]]:
            has = calls.guard.scope.has
            return (
                [entry for entry in entries_of(calls, page) if has(entry)]
                for page in pages_of(calls)
            )

        return simulated(pages, start, end, spread, calls.check)

    def policies(self, entry: Entry) -> Policies:
        """How an entry's missed slots are caught up with: its own policies over the app's."""
        return entry.policies(self._calls.location.policies)

    def _check_scope(self, name: str | None) -> None:
        """EntryNotFound or NotAllowed if the guard's scope does not have this name's past."""
        scope = self._calls.guard.scope
        if name is None:
            if scope != Scope():
                raise NotAllowed("", "name", "one entry by its name: this client has a scope")
        elif not scope.has_name(name):
            raise EntryNotFound(name)
        elif scope.tag:
            self.get(name)

    # -- what happened ----------------------------------------------------------------------

    def drift(self, name: str | None = None, since: datetime | timedelta | None = None) -> Drifts:
        """How late firings left: a row per entry that has fired, the worst first.

        With `since` (a moment, or that long ago) it is reckoned exactly from the ledger; without,
        from the histograms of all time, whose percentiles are at most 0.8 % too small. Raises
        EntryNotFound for a name that neither exists nor stands in the ledger.
        """
        self._check_scope(name)
        calls = self._calls.bounded()
        if since is not None:
            rows = calls.read(
                lambda session: drift_since(
                    session.insight, name, _from_ms(session, since) or 0, calls.check
                )
            )
            if not rows and name is not None:
                self.get(name)
            return rows
        pages = pages_of(calls) if name is None else [[self.get(name).name]]
        found: dict[str, Lateness] = {}
        for page in pages:
            found |= calls.read(partial(_lateness, page))
            calls.check(f"{len(found)} histograms were read")
        return drift_of(found.items())

    def history(
        self,
        name: str | None = None,
        since: datetime | timedelta | None = None,
        limit: int = 100,
    ) -> Records:
        """What became of slots, newest first: of one entry, or of all."""
        self._check_scope(name)
        calls = self._calls.bounded()
        return calls.read(
            lambda session: records(
                session.insight, name, _from_ms(session, since), limit, calls.check
            )
        )

    def status(self) -> Status:
        """Who leads, who stands by, what is due, and what does not add up."""
        grace_ms = self._calls.location.policies.misfire_grace_ms
        return self._calls.read(lambda session: read_status(session.insight, grace_ms))

    def server_time(self) -> datetime:
        """Redis' clock, by which everything is decided; aware, UTC."""
        return moment(self._calls.read(lambda session: session.insight.now_us()) // 1_000)

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
        start: datetime | None = None,
        end: datetime | None = None,
        max_runs: int | None = None,
        jitter: float | timedelta = 0,
        spread: float | timedelta = 0,
        deadline: float | timedelta | None = None,
        misfire: str | None = None,
        misfire_grace: float | timedelta | None = None,
        misfire_limit: int | None = None,
        misfire_window: float | timedelta | None = None,
        misfire_pace: float | None = None,
        delivery: str | None = None,
        replace: bool = False,
    ) -> Entry:
        """Add an entry; its first slot is strictly after this moment, by Redis' clock.

        `task` is a task's name, a task or a signature (also a chain, group or chord); a name that
        nobody has registered is allowed. A number as `schedule` is a period in seconds. All spans
        are seconds or a timedelta, all instants datetimes with a timezone.

        There are slots from `start` to `end`, both included, and `max_runs` firings at most.
        `spread` puts all firings of the entry off by a part of it that is the entry's own,
        `jitter` each one by another part; together less than the gap to the next slot. A message
        that waits longer than `deadline` after that is not run by the worker any more.

        `misfire` ("latest", "all" or "skip") says what becomes of slots found later than
        `misfire_grace`; those older than `misfire_window` never fire, and "all" fires the newest
        `misfire_limit`, `misfire_pace` a second. What is None follows the app's settings.

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
            "start": start,
            "end": end,
            "max_runs": max_runs,
            "jitter": jitter,
            "spread": spread,
            "deadline": deadline,
            "misfire": misfire,
            "misfire_grace": misfire_grace,
            "misfire_limit": misfire_limit,
            "misfire_window": misfire_window,
            "misfire_pace": misfire_pace,
            "delivery": delivery,
        }
        return self._editing.add(checked_name(name), given, may_replace=replace)

    def add_many(self, entries: Iterable[Mapping[str, Any]]) -> Entries:
        """Add up to 10,000 entries; each a mapping with the arguments of `add`.

        Everything is checked first. Raises BulkError, which says of each entry that is refused
        what is wrong with it; then none was added. The entries are written in batches. Raises
        BulkInterrupted, which says how far it came, if Redis stops answering in between or the
        time is up: a second more than other calls have for each thousand.
        """
        return added(self._calls, entries)

    def update(self, name: str, *, rev: int | None = None, **changes: Any) -> Entry:
        """Change some fields, named as in `add`; the others stay.

        Only another schedule, start or end changes the entry's rhythm; the first slot is then
        strictly after now, as it is where another `max_runs` lets an exhausted entry run on. With
        `rev` the change is made only if the entry is at that revision, else RevisionConflict.
        Raises EntryNotFound, ValidationError, OwnedByConfig, and DefinitionError if a
        quarantined entry cannot be read even so.
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
            raise ValidationError("name", name, "no name together with prefix or tags")
        self._editing.remove(checked_name(name))
        return 1

    def rename(self, old: str, new: str) -> Entry:
        """Give an entry another name; it keeps its rhythm, its count and its pause.

        Raises EntryNotFound, EntryExists, OwnedByConfig, ValidationError, and DefinitionError if
        it cannot be read.
        """
        return self._editing.rename(checked_name(old), checked_name(new))

    def pause(self, name: str, reason: str = "", until: datetime | None = None) -> Entry:
        """Stop an entry until `resume`, or until then at the latest.

        Its slots meanwhile end in the ledger as skipped. Pausing again changes what is given:
        an empty reason, or no `until`, leave what was said before. Raises EntryNotFound and
        ValidationError.
        """
        if not isinstance(reason, str):
            raise ValidationError("reason", reason, "a string", entry=name)
        try:
            until_ms = None if until is None else to_ms("until", until)
        except ValidationError as error:
            raise error.of_entry(name) from None
        return self._editing.pause(checked_name(name), reason, until_ms)

    def resume(
        self, name: str, from_: Literal["now", "paused"] = "now", **also: Literal["now", "paused"]
    ) -> Entry:
        """Let a paused or quarantined entry go on from now; nothing is caught up.

        With ``from_="paused"`` it goes on where it stopped: its catch-up policy decides about the
        slots since then. (Python knows `from` as a word of its own: ``**{"from": "paused"}`` is
        taken, too.) Raises EntryNotFound, and DefinitionError if its definition cannot be read.
        """
        begin = also.pop("from", from_)
        if also:
            raise TypeError(f"resume() has no argument {next(iter(also))!r}")
        if begin not in ("now", "paused"):
            raise ValidationError("from", begin, "'now' or 'paused'", entry=name)
        return self._editing.resume(checked_name(name), catch_up=begin == "paused")

    # -- by hand ----------------------------------------------------------------------------

    def trigger(
        self,
        name: str,
        *,
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        request_id: str | None = None,
    ) -> RequestId:
        """Fire an entry once, now, whatever its schedule says, paused or not.

        `args` and `kwargs` take the place of the entry's own. Returns the id of the request; its
        `known` is True if that id had been used before (within `habeat_ledger_age`), and then
        nothing was done. Raises EntryNotFound, ValidationError, DefinitionError.
        """
        return triggered(self._calls, checked_name(name), args, kwargs, request_id)

    def backfill(
        self,
        name: str,
        start: datetime,
        end: datetime,
        *,
        pace: float = BACKFILL_PACE,
        dry_run: bool = False,
        request_id: str | None = None,
    ) -> Backfill:
        """Fire the slots of the past with ``start < slot <= end`` once more, `pace` a second.

        Whatever became of them before; at most 100,000 of them, none of the future. The cursor
        stays. With `dry_run` it is only said what would be done. `request_id` is as for
        `trigger`. Raises EntryNotFound, ValidationError, DefinitionError.
        """
        return backfilled(
            self._calls,
            checked_name(name),
            start,
            end,
            pace=pace,
            dry_run=dry_run,
            request_id=request_id,
        )

    def circuit(self, name: str) -> Circuit | None:
        """Why an entry is not sent at present; None unless it failed again and again."""
        return self._calls.read(lambda session: session.insight.circuit(name))

    # -- what was given up --------------------------------------------------------------------

    def dead(
        self,
        entry: str | None = None,
        *,
        older_than: timedelta | None = None,
        limit: int | None = 100,
    ) -> DeadLetters:
        """Firings and requests that were given up and are kept, the oldest first."""
        return letters(self._calls, entry, older_than, limit)

    def dead_letter(self, id: str) -> DeadLetter:
        """The one of this id. Raises DeadNotFound."""
        return letter(self._calls, id)

    def resend(self, id: str) -> DeadLetter:
        """Send again what was given up: a firing with the same task id, a request as it was made.

        Raises DeadNotFound, DeadUnreadable, and EntryNotFound for a request whose entry is gone.
        """
        return resent(self._calls, id)

    def purge_dead(
        self, id: str = "", *, entry: str | None = None, older_than: timedelta | None = None
    ) -> int:
        """Remove one, or all of an entry or that are older, or all; how many. DeadNotFound."""
        return purged(self._calls, id or None, entry, older_than)

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
        return self._calls.location.timezone

    @property
    def redis(self) -> str:
        """The Redis and the key prefix, for people; no password."""
        return f"{self._calls.location.target}, keys {self._calls.location.prefix}"

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


def _lateness(names: Sequence[str], session: Session) -> dict[str, Lateness]:
    return session.insight.lateness(names)


def _from_ms(session: Session, since: datetime | timedelta | None) -> int | None:
    return None if since is None else since_ms(since, session.insight.now_us() // 1_000)
