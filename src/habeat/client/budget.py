"""How long one call of the Client may take, including all of its steps.

Retries, pages, decoding and counting share one budget. It ends before the call's timeout, so that a
request sent at its very end, with the longest wait for a reply, still ends in time.
"""

from __future__ import annotations

from collections.abc import Callable

from habeat.clock import SystemClock
from habeat.errors import CallTimeout

#: Raises CallTimeout when the time is up; its argument says how far the call got.
Check = Callable[[str | Callable[[], str]], None]


def unbounded(done: str | Callable[[], str]) -> None:
    """A `Check` without a time limit."""


#: The share of a call's timeout in which it may begin a request; a request may wait a quarter.
SHARE = 0.7


_CLOCK = SystemClock()


def _now_s() -> float:
    return _CLOCK.monotonic_us() / 1e6


class Budget:
    """A budget that starts now.

    `seconds` is the call's timeout, `argument` the argument of the Client that sets it.
    """

    def __init__(self, seconds: float, argument: str = "timeout") -> None:
        self._seconds = seconds
        self._argument = argument
        self._done: str | Callable[[], str] = ""
        self.renew()

    def renew(self) -> None:
        """Start the whole budget again, from now."""
        self._began_s = _now_s()
        self._ends_s = self._began_s + self._seconds * SHARE

    def is_past(self, share: float) -> bool:
        """Whether more than this share of the budget is used up."""
        return _now_s() - self._began_s > (self._ends_s - self._began_s) * share

    @property
    def is_over(self) -> bool:
        return _now_s() >= self._ends_s

    def check(self, done: str | Callable[[], str] = "") -> None:
        """CallTimeout if the time is up; `done` says how far the call got.

        Without `done`, the last one given is used.
        """
        self._done = done or self._done
        if self.is_over:
            done = self._done
            so_far = done if isinstance(done, str) else done()
            raise CallTimeout(self._seconds, so_far, self._argument)
