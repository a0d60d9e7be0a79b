"""Find the records of one slot in the ledger.

A record is usually written shortly after its slot is due, so the ledger is first read from there.
A slot that was skipped by a pause may be recorded hours later. Such a record is found by following
the entry's own records back from the newest one, also across a change of its name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice

from habeat.client.budget import Check, unbounded
from habeat.client.history import in_time
from habeat.core.firing import Outcome
from habeat.store.inspection import LEDGER_PAGE, Inspection, Record

#: How many records of all entries are read from the slot on.
AHEAD = 2_000
#: How many changes of its name are followed.
NAMES_AT_MOST = 10

_RENAMED_FROM, _RENAMED_TO = "renamed from ", "renamed to "


@dataclass(slots=True)
class Trail:
    """What the ledger has about a slot.

    `record` is its outcome, `others` are further records of it, `nearest` is the last outcome of
    a slot at or before the instant that was asked about, and `requested` a firing by hand at it.
    """

    record: Record | None = None
    others: list[Record] = field(default_factory=list)
    nearest: Record | None = None
    requested: Record | None = None
    renamed_from: str = ""
    renamed_to: str = ""
    #: Whether the entry has any record.
    any: bool = False


def covers(record: Record, slot_ms: int) -> bool:
    """Whether the record's slot, or its run of slots, includes this one."""
    return record.slot_ms == slot_ms or record.slot_ms < slot_ms <= record.last_ms


class TrailFinder:
    """Looks for the records of `name` about `slot_ms` (None: not known), asked about `at_ms`.

    `is_last` says that this surely was the last slot at or before `at_ms`. Otherwise, the schedule
    may have been another one then, and the records of the entry decide.
    """

    def __init__(
        self,
        inspection: Inspection,
        name: str,
        at_ms: int,
        slot_ms: int | None,
        *,
        is_last: bool,
        may_see: Callable[[str], bool],
    ) -> None:
        self._inspection = inspection
        self._name = name
        self._at_ms = at_ms
        self._slot_ms = slot_ms
        self._is_last = is_last
        self._may_see = may_see
        self.trail = Trail()

    def find(self, check: Check = unbounded) -> Trail:
        """The trail; CallTimeout if there is no time to read that far back."""
        if self._slot_ms is not None:
            self._read_from(self._slot_ms, AHEAD)
        if self._at_ms != self._slot_ms:
            self._read_from(self._at_ms, AHEAD // 4)
        if self.trail.record is None or not self._is_last:
            for record in in_time(self._backwards(), check):
                if self._is_enough(record):
                    break
        return self.trail

    def _read_from(self, at_ms: int, count: int) -> None:
        """Read the records of all entries from `at_ms` on; up to the page that has the outcome."""
        found = islice(self._inspection.ledger(at_ms, newest_first=False), count)
        for number, record in enumerate(found, 1):
            if record.entry == self._name:
                self._take(record)
            if number % LEDGER_PAGE == 0 and self.trail.record is not None:
                break

    def _take(self, record: Record) -> None:
        """Keep a record that is about the slot, or about the instant."""
        trail = self.trail
        trail.any = True
        if record.is_by_hand and self._slot_ms != self._at_ms and self._is_asked(record):
            trail.requested = record
        if self._slot_ms is None or not covers(record, self._slot_ms) or self._has(record):
            return
        if record.outcome is Outcome.NOTE or record.is_by_hand or trail.record is not None:
            trail.others.append(record)
        else:
            trail.record = record

    def _has(self, record: Record) -> bool:
        trail = self.trail
        return record.id in {each.id for each in (trail.record, *trail.others) if each is not None}

    def _is_asked(self, record: Record) -> bool:
        """Whether it is at the instant, which may be given in whole seconds."""
        grain_ms = 1_000 if self._at_ms % 1_000 == 0 else 1
        return record.slot_ms // grain_ms == self._at_ms // grain_ms

    def _is_enough(self, record: Record) -> bool:
        """Take in a record on the way back; whether the search is over."""
        self._take(record)
        if record.outcome is Outcome.NOTE or record.is_by_hand or record.count == 0:
            return False
        if record.slot_ms > self._at_ms:
            return False
        self.trail.nearest = record
        return True

    def _backwards(self) -> Iterator[Record]:
        """The entry's records, the newest first, also those under its earlier names."""
        name, seen = self._name, [""]
        while name not in seen and len(seen) <= NAMES_AT_MOST:
            earlier = ""
            for record in self._of_life(name, until=seen[-1]):
                yield record
                if record.outcome is not Outcome.NOTE:
                    continue
                if record.reason.startswith(_RENAMED_TO) and name == self._name:
                    later = record.reason.removeprefix(_RENAMED_TO)
                    self.trail.renamed_to = later if self._may_see(later) else ""
                elif record.reason.startswith(_RENAMED_FROM):
                    earlier = record.reason.removeprefix(_RENAMED_FROM)
                    break
            seen.append(name)
            if not earlier or not self._may_see(earlier):
                return
            self.trail.renamed_from = earlier
            name = earlier

    def _of_life(self, name: str, until: str) -> Iterator[Record]:
        """The records of a name; only those before it was renamed to `until`, if that is given."""
        begun = not until
        for record in self._inspection.ledger_of(name):
            if begun:
                yield record
            begun = begun or record.reason == f"{_RENAMED_TO}{until}"
