"""The outcomes of slots, and how late firings were: `client.history` and `client.drift`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

from habeat.client.budget import Check, unbounded
from habeat.core.firing import Outcome
from habeat.core.lateness import Lateness
from habeat.errors import ValidationError
from habeat.schedules.schedule import FIRST_MS, LAST_MS, to_ms
from habeat.store.inspection import Inspection, Record

#: The time limit is checked once for this many records.
CHECK_EVERY = 50

_LEFT = (Outcome.SENT, Outcome.LATE)


@dataclass(frozen=True, slots=True)
class LedgerRecord:
    """The outcome of a slot, or of `count` consecutive slots from `slot` to `until`.

    Instants are aware, in UTC. `at` is when it was recorded, by Redis' clock. `lateness_ms` is
    None unless the message was sent; `attempt` is then the number of the attempt that sent it.
    """

    entry: str
    slot: datetime
    until: datetime
    count: int
    outcome: str
    reason: str
    at: datetime
    lateness_ms: int | None
    attempt: int
    lease_epoch: int


@dataclass(frozen=True, slots=True)
class Drift:
    """How late the firings of one entry were sent, in milliseconds after their effective time."""

    entry: str
    count: int
    p50_ms: int
    p99_ms: int
    max_ms: int


def since_ms(since: Any, now_ms: int) -> int | None:
    """A datetime, or a timedelta before now, as Unix milliseconds; ValidationError."""
    if since is None:
        return None
    if isinstance(since, timedelta):
        return now_ms - since // timedelta(milliseconds=1)
    try:
        return to_ms("since", since)
    except ValidationError:
        allowed = "a datetime with a timezone, or a timedelta (that long ago)"
        raise ValidationError("since", since, allowed) from None


def records(
    inspection: Inspection,
    name: str | None,
    from_ms: int | None,
    limit: int,
    check: Check = unbounded,
) -> list[LedgerRecord]:
    """The newest `limit` records, newest first, of one entry or (None) of all."""
    if type(limit) is not int or limit < 1:
        raise ValidationError("limit", limit, "a whole number, 1 or more")
    found = islice(_of(inspection, name, from_ms), limit)
    return [_friendly(record) for record in _in_time(found, check)]


def drift_since(
    inspection: Inspection, name: str | None, from_ms: int, check: Check = unbounded
) -> list[Drift]:
    """Exact figures, computed from the ledger; the worst first."""
    late: dict[str, list[int]] = {}
    for record in _in_time(_of(inspection, name, from_ms), check):
        if record.outcome in _LEFT:
            late.setdefault(record.entry, []).append(record.lateness_ms)
    return _worst_first(_exact(entry, sorted(values)) for entry, values in late.items())


def drift_of(histograms: Iterable[tuple[str, Lateness]]) -> list[Drift]:
    """Figures from histograms, the worst first; p50 and p99 are at most 0.8 % too small."""
    return _worst_first(
        Drift(
            entry,
            lateness.count,
            lateness.quantile_ms(0.5),
            lateness.quantile_ms(0.99),
            lateness.max_ms,
        )
        for entry, lateness in histograms
        if lateness.count
    )


def moment(at_ms: int) -> datetime:
    """Unix milliseconds as an aware datetime in UTC, clamped to the range of slots."""
    return _EPOCH + timedelta(milliseconds=min(max(at_ms, FIRST_MS), LAST_MS))


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _of(inspection: Inspection, name: str | None, from_ms: int | None) -> Iterator[Record]:
    return inspection.ledger(from_ms) if name is None else inspection.ledger_of(name, from_ms)


def _in_time(records: Iterator[Record], check: Check) -> Iterator[Record]:
    """The records; CallTimeout when the time is up."""
    for count, record in enumerate(records, 1):
        yield record
        if count % CHECK_EVERY == 0:
            at = moment(record.at_ms)
            check(lambda: f"{count} records were read, back to {at}")  # noqa: B023 - called now


def _exact(entry: str, values: Sequence[int]) -> Drift:
    def quantile(percent: int) -> int:
        return values[-(-percent * len(values) // 100) - 1]

    return Drift(entry, len(values), quantile(50), quantile(99), values[-1])


def _worst_first(rows: Iterable[Drift]) -> list[Drift]:
    return sorted(rows, key=lambda row: (-row.p99_ms, -row.max_ms, -row.p50_ms, row.entry))


def _friendly(record: Record) -> LedgerRecord:
    return LedgerRecord(
        entry=record.entry,
        slot=moment(record.slot_ms),
        until=moment(record.last_ms or record.slot_ms),
        count=record.count,
        outcome=str(record.outcome),
        reason=record.reason,
        at=moment(record.at_ms),
        lateness_ms=record.lateness_ms if record.outcome in _LEFT else None,
        attempt=record.attempt,
        lease_epoch=record.lease_epoch,
    )
