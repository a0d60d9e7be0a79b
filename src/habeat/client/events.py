"""What happened to the schedule as a whole: `client.events`.

An event explains a gap in the ledger: who led and since when, when Redis or the broker could not be
reached, when data was lost.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import islice

from habeat.client.budget import Check
from habeat.client.calls import RetryingCalls, Session
from habeat.client.history import NEWS_AT_ONCE
from habeat.core.events import EventCode
from habeat.core.leadership import where, why_led
from habeat.entries.spans import milliseconds
from habeat.errors import ValidationError
from habeat.schedules.schedule import moment
from habeat.store.events import Events, Party, StoredEvent
from habeat.store.streams import order_of

#: The time limit is checked once for this many events.
CHECK_EVERY = 50


@dataclass(frozen=True, slots=True)
class EventReplica:
    """A replica in an event. What is unknown is None; an older release does not say who it is."""

    id: str | None
    host: str | None
    pid: int | None
    lease_epoch: int | None

    @property
    def where(self) -> str:
        """Host and process id, for display; its id if the host is unknown."""
        return where(self.host or "", self.pid, self.id or "") or "an unknown replica"


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to the schedule as a whole, or to the entry `entry`.

    `code` is a word that never changes its meaning. `at` is when it was stored, `since` and `until`
    are its bounds; None if unknown, or if it still lasts. For a change of leader, they are the last
    sign of the previous leader and the moment when the new one took the lease. `by` is the replica
    that reports it: for a change of leader the new one, and `previous` is the one before. `cause`
    is one word, `detail` may be the text of an error. A pause of the whole schedule is of no
    replica: `detail` says who asked for it, and `cause` in which way. Instants are aware, in UTC,
    by Redis' clock.
    """

    id: str
    at: datetime
    code: str
    entry: str | None
    by: EventReplica
    since: datetime | None
    until: datetime | None
    cause: str
    detail: str
    previous: EventReplica | None = None

    @property
    def span_ms(self) -> int | None:
        """The time from `since` to `until`: for a change of leader, how long none was seen."""
        if self.since is None or self.until is None:
            return None
        return max(0, round((self.until - self.since).total_seconds() * 1_000))

    @property
    def sentence(self) -> str:
        """What happened, in words."""
        match self.code:
            case EventCode.LEADER_ACQUIRED:
                return _change_of_leader(self)
            case EventCode.DATA_LOST:
                return _loss(self)
            case EventCode.REDIS_UNAVAILABLE:
                return _with_detail(f"Redis could not be reached{_lasted(self)}", self)
            case EventCode.BROKER_UNAVAILABLE:
                return _with_detail("the broker takes no messages", self)
            case EventCode.BROKER_AVAILABLE:
                after = "" if self.span_ms is None else f" after {milliseconds(self.span_ms)}"
                return f"the broker takes messages again{after}"
            case EventCode.SCHEDULE_PAUSED:
                until = "" if self.until is None else f" until {_iso(self.until)}"
                return f"the whole schedule was paused{until} {self.detail}".rstrip()
            case EventCode.SCHEDULE_RESUMED:
                return f"the whole schedule was resumed {self.detail}".rstrip()
        return _with_detail(self.code.replace("_", " "), self)


def events(
    store: Events,
    since_ms: int | None,
    until_ms: int | None,
    limit: int,
    codes: Collection[str],
    check: Check,
) -> list[Event]:
    """The newest `limit` events, newest first."""
    if type(limit) is not int or limit < 1:
        raise ValidationError("limit", limit, "a whole number, 1 or more")
    found = _in_time(store.newest_first(since_ms, until_ms), check)
    wanted = (each for each in found if not codes or each.code in codes)
    return [event(each) for each in islice(wanted, limit)]


class EventFollower:
    """Looks for events that are new, from now on."""

    def __init__(self, calls: RetryingCalls) -> None:
        self._calls = calls
        self.last: str | None = None

    def look(self) -> list[Event]:
        """The new events, the oldest first."""
        found = self._calls.read(self._news)
        if found:
            self.last = found[-1].id
        return found

    def _news(self, session: Session) -> list[Event]:
        newest = session.events.newest_id()
        if self.last is None:
            self.last = newest
        elif order_of(newest) < order_of(self.last):
            self.last = "0-0"  # Redis has lost data, and these are all its events
        return [event(each) for each in session.events.after(self.last, NEWS_AT_ONCE)]


def codes_of(given: str | Iterable[str]) -> tuple[EventCode, ...]:
    """The codes to show, checked; () means all. ValidationError."""
    words = (given,) if isinstance(given, str) else tuple(given)
    for word in words:
        if word not in list(EventCode):
            allowed = "an event code, as in habeat.client.EventCode"
            raise ValidationError("code", word, allowed)
    return tuple(map(EventCode, words))


def event(stored: StoredEvent) -> Event:
    """A stored event for users."""
    is_change = stored.code == EventCode.LEADER_ACQUIRED
    return Event(
        id=stored.id,
        at=moment(stored.at_ms),
        code=stored.code,
        entry=stored.entry or None,
        by=_replica(stored.by),
        since=None if stored.since_ms is None else moment(stored.since_ms),
        until=None if stored.until_ms is None else moment(stored.until_ms),
        cause=stored.cause,
        detail=stored.detail,
        previous=_replica(stored.before) if is_change and stored.before.is_known else None,
    )


def _in_time(found: Iterator[StoredEvent], check: Check) -> Iterator[StoredEvent]:
    for count, each in enumerate(found, 1):
        yield each
        if count % CHECK_EVERY == 0:
            check(f"{count} events were read")


def _replica(party: Party) -> EventReplica:
    return EventReplica(party.replica or None, party.host or None, party.pid, party.lease_epoch)


def _change_of_leader(change: Event) -> str:
    before = "" if change.previous is None else change.previous.where
    reason = why_led(before, change.cause, change.detail, change.span_ms)
    return f"{change.by.where} leads: {reason}"


def _loss(loss: Event) -> str:
    how = {"emptied": "was emptied", "restored": "went back to an older state"}
    until = "" if loss.since is None else f"; what was written after {_iso(loss.since)} may be lost"
    return f"Redis {how.get(loss.cause, 'lost data')}{until}"


def _lasted(outage: Event) -> str:
    return "" if outage.span_ms is None else f" for {milliseconds(outage.span_ms)}"


def _with_detail(sentence: str, found: Event) -> str:
    return f"{sentence}: {found.detail}" if found.detail else sentence


def _iso(at: datetime) -> str:
    return at.isoformat(sep=" ", timespec="milliseconds").replace("+00:00", " UTC")
