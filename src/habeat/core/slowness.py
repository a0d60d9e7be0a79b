"""Whether building one entry's message takes too long, compared with its neighbours.

A message is built by code of others: a Task subclass, receivers of `before_task_publish`, lazy
arguments, serializers. Where that takes long for one entry, the others wait at each of its slots.

Time alone would blame sound entries whenever the host is short of CPU. So a message is slow if it
took more than `SLOW_US` *and* far longer than those of other entries lately. Where building takes
long for nearly all of them, the cause is none of theirs. One slow message proves nothing either,
for the process may have been stopped meanwhile: the engine counts them in a row.
"""

from __future__ import annotations

from collections import OrderedDict
from enum import Enum, auto

#: What building one message may take; see `engine.patience` for planning.
SLOW_US = 200_000
#: As many times as long as for the quickest quarter of the neighbours is too long.
TIMES = 20
#: Entries whose last message was built within this time are neighbours.
LATELY_US = 300_000_000
#: So many entries are remembered.
KEPT = 1_000


class Verdict(Enum):
    """What the time that a message took says."""

    FINE = auto()
    SLOW = auto()
    #: Too long, and nearly as long for the others.
    ALL_SLOW = auto()


class Durations:
    """How long the last message of each entry took."""

    def __init__(self) -> None:
        self._last: OrderedDict[str, tuple[int, int]] = OrderedDict()

    def note(self, entry: str, took_us: int, now_us: int) -> None:
        """Remember the message of an entry, as a measure for the others."""
        self._last.pop(entry, None)
        self._last[entry] = (took_us, now_us)
        if len(self._last) > KEPT:
            self._last.popitem(last=False)

    def judge(self, entry: str, took_us: int, now_us: int) -> Verdict:
        """The verdict on a message that took this long; fine if no other entry waits for it."""
        if took_us <= SLOW_US:
            return Verdict.FINE
        others = sorted(
            other_us
            for name, (other_us, at_us) in self._last.items()
            if name != entry and now_us - at_us <= LATELY_US
        )
        if not others:
            return Verdict.FINE
        usual_us = others[(len(others) - 1) // 4]
        return Verdict.SLOW if took_us > TIMES * usual_us else Verdict.ALL_SLOW
