"""The part of the Client that only looks: entries, slots to come, slots gone by, the status."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from functools import partial

from habeat.client.calls import RetryingCalls, Session
from habeat.client.guard import Scope
from habeat.client.history import (
    Drift,
    LedgerRecord,
    drift_of,
    drift_since,
    moment,
    records,
    since_ms,
)
from habeat.client.preview import Instant, Span, in_zone, instants, instants_of
from habeat.client.selection import Selection, entries_of, pages_of, selected
from habeat.client.simulation import Simulation, simulated
from habeat.client.status import Status, read_status
from habeat.core.entry import Entry, Policies
from habeat.core.lateness import Lateness
from habeat.entries.draft import checked_name
from habeat.entries.schedules import schedule_of
from habeat.errors import EntryNotFound, NotAllowed
from habeat.schedules import Schedule

ScheduleLike = Schedule | float | timedelta

# In the body of a class that has a `list` of its own, these cannot be spelled.
Instants = list[Instant]
Drifts = list[Drift]
Records = list[LedgerRecord]


class Looking:
    """What `Client` tells; nothing here writes."""

    _calls: RetryingCalls

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


def _lateness(names: Sequence[str], session: Session) -> dict[str, Lateness]:
    return session.insight.lateness(names)


def _from_ms(session: Session, since: datetime | timedelta | None) -> int | None:
    return None if since is None else since_ms(since, session.insight.now_us() // 1_000)
