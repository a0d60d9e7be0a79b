"""How much searching one question to a schedule may take.

A schedule finds its next slot by looking at candidates: days, months, periods, segments of a zone.
For an ordinary rule these are a few; some texts make it thousands of years' worth. So every search
counts what it examines, and gives up when a question has used up its budget. Steps are counted
instead of time: the answer is then the same on every replica, however busy its host is.

A step stands for some microseconds of work, and a whole budget for some tens of milliseconds.
"""

from __future__ import annotations

from contextvars import ContextVar

#: For one question: "which slot comes next?"
STEPS = 10_000
#: For counting the slots of a span, which is asked for rarely.
COUNT_STEPS = 5 * STEPS


class TooManySteps(Exception):
    """The budget of a question is used up; becomes ScheduleTooExpensive, which names the rule."""


class _Meter:
    """What the searches of one thread have examined, and at which count the present one ends."""

    __slots__ = ("limit", "spent")

    def __init__(self) -> None:
        self.spent = 0
        self.limit = STEPS


_meters: ContextVar[_Meter] = ContextVar("habeat_schedule_steps")


def _meter() -> _Meter:
    try:
        return _meters.get()
    except LookupError:  # the first question of this thread
        meter = _Meter()
        _meters.set(meter)
        return meter


def begin(steps: int = STEPS) -> None:
    """A new question: from here on it may examine so many candidates."""
    meter = _meter()
    meter.limit = meter.spent + steps


def examined(steps: int = 1) -> None:
    """Count candidates; TooManySteps if the question has examined more than it may."""
    meter = _meter()
    meter.spent += steps
    if meter.spent > meter.limit:
        raise TooManySteps


def spent() -> int:
    """How many candidates were examined in this thread so far: the difference is what counts."""
    return _meter().spent
