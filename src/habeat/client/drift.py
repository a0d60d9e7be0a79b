"""How late firings are sent, over windows of time: `client.drift_report`.

The last hour and the last day are counted from the ledger, in one pass from its newest record back.
A histogram is kept for each entry and window, and the largest value for each hour, so memory
depends on the number of entries. "All" is the histogram that Redis keeps.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from habeat.client.budget import Check
from habeat.client.history import in_time
from habeat.core.firing import Outcome
from habeat.core.lateness import Lateness, bucket_of
from habeat.schedules.schedule import moment
from habeat.store.calling import text
from habeat.store.inspection import Inspection
from habeat.store.lateness_feed import LatenessFeed
from habeat.store.pipelining import wire

HOUR_MS, DAY_MS, HOURS = 3_600_000, 86_400_000, 24
#: Each point of a chart covers this much time.
POINT_MS = 600_000
#: The last hour counts as different from the day beyond this factor plus this many ms.
FACTOR, APART_MS = 1.5, 50

Trend = Literal["worse", "steady", "better"]
#: Is called with the number of records that were read, and how far back.
DriftProgress = Callable[[int, datetime], None]


@dataclass(frozen=True, slots=True)
class LatenessFigures:
    """The distribution of lateness in a window, in ms; percentiles are at most 0.8 % too small."""

    count: int = 0
    p50_ms: int = 0
    p90_ms: int = 0
    p99_ms: int = 0
    max_ms: int = 0


@dataclass(frozen=True, slots=True)
class DriftPoint:
    """The lateness of what was sent in the ten minutes from `begin` on."""

    begin: datetime
    figures: LatenessFigures


@dataclass(frozen=True, slots=True)
class DriftRow:
    """The lateness of one entry, or of all (`entry` is None): last hour, last day, all.

    `trend` compares the p90 of the hour with the day's; None if nothing was sent in the hour.
    `hourly_max_ms` has the largest lateness of each hour of the day, the oldest first, and None for
    an hour in which nothing was sent.
    """

    entry: str | None
    hour: LatenessFigures
    day: LatenessFigures
    all: LatenessFigures
    trend: Trend | None
    hourly_max_ms: tuple[int | None, ...]


@dataclass(frozen=True, slots=True)
class DriftReport:
    """What `client.drift_report` returns. Rows are sorted, the worst hour first, then the day.

    `since` is where the windows begin that the ledger no longer has in full; None if it has. The
    `points` are those of all entries, or of the one that was asked about, the oldest first.
    """

    at: datetime
    overall: DriftRow
    rows: tuple[DriftRow, ...]
    points: tuple[DriftPoint, ...]
    since: datetime | None = None


def figures(lateness: Lateness) -> LatenessFigures:
    """The figures of a histogram."""
    if not lateness.count:
        return LatenessFigures()
    p50, p90, p99 = (lateness.quantile_ms(each) for each in (0.5, 0.9, 0.99))
    return LatenessFigures(lateness.count, p50, p90, p99, lateness.max_ms)


@dataclass(slots=True)
class Window:
    """A histogram that is being counted."""

    counts: dict[int, int] = field(default_factory=dict)
    max_ms: int = 0

    def add(self, late_ms: int) -> None:
        bucket = bucket_of(late_ms)
        self.counts[bucket] = self.counts.get(bucket, 0) + 1
        self.max_ms = max(self.max_ms, late_ms)

    @property
    def figures(self) -> LatenessFigures:
        return figures(Lateness(self.counts, self.max_ms))


@dataclass(slots=True)
class Windows:
    """What is counted of one entry, or of all."""

    hour: Window = field(default_factory=Window)
    day: Window = field(default_factory=Window)
    #: The largest lateness by age in hours; a dict, because most entries fire once a day.
    hourly_max_ms: dict[int, int] = field(default_factory=dict)

    def add(self, age_ms: int, late_ms: int) -> None:
        """Count a firing that was sent this long ago."""
        self.day.add(late_ms)
        if age_ms < HOUR_MS:
            self.hour.add(late_ms)
        hours = min(HOURS - 1, max(0, age_ms) // HOUR_MS)
        self.hourly_max_ms[hours] = max(self.hourly_max_ms.get(hours, 0), late_ms)

    def row(self, entry: str | None, overall: LatenessFigures) -> DriftRow:
        hour, day = self.hour.figures, self.day.figures
        largest = tuple(map(self.hourly_max_ms.get, reversed(range(HOURS))))
        return DriftRow(entry, hour, day, overall, trend=trend_of(hour, day), hourly_max_ms=largest)


def trend_of(hour: LatenessFigures, day: LatenessFigures) -> Trend | None:
    """Whether the last hour is worse than the day."""
    if not hour.count:
        return None
    if hour.p90_ms > day.p90_ms * FACTOR + APART_MS:
        return "worse"
    return "better" if day.p90_ms > hour.p90_ms * FACTOR + APART_MS else "steady"


class DayOfLateness:
    """Counts the last day from the ledger; of one entry, or of all."""

    def __init__(self, now_ms: int) -> None:
        self._now_ms = now_ms
        self._begins_ms = now_ms - DAY_MS
        self._of_all = Windows()
        self._of_entry: defaultdict[bytes, Windows] = defaultdict(Windows)
        self._points: defaultdict[int, Window] = defaultdict(Window)
        self._since_ms: int | None = None

    @property
    def is_any(self) -> bool:
        """Whether anything was sent in the day."""
        return bool(self._of_entry)

    def read(self, feed: LatenessFeed, check: Check, progress: DriftProgress | None) -> None:
        """Read the whole ledger, newest first; CallTimeout when the time is up."""
        read, at = 0, moment(self._now_ms)
        for count, page in feed.pages(self._begins_ms):
            for each in page:
                self._take(*each)
            read += count
            if page:
                at = moment(page[-1].at_ms)
            check(f"{read} records were read, back to {at}")
            if progress is not None:
                progress(read, at)
        self._since_ms = feed.oldest_ms()

    def read_of(self, name: str, inspection: Inspection, check: Check) -> None:
        """Read the records of one entry, newest first; CallTimeout when the time is up."""
        for record in in_time(inspection.ledger_of(name, self._begins_ms), check):
            if record.outcome in (Outcome.SENT, Outcome.LATE) and not record.is_by_hand:
                self._take(wire(name), record.at_ms, record.lateness_ms)

    def _take(self, entry: bytes, at_ms: int, late_ms: int) -> None:
        age_ms = self._now_ms - at_ms
        self._of_all.add(age_ms, late_ms)
        self._of_entry[entry].add(age_ms, late_ms)
        self._points[at_ms // POINT_MS].add(late_ms)

    def finished(self, kept: Mapping[str, Lateness], overall: Lateness) -> DriftReport:
        """The report; `kept` and `overall` are the histograms of all firings."""
        counted = {text(name): windows for name, windows in self._of_entry.items()}
        none = Lateness({}, 0)
        rows = [
            counted.get(name, Windows()).row(name, figures(kept.get(name, none)))
            for name in {*counted, *kept}
        ]
        since_ms = self._since_ms
        begins = None if since_ms is None or since_ms <= self._begins_ms else moment(since_ms)
        return DriftReport(
            at=moment(self._now_ms),
            overall=self._of_all.row(None, figures(overall)),
            rows=tuple(sorted((row for row in rows if _is_any(row)), key=_badness)),
            points=tuple(self._drawn()),
            since=begins,
        )

    def _drawn(self) -> Iterable[DriftPoint]:
        for number, window in sorted(self._points.items()):
            yield DriftPoint(moment(number * POINT_MS), window.figures)


def _is_any(row: DriftRow) -> bool:
    return bool(row.day.count or row.all.count)


def _badness(row: DriftRow) -> tuple[int | str, ...]:
    """The key by which the worst row comes first."""
    figures = (row.hour.p99_ms, row.day.p99_ms, row.all.p99_ms, row.day.max_ms, row.all.max_ms)
    return (*(-each for each in figures), row.entry or "")
