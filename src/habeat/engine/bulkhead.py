"""Parts of a turn that fail by themselves.

Whoever can write to Redis can make one of our reads fail, again and again. A part of a turn that
can be left out is: it is named once, and the rest of the turn goes on. What concerns the turn as a
whole passes through: the lease, Redis itself, the broker. After any failure that was not one of
those, the cluster's own keys are suspected, and looked at before the next turn.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from habeat.engine.election import HistoryLost, LeaseLost
from habeat.engine.trouble_log import TroubleLog
from habeat.ports import BrokerUnavailable, StoreUnavailable

Result = TypeVar("Result")

#: What a part cannot answer for by itself.
_OF_THE_TURN = (LeaseLost, HistoryLost, BrokerUnavailable)


class Bulkhead:
    """Runs parts, and keeps in mind whether something was amiss."""

    def __init__(self, trouble: TroubleLog) -> None:
        self._trouble = trouble
        #: Something that was read made a turn, or a part of one, fail.
        self.suspicious = False

    def suspect(self, error: Exception) -> bool:
        """Whether `error` can come from what is stored; remembered if so."""
        passing = isinstance(error, StoreUnavailable) and error.fault != "other"
        self.suspicious |= not passing
        return not passing

    def run(self, what: str, act: Callable[[], Result]) -> Result | None:
        """What `act` returns, None if it failed for a reason of its own."""
        try:
            result = act()
        except _OF_THE_TURN:
            raise
        except Exception as error:
            if not self.suspect(error):
                raise
            self._trouble.error(
                what, "habeat: %s failed (%r); dispatch goes on", what, error, traceback=True
            )
            return None
        self._trouble.over(what)
        return result

    def mend(self, act: Callable[[], None]) -> None:
        """Have our own keys looked at if they are suspected, once for each failure."""
        if self.suspicious:
            self.suspicious = False
            self.run("looking after our own keys", act)
            self.suspicious = False  # to look again at once would find the same
