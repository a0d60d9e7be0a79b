"""Detect that nothing is sent although something is due, from the newest records of the ledger.

A leader that is alive and renews its lease may still send nothing, because the broker is away or
each message fails. `health` has to report that before the misfire grace is over.
"""

from __future__ import annotations

from collections.abc import Sequence

from habeat.core.firing import Outcome
from habeat.printable import plural
from habeat.store.inspection import Inspection, Record

#: If nothing was sent for this long while something was due, that is a problem. A takeover after
#: the TTL and a retry of one entry take less time.
SILENT_AFTER_MS = 6_000
#: Failures older than this are not reported.
FAILED_LATELY_MS = 15_000
RECORDS_READ = 200

_LEFT = (Outcome.SENT, Outcome.LATE, Outcome.SHADOW)
_FAILED = (Outcome.FAILED, Outcome.AMBIGUOUS)


def silence(inspection: Inspection, now_ms: int, in_flight: int) -> str:
    """The problem in a sentence; "" while messages are sent or nothing is due."""
    records = inspection.newest(RECORDS_READ)
    silent_ms = _silent_ms(records, now_ms)
    if silent_ms is not None and silent_ms < SILENT_AFTER_MS:
        return ""
    begins = "nothing has been sent" + ("" if silent_ms is None else f" for {silent_ms // 1_000} s")
    overdue = inspection.overdue(now_ms - SILENT_AFTER_MS)
    if overdue:
        have = plural(overdue, "entry has", "entries have")
        return f"{begins}, and {have} been due for more than {SILENT_AFTER_MS // 1_000} s"
    failed = [each for each in _since_left(records) if _failed_lately(each, now_ms)]
    if failed:
        last = failed[0]
        return f"{begins}, and what was due has failed: entry {last.entry!r}: {last.reason}"
    if in_flight and inspection.has_waited_in_flight(now_ms - SILENT_AFTER_MS):
        return f"{begins}, and the broker does not take {plural(in_flight, 'message')} in flight"
    return ""


def _silent_ms(records: Sequence[Record], now_ms: int) -> int | None:
    """How long ago the last message was sent, at least; None if none was."""
    for each in records:
        if each.outcome in _LEFT:
            return max(0, now_ms - each.at_ms)
    full = len(records) >= RECORDS_READ
    return max(0, now_ms - records[-1].at_ms) if full else None


def _since_left(records: Sequence[Record]) -> Sequence[Record]:
    for at, each in enumerate(records):
        if each.outcome in _LEFT:
            return records[:at]
    return records


def _failed_lately(record: Record, now_ms: int) -> bool:
    return record.outcome in _FAILED and now_ms - record.at_ms <= FAILED_LATELY_MS
