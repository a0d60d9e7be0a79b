"""The outcomes of slots, and how late firings were: `client.history` and `client.drift`."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import islice
from typing import Any, Literal, cast, get_args

from habeat.client.budget import Check, unbounded
from habeat.client.calls import RetryingCalls, Session
from habeat.client.guard import Scope
from habeat.core.firing import DECLINED, DECLINED_BY, LATE_AFTER_MS, Firing, Outcome
from habeat.core.lateness import Lateness
from habeat.errors import ValidationError
from habeat.printable import plural
from habeat.schedules.schedule import moment, to_ms
from habeat.store.events import Events, Party
from habeat.store.inspection import Inspection, Record

#: The time limit is checked once for this many records.
CHECK_EVERY = 50
#: How often `follow` looks for new records, and how many it reads at once.
FOLLOW_EVERY_S = 1.0
NEWS_AT_ONCE = 1_000

OutcomeName = Literal[
    "sent", "late", "skipped", "missed", "suppressed", "failed", "ambiguous", "shadow", "note"
]
OUTCOMES: tuple[OutcomeName, ...] = get_args(OutcomeName)

_RECORD_ID = re.compile(r"[0-9]{1,19}-[0-9]{1,19}")
_LEFT = (Outcome.SENT, Outcome.LATE)
#: Outcomes of firings, which have a message, unless they are of a run of slots.
_FIRINGS = (*_LEFT, Outcome.FAILED, Outcome.AMBIGUOUS, Outcome.SUPPRESSED)
_RESENT = ("left again", "sent again by hand")

#: Reasons that are too short to be read on their own.
_WHY = {
    "trigger": "triggered by hand",
    "backfill": "backfilled by hand",
    "paused": "the entry was paused",
    "disabled": "the entry was disabled",
    "quarantined": "the entry was quarantined",
    "edited": "the entry was changed",
    "removed": "the entry was removed",
    "expired": "the message had expired",
    "fired before": "it had been sent before",
    DECLINED: "the task's class declined to send it",
    "left again": "the message was sent once more",
    "history lost": "Redis had lost data",
}


@dataclass(frozen=True, slots=True)
class LedgerRecord:
    """The outcome of a slot, or of `count` consecutive slots from `slot` to `until`.

    Instants are aware, in UTC. `at` is when it was recorded, by Redis' clock, and `id` is the
    record's place in the ledger. `lateness_ms` is None unless the message was sent; `attempt` is
    then the number of the attempt that sent it. `task_id` is the id of the firing's message, None
    where there is no message. `request_id` is the id of the trigger or backfill, or None.
    `queue` is where the message went: a queue or a routing key.
    `replica`, `host` and `pid` are those of the leader under whose lease it was recorded; None if
    that is not known, and for a client whose guard has a scope.
    """

    entry: str
    slot: datetime
    until: datetime
    count: int
    outcome: OutcomeName
    reason: str
    at: datetime
    lateness_ms: int | None
    attempt: int
    lease_epoch: int
    id: str = ""
    task_id: str | None = None
    request_id: str | None = None
    queue: str | None = None
    replica: str | None = None
    host: str | None = None
    pid: int | None = None

    @property
    def where(self) -> str:
        """Host and process id of the leader, for display; "" if unknown."""
        return f"{self.host} pid {'?' if self.pid is None else self.pid}" if self.host else ""

    @property
    def why(self) -> str:
        """The reason in words, also where all went well: "on time", "caught up (misfire: all)"."""
        reason = _WHY.get(self.reason, self.reason)
        if self.reason.startswith(DECLINED_BY):
            reason = f"{_WHY[DECLINED]} ({self.reason.removeprefix(DECLINED_BY)})"
        if reason.startswith("misfire: "):
            never = "not " if self.outcome == "missed" else ""
            reason = f"{never}caught up ({reason})"
        elif not reason:
            late = f"more than {LATE_AFTER_MS // 1_000} s after it was due"
            shadow = "not sent: this beat is a shadow"
            words = {"sent": "on time", "late": late, "shadow": shadow}
            reason = words.get(self.outcome, "no reason recorded")
        return f"{reason}; attempt {self.attempt}" if self.attempt > 1 else reason


@dataclass(frozen=True, slots=True)
class Drift:
    """How late the firings of one entry were sent, in milliseconds after their effective time."""

    entry: str
    count: int
    p50_ms: int
    p99_ms: int
    max_ms: int
    p90_ms: int = 0


def past_ms(field: str, given: Any, now_ms: int) -> int:
    """A datetime, or a timedelta before now, as Unix milliseconds; ValidationError."""
    if isinstance(given, timedelta):
        return now_ms - given // timedelta(milliseconds=1)
    try:
        return to_ms(field, given)
    except ValidationError:
        allowed = "a datetime with a timezone, or a timedelta (that long ago)"
        raise ValidationError(field, given, allowed) from None


def records(
    inspection: Inspection,
    name: str | None,
    from_ms: int | None,
    limit: int,
    check: Check = unbounded,
    outcomes: Collection[OutcomeName] = (),
    until_ms: int | None = None,
) -> list[LedgerRecord]:
    """The newest `limit` records, newest first, of one entry or (None) of all.

    With `outcomes`, only records with one of them; with `until_ms`, only those written by then.
    """
    if type(limit) is not int or limit < 1:
        raise ValidationError("limit", limit, "a whole number, 1 or more")
    found = in_time(_of(inspection, name, from_ms, until_ms), check)
    shown = islice((each for each in found if not outcomes or each.outcome in outcomes), limit)
    cluster = inspection.cluster()
    return [friendly(record, cluster) for record in shown]


def within(record: LedgerRecord, scope: Scope) -> LedgerRecord:
    """The record without the name of an entry outside the scope, as in "renamed to NAME"."""
    for words in ("renamed from ", "renamed to "):
        other = record.reason.removeprefix(words)
        # A tag says nothing of another name.
        if other != record.reason and (scope.tag or not scope.has_name(other)):
            return replace(record, reason="renamed")
    return record


class Leaders:
    """Who led under a lease epoch; what was found once is remembered."""

    def __init__(self) -> None:
        self._known: dict[int, Party | None] = {}

    def named(self, events: Events, found: Sequence[LedgerRecord]) -> list[LedgerRecord]:
        """The records with the replica under whose lease each was written."""
        missing = {record.lease_epoch for record in found} - self._known.keys() - {0}
        if missing:
            self._known |= {**dict.fromkeys(missing), **events.replicas_of(missing)}
        return [self._with_replica(record) for record in found]

    def _with_replica(self, record: LedgerRecord) -> LedgerRecord:
        party = self._known.get(record.lease_epoch)
        if party is None:
            return record
        return replace(record, replica=party.replica or None, host=party.host, pid=party.pid)


def outcomes_of(given: OutcomeName | Iterable[OutcomeName]) -> tuple[OutcomeName, ...]:
    """The outcomes to show, checked; () means all. ValidationError."""
    words = (given,) if isinstance(given, str) else tuple(given)
    for word in words:
        if word not in OUTCOMES:
            raise ValidationError("outcome", word, " or ".join(map(repr, OUTCOMES)))
    return words


class Follower:
    """Looks for records that are new: from now on, or after the one with the id `after`."""

    def __init__(
        self,
        calls: RetryingCalls,
        name: str | None,
        outcomes: Collection[OutcomeName],
        after: str | None,
    ) -> None:
        self._calls = calls
        self._name = name
        self._outcomes = outcomes
        if after is not None and not _RECORD_ID.fullmatch(str(after)):
            raise ValidationError("after", after, "the id of a record, as in 1764414000000-0")
        self._last = after
        self._leaders = None if calls.guard.scope != Scope() else Leaders()
        #: Whether the last look has read all that there was.
        self.is_caught_up = False

    def look(self) -> list[LedgerRecord]:
        """The new records that match, the oldest first."""
        found = self._calls.read(self._news)
        self.is_caught_up = len(found) < NEWS_AT_ONCE
        if found:
            self._last = found[-1].id
        return [record for record in found if self._wants(record)]

    def records(self) -> Iterator[LedgerRecord]:
        """The records as they are written; it never ends."""
        while True:
            yield from self.look()
            if self.is_caught_up:
                self._calls.wait(FOLLOW_EVERY_S)

    def _news(self, session: Session) -> list[LedgerRecord]:
        inspection = session.inspection
        if self._last is None:
            newest = inspection.newest(1)
            self._last = newest[0].id if newest else "0-0"
        found = list(islice(inspection.after(self._last), NEWS_AT_ONCE))
        cluster = inspection.cluster() if found else ""
        news = [friendly(record, cluster) for record in found]
        if self._leaders is None:
            return [within(record, self._calls.guard.scope) for record in news]
        return self._leaders.named(session.events, news)

    def _wants(self, record: LedgerRecord) -> bool:
        is_of_it = self._name in (None, record.entry)
        return is_of_it and (not self._outcomes or record.outcome in self._outcomes)


def drift_since(
    inspection: Inspection, name: str | None, from_ms: int, check: Check = unbounded
) -> list[Drift]:
    """Exact figures, computed from the ledger; the worst first. Without firings by hand."""
    late: dict[str, list[int]] = {}
    for record in in_time(_of(inspection, name, from_ms), check):
        if record.outcome in _LEFT and not record.is_by_hand:
            late.setdefault(record.entry, []).append(record.lateness_ms)
    return _worst_first(_exact(entry, sorted(values)) for entry, values in late.items())


def drift_of(histograms: Iterable[tuple[str, Lateness]]) -> list[Drift]:
    """Figures from histograms, the worst first; percentiles are at most 0.8 % too small."""
    return _worst_first(
        Drift(
            entry,
            lateness.count,
            lateness.quantile_ms(0.5),
            lateness.quantile_ms(0.99),
            lateness.max_ms,
            p90_ms=lateness.quantile_ms(0.9),
        )
        for entry, lateness in histograms
        if lateness.count
    )


def _of(
    inspection: Inspection, name: str | None, from_ms: int | None, until_ms: int | None = None
) -> Iterator[Record]:
    if name is not None:
        return inspection.ledger_of(name, from_ms, until_ms)
    return inspection.ledger(from_ms, high="+" if until_ms is None else str(max(0, until_ms)))


def in_time(records: Iterator[Record], check: Check) -> Iterator[Record]:
    """The records; CallTimeout when the time is up."""
    for count, record in enumerate(records, 1):
        yield record
        if count % CHECK_EVERY == 0:
            at = moment(record.at_ms)
            check(lambda: f"{plural(count, 'record was', 'records were')} read, back to {at}")  # noqa: B023 - called now


def _exact(entry: str, values: Sequence[int]) -> Drift:
    def quantile(percent: int) -> int:
        return values[-(-percent * len(values) // 100) - 1]

    return Drift(entry, len(values), quantile(50), quantile(99), values[-1], p90_ms=quantile(90))


def _worst_first(rows: Iterable[Drift]) -> list[Drift]:
    return sorted(rows, key=lambda row: (-row.p99_ms, -row.max_ms, -row.p50_ms, row.entry))


def friendly(record: Record, cluster: str) -> LedgerRecord:
    """A record of the store as the Client returns it."""
    return LedgerRecord(
        entry=record.entry,
        slot=moment(record.slot_ms),
        until=moment(record.last_ms or record.slot_ms),
        count=record.count,
        outcome=cast(OutcomeName, str(record.outcome)),
        reason=record.reason,
        at=moment(record.at_ms),
        lateness_ms=record.lateness_ms if record.outcome in _LEFT else None,
        attempt=record.attempt,
        lease_epoch=record.lease_epoch,
        id=record.id,
        task_id=_task_id(record, cluster),
        request_id=record.request or None,
        queue=record.queue or None,
    )


def _task_id(record: Record, cluster: str) -> str | None:
    """The id of the firing's message; None if the record is not about a single firing."""
    left_too_late = record.reason == "expired" and record.attempt > 0
    single = record.count == 1 and (record.outcome in _FIRINGS or left_too_late)
    if not (single or record.reason in _RESENT):
        return None
    if record.reason in ("trigger", "backfill") and not record.request:
        return None  # recorded by an older release, without the request that the id depends on
    firing = Firing(record.entry, record.slot_ms, record.slot_ms, request=record.request)
    try:
        return firing.task_id(cluster) if cluster else None
    except UnicodeEncodeError:  # the record was damaged: no entry has a name that is not UTF-8
        return None
