"""A schedule that only code can express: a user's own class in beat_schedule.

Only its name is stored, for people to read. A replica that has the code calls it to learn whether
it is due, at the times that it requested. It is never enumerated: its answers may depend on
anything, and a call may take a database query.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from habeat.schedules.registry import register
from habeat.schedules.schedule import Schedule

#: The shortest time between two calls of one schedule; our own intervals have the same minimum.
LEAST_GAP_MS = 100


@register
@dataclass(frozen=True, repr=False)
class Code(Schedule):
    """Stands for a schedule that only code has; `what` is its class and repr."""

    kind: ClassVar[str] = "code"

    what: str

    def next_after_ms(self, after_ms: int) -> int | None:
        return None

    def describe(self) -> str:
        return f"by code: {self.what}"


@dataclass(frozen=True, slots=True)
class DueState:
    """What a custom schedule reports: whether it is due, and after how many ms to ask it again."""

    due: bool
    again_ms: int


class LiveCode(Code):
    """The custom schedule itself, on a replica that has its code."""

    @abstractmethod
    def ask(self, last_ms: int, now_ms: int) -> DueState:
        """Whether it is due at `now_ms`, if it was last due at `last_ms` (Unix ms).

        This runs the user's code, which may raise anything or never return.
        """
