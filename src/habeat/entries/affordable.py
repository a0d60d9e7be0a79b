"""Whether a leader can afford an entry's schedule: asked at the call, before anything is written.

A few slots are computed as a leader would. A search that counts its steps is judged by them, so
the verdict is the same everywhere. A registered kind counts none and is judged by time: it is
refused if it takes too long twice in a row, for a host may be busy once.
"""

from __future__ import annotations

from collections.abc import Callable

from habeat.clock import SystemClock
from habeat.core.entry import Entry
from habeat.errors import ScheduleTooExpensive, ValidationError
from habeat.schedules import search_budget

#: So many slots together may take the steps of one question.
SLOTS = 5
#: What planning an entry may take of a leader's tick; see `engine.patience`.
LONGEST_MS = 200

Monotonic = Callable[[], int]

_CLOCK = SystemClock()


def check_affordable(
    entry: Entry, after_ms: int, monotonic_us: Monotonic = _CLOCK.monotonic_us
) -> int | None:
    """The entry's first slot after an instant, its bounds left aside.

    ScheduleTooExpensive if computing the next few takes too long; ValidationError if it raises.
    """
    first_ms, took_ms = _asked(entry, after_ms, monotonic_us)
    if took_ms > LONGEST_MS:
        first_ms, took_ms = _asked(entry, after_ms, monotonic_us)
    if took_ms > LONGEST_MS:
        allowed = f"one whose next {SLOTS} slots are computed within {LONGEST_MS} ms"
        raise ScheduleTooExpensive("schedule", entry.schedule, allowed, entry=entry.name)
    return first_ms


def _asked(entry: Entry, after_ms: int, monotonic_us: Monotonic) -> tuple[int | None, int]:
    began_us, before = monotonic_us(), search_budget.spent()
    first_ms = slot_ms = _next(entry, after_ms)
    for _ in range(SLOTS - 1):
        if slot_ms is not None:
            slot_ms = _next(entry, slot_ms)
    steps = search_budget.spent() - before
    if steps > search_budget.STEPS:
        allowed = (
            f"one whose next {SLOTS} slots are found in {search_budget.STEPS} steps, not {steps}"
        )
        raise ScheduleTooExpensive("schedule", entry.schedule, allowed, entry=entry.name)
    took_ms = 0 if steps else (monotonic_us() - began_us) // 1_000
    return first_ms, took_ms


def _next(entry: Entry, after_ms: int) -> int | None:
    try:
        return entry.schedule.next_after_ms(after_ms)
    except ValidationError as error:
        raise error.of_entry(entry.name) from None
    except Exception as error:
        kind = type(entry.schedule).__name__
        allowed = f"one that computes its slots; this one raises {type(error).__name__}"
        raise ValidationError("schedule", kind, allowed, entry=entry.name) from error
