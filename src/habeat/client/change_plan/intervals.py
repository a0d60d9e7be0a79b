"""Two intervals, or two crons of the same days, compared by arithmetic."""

from __future__ import annotations

from math import gcd

from habeat.client.change_plan.window import Window
from habeat.core.entry import Entry
from habeat.schedules import Cron, Interval


def same_period(old: Entry | None, new: Entry | None) -> bool:
    """Whether both are intervals of one length."""
    periods = [getattr(each.schedule, "every_ms", None) for each in (old, new) if each is not None]
    return len(periods) == 2 and None not in periods and periods[0] == periods[1]


def shared_slots(old: Entry | None, new: Entry | None, window: Window) -> int | None:
    """How many slots they share in the window; None if arithmetic cannot tell."""
    if old is None or new is None:
        return None
    begins = [at for at in (window.start_ms, old.start_ms, new.start_ms) if at is not None]
    ends = [window.end_ms, *(at + 1 for at in (old.end_ms, new.end_ms) if at is not None)]
    a, b = old.schedule, new.schedule
    if isinstance(a, Cron) and isinstance(b, Cron):
        return a.count_shared(b, max(begins) - 1, min(ends) - 1)
    if not isinstance(a, Interval) or not isinstance(b, Interval):
        return None
    if not (old.enabled and new.enabled):
        return 0
    step = gcd(a.every_ms, b.every_ms)
    apart = (b.offset_ms or 0) - (a.offset_ms or 0)
    if apart % step:
        return 0
    # The Chinese remainder theorem: the shared slots are an interval themselves.
    turns = apart // step * pow(a.every_ms // step, -1, b.every_ms // step)
    every_ms = a.every_ms // step * b.every_ms
    first_ms = (a.offset_ms or 0) + turns % (b.every_ms // step) * a.every_ms
    from_ms = max(begins)
    from_ms += (first_ms - from_ms) % every_ms
    return max(0, -(-(min(ends) - from_ms) // every_ms))
