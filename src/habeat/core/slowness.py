"""Whether building one entry's message takes too long compared with other entries.

Code other than habeat's builds a message: a Task subclass, receivers of `before_task_publish`, lazy
arguments, serializers. If that is slow for one entry, all others wait at each of its slots.

Time alone would blame healthy entries whenever the host is short of CPU. So a message is slow only
if it took more than `SLOW_US` *and* far longer than the recent messages of other entries. If nearly
all are slow, no single entry is the cause. One slow message proves nothing either, because the
process may have been suspended meanwhile; the engine counts them in a row.
"""

from __future__ import annotations

from collections import OrderedDict
from enum import Enum, auto

#: How long building one message may take; see `engine.patience` for planning.
SLOW_US = 200_000
#: A message is slow if it took this many times as long as the fastest quarter of the others.
TIMES = 20
#: Only entries whose last message was built within this time are compared.
LATELY_US = 300_000_000
#: How many entries' durations are kept.
KEPT = 1_000


class Speed(Enum):
    """How long a message took, compared with others."""

    FINE = auto()
    SLOW = auto()
    #: Too long, but the other entries' messages take nearly as long.
    ALL_SLOW = auto()


class Durations:
    """How long it took to build the last message of each entry."""

    def __init__(self) -> None:
        self._last: OrderedDict[str, tuple[int, int]] = OrderedDict()

    def note(self, entry: str, took_us: int, now_us: int) -> None:
        """Record how long an entry's message took, for comparison with others."""
        self._last.pop(entry, None)
        self._last[entry] = (took_us, now_us)
        if len(self._last) > KEPT:
            self._last.popitem(last=False)

    def judge(self, entry: str, took_us: int, now_us: int) -> Speed:
        """The speed of a message that took `took_us`; fine if there are no other entries."""
        if took_us <= SLOW_US:
            return Speed.FINE
        others = sorted(
            other_us
            for name, (other_us, at_us) in self._last.items()
            if name != entry and now_us - at_us <= LATELY_US
        )
        if not others:
            return Speed.FINE
        usual_us = others[(len(others) - 1) // 4]
        return Speed.SLOW if took_us > TIMES * usual_us else Speed.ALL_SLOW
