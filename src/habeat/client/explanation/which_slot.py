"""Which slot of an entry is meant by an instant, and which slots are its neighbours. Pure."""

from __future__ import annotations

from habeat.core.entry import Entry
from habeat.errors import HabeatError

#: The search for a slot before an instant begins with this span, and widens it by this factor.
_FIRST_SPAN_MS, _WIDER = 1_000, 4


def last_slot_ms(entry: Entry, at_ms: int) -> int | None:
    """The last slot at or before `at_ms`, by the present definition; None if there is none.

    None as well if the schedule cannot say: it is unreadable, too expensive, or code only. A search
    asks the schedule for some 60 slots at most.
    """
    try:
        found = _some_slot_ms(entry, at_ms)
        return None if found is None else _last_of(entry, found, at_ms)
    except HabeatError:
        return None


def next_slot_ms(entry: Entry, after_ms: int) -> int | None:
    """The first slot after `after_ms`; None also if the schedule cannot say."""
    try:
        return entry.next_slot_ms(after_ms)
    except HabeatError:
        return None


def effective_ms(entry: Entry, slot_ms: int) -> int | None:
    """When the slot is due; None if the schedule cannot say."""
    try:
        return entry.effective_ms(slot_ms)
    except HabeatError:
        return None


def _some_slot_ms(entry: Entry, at_ms: int) -> int | None:
    """A slot at or before `at_ms` and not before 1970."""
    span_ms = _FIRST_SPAN_MS
    while True:
        begin_ms = max(0, at_ms - span_ms)
        slot_ms = entry.next_slot_ms(begin_ms - 1)
        if slot_ms is not None and slot_ms <= at_ms:
            return slot_ms
        if begin_ms == 0:
            return None
        span_ms *= _WIDER


def _last_of(entry: Entry, slot_ms: int, at_ms: int) -> int:
    """The last slot at or before `at_ms`; `slot_ms` is one of those."""
    high_ms = at_ms  # there is no slot between this and `at_ms`
    while slot_ms < high_ms:
        middle_ms = (slot_ms + high_ms + 1) // 2
        later_ms = entry.next_slot_ms(middle_ms - 1)
        if later_ms is not None and later_ms <= at_ms:
            slot_ms = later_ms
        else:
            high_ms = middle_ms - 1
    return slot_ms
