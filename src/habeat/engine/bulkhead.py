"""Isolates the parts of a tick, so that one failing part does not stop the others.

A garbled value in Redis can make the same read fail in every tick. If a part of the tick can be
left out, it is: the failure is logged once, and the rest of the tick continues. Failures that
concern the whole tick pass through: a lost lease, lost data, and an unavailable Redis or broker.

Any other failure makes habeat's own keys suspect; they are checked before the next tick.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from habeat.core.events import EventCode
from habeat.engine.election import DataLost, LeaseLost
from habeat.engine.trouble_log import TroubleLog
from habeat.ports import BrokerUnavailable, StoreUnavailable

Result = TypeVar("Result")

#: Failures that end the whole tick.
_OF_THE_TURN = (LeaseLost, DataLost, BrokerUnavailable)


class Bulkhead:
    """Runs parts of a tick, and remembers whether stored values are suspect."""

    def __init__(self, trouble: TroubleLog) -> None:
        self._trouble = trouble
        #: Whether a tick, or a part of one, may have failed because of a stored value.
        self.suspicious = False

    def suspect(self, error: Exception) -> bool:
        """Whether a stored value may have caused `error`; if so, that is remembered."""
        passing = isinstance(error, StoreUnavailable) and error.fault != "other"
        self.suspicious |= not passing
        return not passing

    def run(self, what: str, act: Callable[[], Result]) -> Result | None:
        """Run one part and return its result; None if it failed on its own (which is logged).

        Raises what concerns the whole tick: LeaseLost, DataLost, BrokerUnavailable, and
        StoreUnavailable unless its fault is "other".
        """
        try:
            result = act()
        except _OF_THE_TURN:
            raise
        except Exception as error:
            if not self.suspect(error):
                raise
            self._trouble.error(
                what,
                EventCode.PART_FAILED,
                "habeat: %s failed (%r); dispatch continues",
                what,
                error,
                traceback=True,
            )
            return None
        self._trouble.over(what)
        return result

    def mend(self, act: Callable[[], None]) -> None:
        """Run `act`, which repairs habeat's own keys, if they are suspect: once per failure."""
        if self.suspicious:
            self.suspicious = False
            self.run("repairing habeat's own keys", act)
            self.suspicious = False  # another repair right away would find the same
