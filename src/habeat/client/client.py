"""The Client: the API for Python code, the command line and dashboards.

It is built for web requests. It connects at the first call, each call ends within a few seconds
whatever Redis does, threads may share one client, and a forked process may continue to use it.
Celery is not needed and not imported.

This file is long because it is one subject: the class has one method for each call of the public
API, with its documentation. The work is done in the other modules of this package.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from copy import copy
from datetime import date, datetime, timedelta
from functools import partial
from operator import itemgetter
from typing import Any, Literal, Self, TypeVar, Unpack

from habeat.client.adopting import Adoption, adopt_from
from habeat.client.arguments import DeliveryPolicy, EntryChanges, MisfirePolicy, ScheduleLike
from habeat.client.author import author_of
from habeat.client.backup import Backup, backed_up
from habeat.client.budget import Check
from habeat.client.bulk import added
from habeat.client.by_hand import Backfill, RequestId, backfilled, request_id_of, triggered
from habeat.client.calendars import (
    CalendarDays,
    calendar_removed,
    calendar_set,
    calendars_listed,
)
from habeat.client.calls import RetryingCalls, Session
from habeat.client.change_plan import DeployPlan, deploy_planned
from habeat.client.change_records import ChangeRecord, changes_of, last_change
from habeat.client.comparing import DAY, TOLERANCE, Diff, Period, compared
from habeat.client.dead_letters import DeadLetter, letter, letters, purged, resent
from habeat.client.deferring import writes_for
from habeat.client.drift import DayOfLateness, DriftProgress, DriftReport
from habeat.client.editing import Editing, pausing, resuming, switching
from habeat.client.events import Event, EventFollower, codes_of, events
from habeat.client.exchange import LoadReport, Progress, exported, loaded
from habeat.client.explanation.broker import BrokerQuestion
from habeat.client.explanation.gathering import explained
from habeat.client.explanation.links import Explanation
from habeat.client.given import listed
from habeat.client.guard import NO_GUARD, Guard, Scope
from habeat.client.history import (
    Drift,
    Follower,
    Leaders,
    LedgerRecord,
    OutcomeName,
    drift_of,
    drift_since,
    outcomes_of,
    past_ms,
    records,
    within,
)
from habeat.client.holding import SchedulePause, paused_all, resumed_all, schedule_paused
from habeat.client.location import location_of_app, location_of_url
from habeat.client.many import Chosen, ManyChanged, ManyTriggered, changed, removed, triggered_many
from habeat.client.preview import Instant, Span, in_zone, instants, instants_of
from habeat.client.purging import Purge, purge_prefix
from habeat.client.restoring import KeepUndo, RestoreReport, Terms, restored
from habeat.client.selection import Selection, entries_of, pages_of, selected
from habeat.client.simulation import Simulation, simulated
from habeat.client.status import Status, read_status, within_scope
from habeat.client.stepping_down import HandOver, stepped_down, who
from habeat.client.syncing import SyncPlan, synced
from habeat.client.unregistered import unregistered, with_unregistered
from habeat.client.windows import Hold, Wanted
from habeat.client.windows import added as added_hold
from habeat.client.windows import listed as listed_holds
from habeat.client.windows import removed as removed_hold
from habeat.clock import SystemClock
from habeat.config.from_app import timezone_of
from habeat.core.change_record import Author
from habeat.core.circuit import Circuit
from habeat.core.entry import Condition, Entry, Owner, Policies
from habeat.core.lateness import Lateness
from habeat.entries.draft import checked_name
from habeat.entries.schedules import schedule_of
from habeat.errors import EntryNotFound, NotAllowed, ValidationError
from habeat.schedules.schedule import moment, to_ms

Result = TypeVar("Result")

# `Client` has a method `list`, so these types cannot be spelled in its body.
Entries = list[Entry]
Instants = list[Instant]
Drifts = list[Drift]
Records = list[LedgerRecord]
DeadLetters = list[DeadLetter]
Changes = list[ChangeRecord]
Events = list[Event]
Dues = list[tuple[str, datetime]]

#: The most entries that `upcoming` returns.
UPCOMING_MOST = 10_000


class Client:
    """The schedule of one app: its entries, their state, and the beats that run it.

    ``Client(app)`` reads everything from the app's settings. Without an app,
    ``Client(url, prefix="habeat:proj")`` names the Redis and the key prefix of its beats
    (`habeat_key_prefix`). Then `options` are the same as in `habeat_redis_options`, and `timezone`
    is for schedules without a zone of their own. A `guard` restricts what this client may change
    and see, for code that passes on the input of tenants.

    With `on_commit`, calls that change entries or fire them wait for the transaction of Django's
    default database, or of the one with the alias given, to commit. They are checked at once, and
    return what they would write at that moment. `adopt`, `load`, `resend`, `purge` and `purge_dead`
    do not wait.

    `by` names who makes the changes, for `changes`; without it, that is the operating system's user
    of this process.

    Every call ends within `timeout` seconds, including retries, paging and counting. Calls of many
    steps (`list`, `export`, `load`, `simulate`, `preview`, `history`, `drift`, removing many) may
    take `long_timeout` if it is given. Any call may raise RedisUnavailable (Redis was away for too
    long), CallTimeout (the call did not finish in time; it says how far it got) and SettingsError.
    Calls that change something may also raise ForeignState (the keys under the prefix belong to
    another app) and RevisionConflict (other callers kept changing the entry).
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
        on_commit: bool | str = False,
        by: str | Author | None = None,
    ) -> None:
        author = author_of(by)
        if guard is not None and not isinstance(guard, Guard):
            raise ValidationError("guard", guard, "a habeat.Guard")
        guard = guard or NO_GUARD
        for field, seconds in (("timeout", timeout), ("long_timeout", long_timeout)):
            given_at_all = seconds is not None or field == "timeout"
            if given_at_all and (type(seconds) not in (int, float) or not seconds > 0):  # type: ignore[operator]
                raise ValidationError(field, seconds, "more than 0 seconds")
        self._app: Any = None if isinstance(app, str) else app
        if isinstance(app, str):
            location = location_of_url(app, prefix, options, timezone)
            self._find_timezone: Callable[[], str] = lambda: location.timezone
            self._calls = RetryingCalls(lambda: location, timeout, sleep, guard, long_timeout)
        elif not hasattr(app, "main"):  # not `conf`: reading that might load the configuration
            raise ValidationError("app", app, "a Celery app, or the URL of a Redis")
        else:
            for field, given in (("prefix", prefix), ("options", options), ("timezone", timezone)):
                if given is not None:
                    raise ValidationError(field, given, "no value: the app's settings have it")
            self._find_timezone = lambda: timezone_of(app.conf)
            self._calls = RetryingCalls(
                lambda: location_of_app(app), timeout, sleep, guard, long_timeout
            )
        self._calls.author = author
        self._writes = writes_for(on_commit)

    def acting_as(self, by: str | Author) -> Self:
        """This client for changes that `by` makes; it shares the connections of this one.

        For a web application with one client and many users: ``client.acting_as("alice")``.
        """
        other = copy(self)
        other._calls = self._calls.by(author_of(by))
        return other

    # -- entries ----------------------------------------------------------------------------

    def get(self, name: str) -> Entry:
        """The entry as it is now; EntryNotFound. If it cannot be read, it is quarantined."""
        found = entries_of(self._calls, [checked_name(name)])
        if not found or not self._calls.guard.scope.has(found[0]):
            raise EntryNotFound(name)
        return found[0]

    def list(
        self,
        *,
        prefix: str = "",
        tags: Iterable[str] = (),
        owner: Owner | None = None,
        state: Condition | None = None,
        after: str = "",
    ) -> Iterator[Entry]:
        """The entries, sorted by name, whose name begins with `prefix` and that have all the tags.

        `owner` is "api" or "config"; `state` is active, failing, paused, disabled, quarantined or
        exhausted. With `after`, only entries whose names come after this one, so that the next page
        of a list can begin where the last one ended. They are read page by page while you iterate.
        """
        selection = Selection.checked(prefix, tags, owner, state)
        return selected(self._calls, selection, checked_name(after) if after else "")

    def preview(
        self,
        name_or_schedule: str | ScheduleLike,
        count: int | None = None,
        start: datetime | None = None,
        end: datetime | None = None,
    ) -> Instants:
        """The next slots of an entry, or of a schedule that is not stored.

        They are strictly after `start` (default: now) and not after `end`, if there is one. `count`
        is the most to return; without it 10, or all slots up to `end`. An entry with `max_runs`
        shows no more slots than it has runs left. For a schedule that is not stored, Redis is not
        needed, and now is by this host's clock. Raises ValidationError for a naive datetime, and
        for more than 10,000 slots.
        """
        calls = self._calls.bounded()
        if isinstance(name_or_schedule, str):
            entry = self.get(name_or_schedule)
            span = Span.checked(self.server_time() if start is None else start, end, count)
            holds = calls.read(lambda session: session.inspection.controls()).holds.of(entry)
            return instants_of(entry, span, calls.check, holds)
        begin = moment(SystemClock().wall_ms()) if start is None else start
        schedule = in_zone(schedule_of(name_or_schedule), self.timezone)
        return instants(schedule, Span.checked(begin, end, count), calls.check)

    def simulate(
        self, start: datetime, end: datetime, *, spread: float | timedelta | None = None
    ) -> Simulation:
        """The load of the whole schedule from `start` to `end`: firings per minute, and the peaks.

        The period is whole minutes of effective times, ``start <= t < end``, 366 days at most. With
        `spread` (seconds or a timedelta), the load is also computed with at least that spread for
        every entry. Nothing is written. Raises ValidationError.
        """
        calls = self._calls.bounded()

        def pages() -> Iterator[Sequence[Entry]]:
            has = calls.guard.scope.has
            return (
                [entry for entry in entries_of(calls, page) if has(entry)]
                for page in pages_of(calls)
            )

        holds = calls.read(lambda session: session.inspection.controls()).holds
        return simulated(pages, start, end, spread, holds=holds, check=calls.check)

    def policies(self, entry: Entry) -> Policies:
        """How an entry catches up: its own policies, completed by the app's."""
        return entry.policies(self._calls.location.policies)

    def _check_scope(self, name: str | None) -> None:
        """EntryNotFound or NotAllowed if the guard does not let this client see this entry."""
        scope = self._calls.guard.scope
        if name is None:
            if scope != Scope():
                raise NotAllowed("", "name", "one entry by its name: this client has a scope")
        elif not scope.has_name(checked_name(name)):
            raise EntryNotFound(name)
        elif scope.tag:
            self.get(name)

    def _check_known(self, name: str) -> None:
        """EntryNotFound if there is neither an entry of this name nor a record of one."""
        calls = self._calls.bounded()
        if not calls.read(lambda session: records(session.inspection, name, None, 1, calls.check)):
            self.get(name)

    # -- what happened ----------------------------------------------------------------------

    def drift(self, name: str | None = None, since: datetime | timedelta | None = None) -> Drifts:
        """How late firings were sent: one row per entry that has fired, the worst first.

        With `since` (a moment, or a timedelta before now), the figures are exact, from the ledger.
        Without, they come from histograms of all firings, whose percentiles are at most 0.8 % too
        small. Triggers and backfills do not count. Raises EntryNotFound for a name that does not
        exist; with `since`, only if it is not in the ledger either.
        """
        self._check_scope(name)
        calls = self._calls.bounded()
        if since is not None:
            rows = calls.read(
                lambda session: drift_since(
                    session.inspection, name, _from_ms(session, since) or 0, calls.check
                )
            )
            if not rows and name is not None:
                self._check_known(name)
            return rows
        names = pages_of(calls) if name is None else [[self.get(name).name]]
        return drift_of(self._histograms(calls, names).items())

    def drift_report(
        self, name: str | None = None, *, progress: DriftProgress | None = None
    ) -> DriftReport:
        """How late firings were sent in the last hour, in the last day and in all, worst first.

        For one entry, or for each entry and all of them together. The hour and the day are counted
        from the ledger, which takes about half a minute for a million records, and longer than the
        default timeout: give `long_timeout`. `progress` is called now and then with the number of
        records that were read, and how far back. Triggers and backfills do not count. Raises
        EntryNotFound for a name that neither exists nor is in the ledger, and CallTimeout.
        """
        self._check_scope(name)
        calls = self._calls.bounded()
        report = calls.read(partial(_drift_report, name, calls.check, progress))
        if name is None:
            kept = self._histograms(calls, pages_of(calls))
            overall = calls.read(lambda session: session.inspection.overall_lateness())
        else:
            kept = self._histograms(calls, [[name]])
            overall = kept.get(name, Lateness({}, 0))
        if name is not None and not report.is_any and not kept:
            self._check_known(name)
        return report.finished(kept, overall)

    def _histograms(
        self, calls: RetryingCalls, pages: Iterable[Sequence[str]]
    ) -> dict[str, Lateness]:
        """The histograms of all firings of these entries."""
        found: dict[str, Lateness] = {}
        for page in pages:
            found |= calls.read(partial(_lateness, page))
            calls.check(f"{len(found)} histograms were read")
        return found

    def history(
        self,
        name: str | None = None,
        since: datetime | timedelta | None = None,
        limit: int = 100,
        *,
        outcome: OutcomeName | Iterable[OutcomeName] = (),
        until: datetime | timedelta | None = None,
    ) -> Records:
        """The outcomes of slots, newest first: of one entry, or of all.

        `since` and `until` bound when they were recorded: moments, or timedeltas before now. With
        `outcome`, only records with this outcome, or with one of several. Raises ValidationError,
        and EntryNotFound for a name that neither exists nor is in the ledger.
        """
        self._check_scope(name)
        outcomes = outcomes_of(outcome)
        calls = self._calls.bounded()

        def read(session: Session) -> Records:
            found = records(
                session.inspection,
                name,
                _from_ms(session, since),
                limit,
                check=calls.check,
                outcomes=outcomes,
                until_ms=_from_ms(session, until, "until"),
            )
            scope = calls.guard.scope
            if scope != Scope():
                return [within(record, scope) for record in found]
            return Leaders().named(session.events, found)

        found = calls.read(read)
        if not found and name is not None:
            self._check_known(name)
        return found

    def follow(
        self,
        name: str | None = None,
        *,
        outcome: OutcomeName | Iterable[OutcomeName] = (),
        after: str | None = None,
    ) -> Iterator[LedgerRecord]:
        """The records of one entry, or of all, as they are written; the iteration never ends.

        It begins with the record after the one whose `id` is `after`; without, from now on. Records
        come at most a second late. Raises the errors of `history`; you may then follow again after
        the last record. ValidationError if `after` is not the id of a record.
        """
        return self._follower(name, outcome, after).records()

    def events(
        self,
        since: datetime | timedelta | None = None,
        until: datetime | timedelta | None = None,
        limit: int = 100,
        *,
        code: str | Iterable[str] = (),
    ) -> Events:
        """What happened to the schedule as a whole, newest first: changes of leader, outages of
        Redis and of the broker, losses of data, pauses of the whole schedule.

        `since` and `until` bound when it was stored: moments, or timedeltas before now. With
        `code`, only events with this code, or with one of several. Raises ValidationError, and
        NotAllowed for a client whose guard has a scope.
        """
        if self._calls.guard.scope != Scope():
            raise NotAllowed("", "events", "the entries of this client's scope, not all replicas")
        codes = codes_of(code)
        calls = self._calls.bounded()

        def read(session: Session) -> Events:
            bounds = _from_ms(session, since), _from_ms(session, until, "until")
            return events(session.events, *bounds, limit, codes, calls.check)

        return calls.read(read)

    def _event_follower(self) -> EventFollower:
        return EventFollower(self._calls)

    def _follower(
        self, name: str | None, outcome: OutcomeName | Iterable[OutcomeName], after: str | None
    ) -> Follower:
        self._check_scope(name)
        outcomes = outcomes_of(outcome)
        if name is not None:
            self._check_known(name)
        return Follower(self._calls, name, outcomes, after)

    def explain(
        self, name: str, at: datetime | None = None, *, broker: bool = False
    ) -> Explanation:
        """What became of one slot, or what will: fired when, by whom, how late, or why not.

        The slot is the last one at or before `at`. Without `at`, it is the last slot, and its
        `following` explains the next one. The chain of links ends at the first broken one, with its
        evidence and the next step. An entry that was removed or renamed is explained for as long as
        the ledger has its records. With `broker`, the app's broker is asked how many messages and
        consumers the queue has now, for 2 seconds at most. Raises ValidationError, EntryNotFound,
        and CallTimeout if the entry has too many records since then.
        """
        self._check_scope(checked_name(name))
        at_ms = None if at is None else to_ms("at", at)
        calls = self._calls.bounded()
        ask = BrokerQuestion(self._app) if broker else lambda entry: None
        return explained(calls, name, at_ms, self.timezone, ask)

    def changes(
        self,
        name: str | None = None,
        since: datetime | timedelta | None = None,
        limit: int = 100,
    ) -> Changes:
        """The changes of one entry, or of all, newest first: who, when, how, and which fields.

        Those of all include pauses of the whole schedule, holds and calendars (`control`), but not
        for a client with a guard.
        The log has them for `habeat_changes_age`, and `habeat_changes_length` of them at most. It
        never has the values of arguments. A name that is not in the log has no changes. Raises
        EntryNotFound and NotAllowed for a client with a scope, as `history` does.
        """
        self._check_scope(name)
        calls = self._calls.bounded()
        scope = calls.guard.scope
        return calls.read(
            lambda session: changes_of(
                session,
                name,
                _from_ms(session, since),
                limit,
                scope=scope,
                check=calls.check,
                with_controls=calls.guard is NO_GUARD,
            )
        )

    def last_change(self, name: str) -> ChangeRecord | None:
        """The newest change of an entry; None if it has left the log. Raises EntryNotFound."""
        self.get(name)
        return last_change(self._calls, name)

    def diff(
        self,
        *names: str,
        since: datetime | timedelta = DAY,
        until: datetime | timedelta | None = None,
        tolerance: timedelta = TOLERANCE,
    ) -> Diff:
        """What a shadow would have sent beside what another beat sent, slot by slot.

        From `since` to `until` (default: now), of these entries or of all; a timedelta is that long
        ago. Times that differ by `tolerance` at most are the same. Without `habeat_shadow`, it
        reads what the app's shadow recorded before. If the period has more than 1,000,000 records,
        or more than can be compared in time, the result is about its first part, and `cut` says so.
        Raises ValidationError, also if that part would be empty, EntryNotFound for a name that does
        not occur in it, and NotAllowed for a client with a scope.
        """
        self._check_scope(None)
        return compared(self._calls.bounded(), names, Period(since, until, tolerance))

    def status(self) -> Status:
        """The leader, the standbys, what is due, and what is wrong.

        A client with a scope sees whether beats run but not where, and counts its own entries,
        which it reads for this.
        """
        grace_ms = self._calls.location.policies.misfire_grace_ms
        found = self._calls.read(
            lambda session: with_unregistered(
                session.caller, read_status(session.inspection, grace_ms)
            )
        )
        if self._calls.guard.scope == Scope():
            return found
        dead = len(self.dead(limit=None)) if found.dead else 0
        return within_scope(found, self.list(), dead, grace_ms)

    def upcoming(self, count: int = 10) -> Dues:
        """The entries that are due next and when, the soonest first; overdue ones come first.

        The instants are aware, in UTC, and include spread and jitter. ValidationError unless
        `count` is from 1 to 10,000.
        """
        if type(count) is not int or not 1 <= count <= UPCOMING_MOST:
            raise ValidationError("count", count, f"a whole number, 1 to {UPCOMING_MOST:,}")
        scope = self._calls.guard.scope
        if scope == Scope():
            found = self._calls.read(lambda session: session.inspection.upcoming(count))
            return [(name, moment(at_ms)) for name, at_ms in found]
        due = [(entry.name, at) for entry in self.list() if (at := entry.state.next_due)]
        return sorted(due, key=itemgetter(1))[:count]

    def unregistered(self, entries: Iterable[Entry]) -> dict[str, str]:
        """The tasks that the leader's code does not register, by the names of these entries.

        Empty if no beat has led for an hour, or if the leader cannot know.
        """
        found = tuple(entries)
        return self._calls.read(lambda session: unregistered(session.known_tasks, found))

    def server_time(self) -> datetime:
        """The time by Redis' clock, which decides everything; aware, UTC."""
        return moment(self._calls.read(lambda session: session.inspection.now_ms()))

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
        start_by: float | timedelta | None = None,
        calendar: str | Iterable[str] | None = None,
        misfire: MisfirePolicy | None = None,
        misfire_grace: float | timedelta | None = None,
        misfire_limit: int | None = None,
        misfire_window: float | timedelta | None = None,
        misfire_pace: float | None = None,
        delivery: DeliveryPolicy | None = None,
        replace: bool = False,
    ) -> Entry:
        """Add an entry. Its first slot is strictly after now, by Redis' clock.

        `task` is a task's name, a task or a signature (also a chain, group or chord). The name need
        not be registered in this process. A number as `schedule` is a period in seconds. Durations
        are seconds or a timedelta; instants are datetimes with a timezone.

        The entry has slots from `start` to `end`, both included, and at most `max_runs` firings.
        `spread` delays all firings of the entry by the same part of it, derived from the name.
        `jitter` delays each firing by a different part of it. Both together stay below the gap to
        the next slot. The worker no longer runs a message more than `deadline` after its
        effective time. A slot whose message is not sent within `start_by` of its effective time
        raises an alarm.

        `misfire` ("latest", "all" or "skip") decides about slots found later than `misfire_grace`.
        Slots older than `misfire_window` never fire, and "all" fires the newest `misfire_limit`
        slots, at `misfire_pace` a second. Values of None follow the app's settings.

        With `replace`, an existing entry of this name is replaced; it keeps its rhythm if its
        schedule stays the same. Raises ValidationError, and EntryExists if the name is taken (also
        with `replace`, if the entry belongs to beat_schedule).
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
            "start_by": start_by,
            "calendar": calendar,
            "misfire": misfire,
            "misfire_grace": misfire_grace,
            "misfire_limit": misfire_limit,
            "misfire_window": misfire_window,
            "misfire_pace": misfire_pace,
            "delivery": delivery,
        }
        checked_name(name)
        given = self._writes.kept(given)
        return self._write(lambda edit: edit.add(name, given, may_replace=replace))

    def add_many(self, entries: Iterable[Mapping[str, Any]], *, replace: bool = False) -> Entries:
        """Add up to 10,000 entries, each a mapping with the arguments of `add`.

        Everything is checked first: if an entry is refused, none is added, and BulkError says what
        is wrong with each. The entries are then written in batches. If Redis stops answering in
        between or the time is up, BulkInterrupted says which were added. The call may take a second
        longer than others for each thousand entries.

        With `replace`, existing entries are replaced as by `add`. After BulkInterrupted you can
        then repeat the call.
        """
        entries = self._writes.kept(listed(entries))
        return self._writes.make(
            self._calls, lambda calls: added(calls, entries, may_replace=replace)
        )

    def sync(
        self, entries: Iterable[Mapping[str, Any]], *, tag: str, dry_run: bool = False
    ) -> SyncPlan:
        """Make the entries with this tag match `entries`, mappings with the arguments of `add`.

        Each entry is given the tag. Entries that are missing are added, those that differ are
        changed, and entries of the API that have the tag but are not among `entries` are removed;
        an empty list removes all that have it. No other entry is touched: BulkError if one of the
        names belongs to an entry without the tag or to beat_schedule. Iterators are refused.

        Everything is checked first: if an entry is refused, nothing is written, and BulkError says
        what is wrong with each. With `dry_run`, nothing is written in any case. If Redis stops
        answering in between or the time is up, BulkInterrupted says what was written; repeat the
        call to continue. Pauses stay.
        """
        if isinstance(entries, Iterator):  # used up by a dry run, it would remove all
            raise ValidationError("entries", entries, "a list: an iterator can be read only once")
        entries = listed(entries)
        if dry_run:
            return synced(self._calls, entries, tag, dry_run=True)
        entries = self._writes.kept(entries)
        return self._writes.make(
            self._calls, lambda calls: synced(calls, entries, tag, dry_run=calls.plans_only)
        )

    def update(
        self, name: str, *, rev: int | None = None, **changes: Unpack[EntryChanges]
    ) -> Entry:
        """Change some fields, named as in `add`; the others stay the same.

        Only a new schedule, start or end changes the entry's rhythm: its next slot is then strictly
        after now. The same is true if a new `max_runs` lets an exhausted entry run again. With
        `rev`, the entry must be at that revision, else RevisionConflict. Raises EntryNotFound,
        ValidationError, OwnedByConfig, and DefinitionError if a quarantined entry still cannot be
        read with these changes.
        """
        checked_name(name)
        kept = self._writes.kept(dict(changes))
        return self._write(lambda edit: edit.update(name, rev, kept))

    def remove(self, name: str | None = None, *, prefix: str = "", tags: Iterable[str] = ()) -> int:
        """Remove one entry, or all of the API's with this prefix and all these tags.

        Returns how many were removed. Entries of beat_schedule stay; removing one by name raises
        OwnedByConfig. Raises EntryNotFound, and ValidationError without name, prefix and tags.
        """
        selection = Selection.checked(prefix, tags)
        if name is None:
            if selection == Selection():
                allowed = "a name, a prefix that is not empty, or tags"
                raise ValidationError("name", None, allowed)
            return len(self.remove_many(prefix=selection.prefix, tags=selection.tags))
        if selection != Selection():
            raise ValidationError("name", name, "no name together with prefix or tags")
        checked_name(name)
        self._write(lambda edit: edit.remove(name))
        return 1

    def rename(self, old: str, new: str) -> Entry:
        """Rename an entry; it keeps its rhythm, its count of runs and its pause.

        Raises EntryNotFound, EntryExists, OwnedByConfig, ValidationError, and DefinitionError if
        it cannot be read.
        """
        checked_name(old)
        checked_name(new)
        return self._write(lambda edit: edit.rename(old, new))

    def pause(self, name: str, reason: str = "", until: datetime | None = None) -> Entry:
        """Stop an entry until `resume` is called, or until `until` at the latest.

        The ledger records its slots in the pause as skipped. Pausing a paused entry changes only
        what you give: an empty reason or no `until` keeps the earlier one. Raises EntryNotFound and
        ValidationError.
        """
        until_ms = _pause_ends(reason, until, name)
        checked_name(name)
        return self._write(lambda edit: edit.pause(name, reason, until_ms))

    def resume(
        self,
        /,
        name: str,
        from_: Literal["now", "paused"] = "now",
        **also: Literal["now", "paused"],
    ) -> Entry:
        """Let a paused or quarantined entry continue from now, without catching up.

        With ``from_="paused"``, it continues where it stopped: its catch-up policy decides about
        the slots since then. ``**{"from": "paused"}`` works too, since `from` is a keyword of
        Python. Raises EntryNotFound, and DefinitionError if its definition cannot be read.
        """
        begin = also.pop("from", from_)
        if also:
            raise TypeError(f"resume() has no argument {next(iter(also))!r}")
        catch_up = _catches_up(begin, name)
        checked_name(name)
        return self._write(lambda edit: edit.resume(name, catch_up=catch_up))

    # -- changes of many entries --------------------------------------------------------------

    def remove_many(
        self, names: Iterable[str] | None = None, *, prefix: str = "", tags: Iterable[str] = ()
    ) -> tuple[str, ...]:
        """Remove these entries, or all of the API's with this prefix and all these tags.

        Returns the names of those that were removed. If a named entry does not exist or belongs to
        beat_schedule, none is removed, and BulkError says what is wrong with each. More than 50
        names, or a selection, are removed in batches: BulkInterrupted says which were, if Redis
        stops answering in between. Raises ValidationError.
        """
        chosen = Chosen.checked(names, prefix, tags, every=False)
        return self._writes.make(self._calls, lambda calls: removed(calls, chosen))

    def pause_many(
        self,
        names: Iterable[str] | None = None,
        *,
        prefix: str = "",
        tags: Iterable[str] = (),
        all: bool = False,
        reason: str = "",
        until: datetime | None = None,
    ) -> ManyChanged:
        """Pause these entries, or those with this prefix and all these tags, or all; see `pause`.

        If a named entry does not exist, none is paused, and BulkError says what is wrong with each.
        Raises ValidationError, and BulkInterrupted as `remove_many` does.
        """
        until_ms = _pause_ends(reason, until)
        plan = pausing(reason, until_ms, self._calls.location.limits)
        chosen = Chosen.checked(names, prefix, tags, every=all)
        return self._writes.make(self._calls, lambda calls: changed(calls, chosen, plan))

    def resume_many(
        self,
        names: Iterable[str] | None = None,
        *,
        prefix: str = "",
        tags: Iterable[str] = (),
        all: bool = False,
        from_: Literal["now", "paused"] = "now",
    ) -> ManyChanged:
        """Resume these entries, or those with this prefix and all these tags, or all; see `resume`.

        Entries that are neither paused nor quarantined are `unchanged`, and those of a selection
        that cannot be read are `refused`. Errors are as for `pause_many`.
        """
        plan = resuming(catch_up=_catches_up(from_))
        chosen = Chosen.checked(names, prefix, tags, every=all)
        return self._writes.make(self._calls, lambda calls: changed(calls, chosen, plan))

    def enable_many(
        self,
        names: Iterable[str] | None = None,
        *,
        prefix: str = "",
        tags: Iterable[str] = (),
        all: bool = False,
    ) -> ManyChanged:
        """Enable these entries, or those with this prefix and all these tags, or all.

        Entries that are enabled already are `unchanged`. Entries of beat_schedule that are disabled
        are refused with OwnedByConfig. Errors are as for `resume_many`.
        """
        return self._switch_many(names, prefix, tags, all, enabled=True)

    def disable_many(
        self,
        names: Iterable[str] | None = None,
        *,
        prefix: str = "",
        tags: Iterable[str] = (),
        all: bool = False,
    ) -> ManyChanged:
        """Disable these entries, or those with this prefix and all these tags, or all.

        Entries that are disabled already are `unchanged`. Entries of beat_schedule that are enabled
        are refused with OwnedByConfig; pause those. Errors are as for `resume_many`.
        """
        return self._switch_many(names, prefix, tags, all, enabled=False)

    def _switch_many(
        self,
        names: Iterable[str] | None,
        prefix: str,
        tags: Iterable[str],
        every: bool,
        *,
        enabled: bool,
    ) -> ManyChanged:
        chosen = Chosen.checked(names, prefix, tags, every=every)
        plan = switching(enabled, self._calls.location)
        return self._writes.make(self._calls, lambda calls: changed(calls, chosen, plan))

    def trigger_many(
        self,
        names: Iterable[str] | None = None,
        *,
        prefix: str = "",
        tags: Iterable[str] = (),
        all: bool = False,
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        request_id: str | None = None,
    ) -> ManyTriggered:
        """Fire each of these entries once, now; see `trigger`.

        The requests' ids are derived from `request_id` and the entries' names, so the same call
        again sends nothing again. Arguments are checked for every entry first. Errors are as for
        `resume_many`; call again with the `request_id` of a BulkInterrupted to fire the others.
        """
        chosen = Chosen.checked(names, prefix, tags, every=all)
        identity = request_id_of("", request_id)
        args, kwargs = self._writes.kept(args), self._writes.kept(kwargs)
        return self._writes.make(
            self._calls, lambda calls: triggered_many(calls, chosen, args, kwargs, identity)
        )

    def _write(self, change: Callable[[Editing], Result]) -> Result:
        return self._writes.make(self._calls, lambda calls: change(Editing(calls)))

    # -- by hand ----------------------------------------------------------------------------

    def trigger(
        self,
        name: str,
        *,
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        request_id: str | None = None,
    ) -> RequestId:
        """Fire an entry once, now, regardless of its schedule, and also if it is paused.

        `args` and `kwargs` replace the entry's own. Returns the id of the request. Its `known` is
        True if that id was used before (within `habeat_ledger_age`); then nothing is sent again.
        Raises EntryNotFound, ValidationError, DefinitionError.
        """
        identity = request_id_of(checked_name(name), request_id)
        args, kwargs = self._writes.kept(args), self._writes.kept(kwargs)
        return self._writes.make(
            self._calls, lambda calls: triggered(calls, name, args, kwargs, identity)
        )

    def backfill(
        self,
        name: str,
        start: datetime,
        end: datetime,
        *,
        pace: float | None = None,
        dry_run: bool = False,
        request_id: str | None = None,
    ) -> Backfill:
        """Fire past slots with ``start < slot <= end`` again, `pace` a second (10 without).

        With a guard, its `min_interval` bounds the pace. They fire whatever their outcome was.
        There may be 100,000 slots at most, none of them in the future. The cursor does not move.
        With `dry_run`, nothing is written. `request_id` works as for `trigger`. Raises
        EntryNotFound, EntryMoving, ValidationError, DefinitionError.
        """
        identity = request_id_of(checked_name(name), request_id)

        def change(calls: RetryingCalls) -> Backfill:
            return backfilled(
                calls, name, start, end, pace=pace, dry_run=dry_run, identity=identity
            )

        return change(self._calls) if dry_run else self._writes.make(self._calls, change)

    def circuit(self, name: str) -> Circuit | None:
        """The entry's open circuit: since when and why it is not sent; None if it is closed."""
        checked_name(name)
        self._check_scope(name)
        return self._calls.read(lambda session: session.inspection.circuit(name))

    # -- what was given up --------------------------------------------------------------------

    def dead(
        self,
        entry: str | None = None,
        *,
        older_than: timedelta | None = None,
        limit: int | None = 100,
    ) -> DeadLetters:
        """Firings and requests that were given up and are kept, the oldest first.

        A client with a scope sees, resends and purges those of its entries only.
        """
        return letters(self._calls, entry, older_than, limit)

    def dead_letter(self, id: str) -> DeadLetter:
        """The dead firing or request with this id. Raises DeadNotFound."""
        return letter(self._calls, id)

    def resend(self, id: str) -> DeadLetter:
        """Send a dead firing again with the same task id, or make a dead request again.

        Raises DeadNotFound, DeadUnreadable, and for a request, EntryNotFound if its entry is gone
        and EntryMoving if `adopt` has begun to move it.
        """
        return resent(self._calls, id)

    def purge_dead(
        self,
        id: str | None = None,
        *,
        entry: str | None = None,
        older_than: timedelta | None = None,
    ) -> int:
        """Remove one dead firing or request by id, or all that match; returns how many.

        Without `id`, `entry` and `older_than`, all are removed. Raises DeadNotFound,
        ValidationError for an empty id, and NotAllowed for a client with a scope if neither `id`
        nor `entry` is given.
        """
        return purged(self._calls, id, entry, older_than)

    # -- the whole schedule -----------------------------------------------------------------

    def pause_all(self, reason: str = "", until: datetime | None = None) -> SchedulePause:
        """Pause the whole schedule until `resume_all` is called, or until `until` at the latest.

        It is one switch, which every replica sees at once. When the call returns, nothing more is
        claimed; messages of firings that were claimed before are still sent. Slots of the pause are
        skipped, and nothing can be fired by hand. The pauses of single entries stay as they are.
        If the schedule is paused already, an empty reason or no `until` keeps the earlier one.
        Raises ValidationError, and NotAllowed for a client with a guard.
        """
        return paused_all(self._calls, reason, until, who())

    def resume_all(self) -> SchedulePause | None:
        """End the pause of the whole schedule; returns it, or None if the schedule was not paused.

        Entries that are paused themselves stay paused. To fire slots of the pause after all, use
        `backfill`. Raises NotAllowed for a client with a guard.
        """
        return resumed_all(self._calls)

    def schedule_paused(self) -> SchedulePause | None:
        """The pause of the whole schedule; None if it is not paused."""
        return schedule_paused(self._calls)

    def add_hold(
        self,
        name: str,
        *,
        start: datetime | None = None,
        end: datetime | None = None,
        schedule: ScheduleLike | None = None,
        duration: float | timedelta | None = None,
        prefix: str = "",
        tags: Iterable[str] = (),
        misfire: Literal["skip", "latest"] = "skip",
        reason: str = "",
        replace: bool = False,
    ) -> Hold:
        """Keep the entries with this prefix and all these tags from firing for a while.

        Once, from `start` (default: now) to `end` (default: until it is removed). With `schedule`
        and `duration`, again and again between these: each slot of the schedule begins a window.
        Slots in a window are skipped; with ``misfire="latest"``, the newest one of each entry fires
        at its end. Triggers and backfills are not held. Raises ValidationError, also if the name is
        taken and `replace` is false, and NotAllowed if a guard's scope does not contain the hold.
        """
        wanted = Wanted(
            start, end, schedule, duration, prefix=prefix, tags=tags, misfire=misfire, reason=reason
        )
        zone = self.timezone if schedule is not None else "UTC"
        return added_hold(self._calls, name, wanted, replace=replace, timezone=zone, by=who())

    def holds(self) -> tuple[Hold, ...]:
        """The holds, by name; with a guard, those within its scope."""
        return listed_holds(self._calls)

    def remove_hold(self, name: str) -> bool:
        """Remove a hold; False if there is none of this name. Raises NotAllowed."""
        return removed_hold(self._calls, name)

    def set_calendar(
        self, name: str, dates: Iterable[date | str], *, timezone: str | None = None
    ) -> CalendarDays:
        """Define the days on which entries with this calendar do not fire, in place of others.

        A day is a date, an ISO date such as ``2026-12-24``, or ``12-25`` for every year. Days are
        local to the zone of an entry's schedule; `timezone` (default: the app's) is for schedules
        without a zone. Raises ValidationError, and NotAllowed for a client with a guard.
        """
        return calendar_set(self._calls, name, dates, timezone or self.timezone)

    def calendars(self) -> tuple[CalendarDays, ...]:
        """The calendars, by name."""
        return calendars_listed(self._calls)

    def remove_calendar(self, name: str) -> bool:
        """Remove a calendar; False if there is none of this name. Its entries then fire every day.

        Raises NotAllowed for a client with a guard.
        """
        return calendar_removed(self._calls, name)

    def step_down(
        self, to: str | None = None, *, asked: Callable[[], None] | None = None
    ) -> HandOver:
        """Make the leader hand over to another replica, and wait until that one leads.

        The leader finishes what it is sending, releases its lease, and does not compete for it for
        ten seconds. With `to` (the id of a replica, its host, or host:pid), that replica may take
        the lease first. Takes up to 15 seconds, whatever the client's timeout; `asked` is called
        when the leader has been asked and the wait begins. Raises NotHandedOver
        if no other replica leads by then, ValidationError if `to` is not one live standby, and
        NotAllowed for a client with a guard.
        """
        return stepped_down(self._calls, to, asked)

    # -- all of it --------------------------------------------------------------------------

    def purge(self, *, dry_run: bool = False, force: bool = False) -> Purge:
        """Delete all that habeat keeps under this prefix: entries, ledger, claims, everything.

        Keys that habeat did not write are kept, even under the prefix. With `dry_run`, nothing is
        deleted. Raises BeatsAlive while a beat runs there, unless `force` is true, and NotAllowed
        for a client with a scope. If the call is interrupted, repeat it.
        """
        return purge_prefix(self._calls, dry_run=dry_run, force=force)

    def export(self) -> dict[str, Any]:
        """All entries as a document for `load`, of plain JSON values, without URL or password."""
        return exported(self._calls)

    def load(
        self, data: Mapping[str, Any], dry_run: bool = False, *, progress: Progress | None = None
    ) -> LoadReport:
        """Add and change entries to match an exported document; other entries stay unchanged.

        Everything is checked first: if one entry is refused, nothing is written. With `dry_run`,
        nothing is written in any case. `progress` is called with (entries done, entries to do).
        Raises ValidationError if `data` is no such document.
        """
        return loaded(self._calls, data, dry_run=dry_run, progress=progress)

    def adopt(self, prefix: str, *, dry_run: bool = False, force: bool = False) -> Adoption:
        """Move the entries made through the API here from another prefix on the same Redis.

        For an app that was renamed. Each entry keeps its cursor, its count and its pause, and is
        removed there: no slot fires twice. Entries of beat_schedule stay there. What cannot be
        moved is `refused`, and the other entries are moved. With `dry_run`, nothing is written. If
        the call is interrupted, repeat it.

        Raises BeatsAlive while a beat runs under that prefix, unless `force` is true,
        ValidationError if there is nothing under it, and NotAllowed for a client with a guard.
        """
        return adopt_from(self._calls, prefix, dry_run=dry_run, force=force)

    def backup(self, *, progress: Progress | None = None) -> dict[str, Any]:
        """All entries with their states and pauses, and the controls, as a document for `restore`.

        It has the arguments of all entries, so keep it where others cannot read it. `progress` is
        called with (entries done, entries to do). NotAllowed for a client with a guard.
        """
        return backed_up(self._calls, progress)

    def restore(
        self,
        data: Mapping[str, Any],
        *,
        replace: bool = False,
        resume_positions: bool = False,
        keep_undo: KeepUndo | None = None,
        progress: Progress | None = None,
    ) -> RestoreReport:
        """Restore a document of `backup`; without `keep_undo`, only say what would be done.

        `keep_undo` is called before anything is written, with a document that undoes the restore:
        give that to `restore`. Entries that are missing here are added, and start now; none fires a
        slot twice. With `resume_positions` they continue from the backup's positions, for a Redis
        on which no beat has run since. With `replace`, the API's entries that are here get the
        definition and pause of the backup. Raises ValidationError if `data` is not a backup, and
        NotAllowed for a client with a guard. If the call is interrupted, repeat it.
        """
        terms = Terms(replace, resume_positions)
        return restored(self._calls, Backup.from_json(data), terms, keep_undo, progress)

    def _plan(self, declared: Mapping[str, Entry], broken: Mapping[str, str]) -> DeployPlan:
        """What a deploy of code that declares these entries does to those in Redis."""
        return deploy_planned(self._calls, declared, broken)

    # -- connections ------------------------------------------------------------------------

    @property
    def timezone(self) -> str:
        """The IANA name of the zone for schedules without one of their own."""
        return self._find_timezone()

    @property
    def redis(self) -> str:
        """The Redis and the key prefix, for display; without password."""
        return f"{self._calls.location.target}, keys {self._calls.location.prefix}"

    def close(self) -> None:
        """Disconnect. A later call reconnects."""
        self._calls.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _pause_ends(reason: object, until: datetime | None, name: str = "") -> int | None:
    """The end of a pause in ms; ValidationError, also for its reason."""
    if not isinstance(reason, str):
        raise ValidationError("reason", reason, "a string", entry=name)
    try:
        return None if until is None else to_ms("until", until)
    except ValidationError as error:
        raise error.of_entry(name) from None


def _catches_up(begin: object, name: str = "") -> bool:
    if begin not in ("now", "paused"):
        raise ValidationError("from", begin, "'now' or 'paused'", entry=name)
    return begin == "paused"


def _drift_report(
    name: str | None, check: Check, progress: DriftProgress | None, session: Session
) -> DayOfLateness:
    """The last day, counted from the ledger."""
    day = DayOfLateness(session.inspection.now_ms())
    if name is None:
        day.read(session.lateness, check, progress)
    else:
        day.read_of(name, session.inspection, check)
    return day


def _lateness(names: Sequence[str], session: Session) -> dict[str, Lateness]:
    return session.inspection.lateness(names)


def _from_ms(
    session: Session, since: datetime | timedelta | None, field: str = "since"
) -> int | None:
    if since is None:
        return None
    return past_ms(field, since, session.inspection.now_ms())
