"""How long one call of the Client may take, all of its steps together.

Retries, pages, decoding and counting draw on one budget. It ends before the call's timeout does:
a request that is sent at its very end, and waits for as long as a request may, is over in time.
"""

from __future__ import annotations

from collections.abc import Callable

from habeat.clock import SystemClock
from habeat.errors import CallTimeout

#: Raises CallTimeout when the time is up; it is given words for how far the call has come.
Check = Callable[[str | Callable[[], str]], None]


def unbounded(done: str | Callable[[], str]) -> None:
    """A `Check` that always finds time."""


#: The part of a call's timeout in which it may begin something; a single wait takes a quarter.
SHARE = 0.7


_CLOCK = SystemClock()


def _now_s() -> float:
    return _CLOCK.monotonic_us() / 1e6


class Budget:
    """Time from now on; `seconds` are the call's timeout."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._done: str | Callable[[], str] = ""
        self.renew()

    def renew(self) -> None:
        """All of the time again, from now on."""
        self._ends_s = _now_s() + self._seconds * SHARE

    @property
    def is_over(self) -> bool:
        return _now_s() >= self._ends_s

    def check(self, done: str | Callable[[], str] = "") -> None:
        """CallTimeout if the time is up; `done` says how far the call has come.

        Without it the words that were given last are used.
        """
        self._done = done or self._done
        if self.is_over:
            done = self._done
            raise CallTimeout(self._seconds, done if isinstance(done, str) else done())
