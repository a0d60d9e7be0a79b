"""Slots at a change of the clocks: in a gap, in a fold, or left out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, tzinfo
from typing import Any, cast

from habeat.client.change_plan.window import Window
from habeat.core.entry import Entry
from habeat.schedules.schedule import moment
from habeat.schedules.zone import DAY_S, zone_named

DAY_MS = DAY_S * 1_000
#: No zone has skipped more than this in the last hundred years, except for whole days.
GAP_MOST_MS = 3 * 3_600_000
#: The most slots that are looked at after one gap.
LOOKED_AT_MOST = 100


def clock_changes(
    entry: Entry | None, slots: Sequence[int], window: Window
) -> tuple[tuple[datetime, str], ...]:
    """The slots that fall into a gap or a fold of their zone, and those that a gap takes away."""
    zone = None if entry is None else getattr(entry.schedule, "tz", None)
    if entry is None or zone is None or not entry.enabled:
        return ()
    found: dict[int, str] = {}
    for at_ms in _transitions(zone, window):
        near = [slot_ms for slot_ms in slots if abs(slot_ms - at_ms) <= DAY_MS]
        found |= {slot_ms: entry.schedule.remark(slot_ms) for slot_ms in near}
        found |= {slot_ms: "skipped" for slot_ms in _skipped(entry, at_ms) if slot_ms not in near}
    info = zone_of(entry)
    return tuple((moment(at).astimezone(info), found[at]) for at in sorted(found) if found[at])


def _transitions(zone: str, window: Window) -> list[int]:
    """When the offset of a zone changes, in Unix ms, in the window or a day next to it."""
    named, found = zone_named(zone), []
    at_s, last_s = window.start_ms // 1_000 - DAY_S, window.end_ms // 1_000 + DAY_S
    while (end_s := named.segment_at(at_s).end_s) <= last_s:
        if named.segment_at(end_s).offset_s != named.segment_at(at_s).offset_s:
            found.append(end_s * 1_000)
        at_s = end_s
    return found


def _skipped(entry: Entry, at_ms: int) -> list[int]:
    """With gap="skip": where slots would be that the change of the clocks at `at_ms` takes away."""
    if getattr(entry.schedule, "gap", "") != "skip":
        return []
    shifted = replace(entry, schedule=replace(cast(Any, entry.schedule), gap="shift"))
    slot_ms = shifted.next_slot_ms(at_ms - 1)
    # All of them are shifted to the first instant after the gap, or by its length.
    found: list[int] = []
    while slot_ms is not None and slot_ms <= at_ms + DAY_MS and len(found) < LOOKED_AT_MOST:
        if shifted.schedule.remark(slot_ms) == "gap":
            found.append(slot_ms)
        elif slot_ms - at_ms > GAP_MOST_MS:
            break
        slot_ms = shifted.next_slot_ms(slot_ms)
    return found


def zone_of(entry: Entry | None) -> tzinfo:
    """The zone in which the slots of an entry are shown."""
    return zone_named(
        (None if entry is None else getattr(entry.schedule, "tz", None)) or "UTC"
    ).info
