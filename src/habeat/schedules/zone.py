"""A time zone as segments of constant UTC offset.

The standard library returns the offset at an instant, one datetime at a time. To enumerate
wall-clock slots fast, and to see gaps and folds in advance, habeat needs the opposite: the instants
at which the offset changes. It probes the offset once a day and bisects where two probes differ. If
only the zone's abbreviation or DST flag changes, that is not a transition.

Segments are computed and cached per block of 2**25 s, about a year. A segment that crosses the end
of a block is cut there, but its repeated and missing local times come from the true transitions,
which are searched up to two days beyond the block. No offset in the tz database ever jumped by more
than a day.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from functools import cache
from itertools import pairwise
from operator import attrgetter
from typing import NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from habeat.errors import ValidationError
from habeat.schedules import windows_zones
from habeat.schedules.schedule import FIRST_MS, LAST_MS

DAY_S = 86_400
FIRST_S = FIRST_MS // 1000
LAST_S = LAST_MS // 1000

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_BLOCK_BITS = 25
_BLOCKS_KEPT = 256
# As Python writes a fixed offset: str(timezone(timedelta(hours=5, minutes=30))).
_FIXED = re.compile(r"UTC(?P<sign>[+-])(?P<hours>[01][0-9]|2[0-3]):(?P<minutes>[0-5][0-9])")


class Segment(NamedTuple):
    """``start_s <= t < end_s`` in UTC, where local time is ``t + offset_s``.

    Its local times run from `start_s + offset_s` to `end_s + offset_s`:
    - those before `repeat_until` are the second pass of a fold (none if it is before the start);
    - those from `repeat_from` on are the first pass of a fold (none if it is at the end or later);
    - those from `missing_from` to the start do not exist (none if it equals the start).
    """

    start_s: int
    end_s: int
    offset_s: int
    repeat_until: int
    repeat_from: int
    missing_from: int


class Zone:
    """A named zone; get one from `zone_named`."""

    def __init__(self, info: tzinfo) -> None:
        self.info = info
        self._blocks: dict[int, tuple[Segment, ...]] = {}

    def segment_at(self, instant_s: int) -> Segment:
        """The segment that contains an instant, in whole seconds of UTC."""
        block = instant_s >> _BLOCK_BITS
        segments = self._blocks.get(block)
        if segments is None:
            segments = tuple(self._segments(block))
            if len(self._blocks) >= _BLOCKS_KEPT:
                self._blocks.clear()
            self._blocks[block] = segments
        return segments[bisect_right(segments, instant_s, key=attrgetter("start_s")) - 1]

    def _segments(self, block: int) -> Iterator[Segment]:
        block_start_s, block_end_s = block << _BLOCK_BITS, (block + 1) << _BLOCK_BITS
        # Two days beyond the block, so that segments cut at its edges know their transitions.
        low_s, high_s = block_start_s - 2 * DAY_S, block_end_s + 2 * DAY_S
        edges = [low_s, *self._transitions(low_s, high_s), high_s]
        before_s = self._offset_s(low_s)
        for start_s, end_s in pairwise(edges):
            offset_s, after_s = self._offset_s(start_s), self._offset_s(end_s)
            shown_s = max(start_s, block_start_s)
            whole = shown_s == start_s
            if shown_s < min(end_s, block_end_s):
                yield Segment(
                    shown_s,
                    min(end_s, block_end_s),
                    offset_s,
                    repeat_until=start_s + max(before_s, offset_s),
                    repeat_from=end_s + min(offset_s, after_s),
                    missing_from=shown_s + (min(before_s, offset_s) if whole else offset_s),
                )
            before_s = offset_s

    def _transitions(self, low_s: int, high_s: int) -> Iterator[int]:
        """The instants in ``low_s < t <= high_s`` at which the offset changes."""
        before_s = self._offset_s(low_s)
        for probe_s in range(low_s, high_s, DAY_S):
            after_s = self._offset_s(min(probe_s + DAY_S, high_s))
            if before_s != after_s:
                yield from self._bisected(probe_s, before_s, min(probe_s + DAY_S, high_s), after_s)
            before_s = after_s

    def _bisected(self, low_s: int, before_s: int, high_s: int, after_s: int) -> Iterator[int]:
        if before_s == after_s:
            return
        if high_s - low_s == 1:
            yield high_s
            return
        middle_s = (low_s + high_s) // 2
        offset_s = self._offset_s(middle_s)
        yield from self._bisected(low_s, before_s, middle_s, offset_s)
        yield from self._bisected(middle_s, offset_s, high_s, after_s)

    def _offset_s(self, instant_s: int) -> int:
        clamped_s = min(max(instant_s, FIRST_S), LAST_S)
        offset = (_EPOCH + timedelta(seconds=clamped_s)).astimezone(self.info).utcoffset()
        return int(offset.total_seconds()) if offset is not None else 0


def zone_named(name: object) -> Zone:
    """The zone with an IANA name, or a fixed offset such as ``UTC+05:30``.

    Raises ValidationError (field ``tz``) if there is none.
    """
    # "localtime" exists on many hosts but differs between them.
    if isinstance(name, str) and name != "localtime":
        try:
            return _zone(name)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            pass
    allowed = "the IANA name of a time zone, such as 'Europe/Berlin'"
    if isinstance(name, str) and (iana := windows_zones.iana(name)):
        allowed = f"the IANA name of this Windows time zone, {iana!r} or a city nearer to yours"
    elif isinstance(name, str) and windows_zones.looks_like_one(name):
        allowed += "; this looks like the name of a Windows time zone"
    raise ValidationError("tz", name, allowed)


@cache
def _zone(name: str) -> Zone:
    fixed = _FIXED.fullmatch(name)
    if fixed is None:
        return Zone(ZoneInfo(name))
    ahead = timedelta(hours=int(fixed["hours"]), minutes=int(fixed["minutes"]))
    return Zone(timezone(ahead if fixed["sign"] == "+" else -ahead))
