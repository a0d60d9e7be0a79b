"""Whether a leader can afford an entry's schedule, checked before anything is written.

The check computes a few slots as a leader would. Habeat's own kinds count the steps of their
searches and are judged by those, so the verdict is the same on every host. A registered kind counts
no steps and is judged by time: it is refused if it takes too long twice in a row, because once may
only mean a busy host.
"""

from __future__ import annotations

from collections.abc import Callable

from habeat.clock import SystemClock
from habeat.core.entry import Entry
from habeat.errors import ScheduleTooExpensive, ValidationError
from habeat.schedules import search_budget

#: This many slots together must fit into the step budget of one call.
SLOTS = 5
#: How much of a leader's tick planning an entry may take; see `engine.patience`.
LONGEST_MS = 200

Monotonic = Callable[[], int]

_CLOCK = SystemClock()


def check_affordable(
    entry: Entry, after_ms: int, monotonic_us: Monotonic = _CLOCK.monotonic_us
) -> int | None:
    """The entry's first slot after an instant, regardless of its start and end.

    Raises ScheduleTooExpensive if computing the next few slots takes too long, and ValidationError
    if the schedule raises.
    """
    first_ms, took_ms = _measured(entry, after_ms, monotonic_us)
    if took_ms > LONGEST_MS:  # measure again: the host may have been busy
        first_ms, took_ms = _measured(entry, after_ms, monotonic_us)
    if took_ms > LONGEST_MS:
        allowed = f"one that computes its next {SLOTS} slots within {LONGEST_MS} ms"
        raise ScheduleTooExpensive("schedule", entry.schedule, allowed, entry=entry.name)
    return first_ms


def _measured(entry: Entry, after_ms: int, monotonic_us: Monotonic) -> tuple[int | None, int]:
    """The first slot, and how many ms the next few took; 0 if the schedule counts its steps."""
    began_us, before = monotonic_us(), search_budget.spent()
    first_ms = slot_ms = _next(entry, after_ms)
    for _ in range(SLOTS - 1):
        if slot_ms is not None:
            slot_ms = _next(entry, slot_ms)
    steps = search_budget.spent() - before
    if steps > search_budget.STEPS:
        allowed = (
            f"one that finds its next {SLOTS} slots in {search_budget.STEPS} steps, not {steps}"
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
