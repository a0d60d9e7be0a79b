"""What a process has of its own: its clocks, the connection that wakes it, calls under way."""

from __future__ import annotations

from typing import Protocol, TypeVar

Answer = TypeVar("Answer", covariant=True)


class PendingCall(Protocol[Answer]):
    """A call that is under way.

    `result` waits for its answer, `has_come` tells whether that would take no time, and `drop`
    waits no longer: it tells what has come already.
    """

    def result(self) -> Answer: ...

    def has_come(self) -> bool: ...

    def drop(self) -> Answer | None: ...


class Clock(Protocol):
    """This host's clocks."""

    def monotonic_us(self) -> int: ...

    def wall_ms(self) -> int: ...


class WakeChannel(Protocol):
    """The pub/sub connection: it is waited on, and its subscription shows that we live."""

    def open(self) -> bool:
        """Subscribe (again); True if that had to be done, so state must be read anew."""
        ...

    def wait(self, timeout_ms: float) -> frozenset[str]:
        """Wait until something is said or the time is up; drains all that was said."""
        ...

    def resubscribe(self) -> None:
        """Throw the connection away; the next `open` makes it anew."""
        ...
