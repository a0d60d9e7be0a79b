"""A budget for the search that one call to a schedule may do.

A schedule finds its next slot by examining candidates: days, months, periods, segments of a zone.
An ordinary rule needs a few; some rules would need thousands of years' worth. So every search
counts its candidates and gives up when the call has used up its budget. It counts steps instead of
time, so the result is the same on every replica, however busy its host is.

A step is some microseconds of work, and a whole budget some tens of milliseconds.
"""

from __future__ import annotations

from contextvars import ContextVar

#: The budget for finding the next slot.
STEPS = 10_000
#: The budget for counting the slots of a span, which is rarely needed.
COUNT_STEPS = 5 * STEPS


class TooManySteps(Exception):
    """A call has used up its budget; it is reported as ScheduleTooExpensive."""


class _Meter:
    """The number of steps a thread has used so far, and the number at which to give up."""

    __slots__ = ("limit", "spent")

    def __init__(self) -> None:
        self.spent = 0
        self.limit = STEPS


_meters: ContextVar[_Meter] = ContextVar("habeat_schedule_steps")


def _meter() -> _Meter:
    try:
        return _meters.get()
    except LookupError:  # the first call in this thread
        meter = _Meter()
        _meters.set(meter)
        return meter


def begin(steps: int = STEPS) -> None:
    """Start a new call, which may use this many steps."""
    meter = _meter()
    meter.limit = meter.spent + steps


def examined(steps: int = 1) -> None:
    """Count steps; raise TooManySteps if the call has used more than its budget."""
    meter = _meter()
    meter.spent += steps
    if meter.spent > meter.limit:
        raise TooManySteps


def spent() -> int:
    """The number of steps this thread has used so far; callers compare two readings."""
    return _meter().spent
