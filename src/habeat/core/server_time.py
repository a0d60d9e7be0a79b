"""Redis' clock, estimated between two answers with the local monotonic clock.

The anchor is the moment an answer *arrives*, so the estimate is never ahead of the server. A claim
based on it is at most one round trip late. It is early only if the server's clock stepped back;
then the script answers ``early``, and the next answer sets a new anchor.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ServerTime:
    """An instant of the server's clock, and the local monotonic time at which it arrived."""

    server_us: int
    monotonic_us: int

    def now_us(self, monotonic_us: int) -> int:
        """The server's time at a local monotonic time, in microseconds."""
        return self.server_us + monotonic_us - self.monotonic_us

    def now_ms(self, monotonic_us: int) -> int:
        """The same in whole milliseconds."""
        return self.now_us(monotonic_us) // 1_000

    def until_us(self, instant_ms: int, monotonic_us: int) -> int:
        """How long to wait for an instant, in microseconds; never negative."""
        return max(0, instant_ms * 1_000 - self.now_us(monotonic_us))

    def until_ms(self, instant_ms: int, monotonic_us: int) -> int:
        """How long to wait for an instant, in ms, rounded up so that the instant has come."""
        return max(0, -((self.now_us(monotonic_us) - instant_ms * 1_000) // 1_000))
