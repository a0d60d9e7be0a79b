"""Parts of a process: its clocks, its wake channel, its pending calls."""

from __future__ import annotations

from typing import Protocol, TypeVar

Answer = TypeVar("Answer", covariant=True)


class PendingCall(Protocol[Answer]):
    """A call whose answer is read later.

    `result` waits for the answer; `has_come` says whether it is there already; `drop` stops waiting
    and returns the answer if it has arrived.
    """

    def result(self) -> Answer: ...

    def has_come(self) -> bool: ...

    def drop(self) -> Answer | None: ...


class Clock(Protocol):
    """This host's clocks."""

    def monotonic_us(self) -> int: ...

    def wall_ms(self) -> int: ...


class WakeChannel(Protocol):
    """The pub/sub connection: it wakes the loop, and its subscription shows that we are alive."""

    def open(self) -> bool:
        """Subscribe if necessary; True if it was, because messages may have been missed."""
        ...

    def wait(self, timeout_ms: float) -> frozenset[str]:
        """Wait for a message or the timeout; return all messages that have arrived."""
        ...

    def resubscribe(self) -> None:
        """Drop the connection; the next `open` makes a new one."""
        ...
