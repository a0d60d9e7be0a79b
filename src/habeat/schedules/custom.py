"""A schedule that only code can express: a class of the user's own, found in beat_schedule.

What is stored is its name, for people. A replica that has the code asks it whether it is due, when
it said that it wants to be asked. It is never enumerated: what it answers may depend on the world,
and asking may take a query of a database.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from habeat.schedules.registry import register
from habeat.schedules.schedule import Schedule

#: Two questions to one schedule are never closer than this, as the slots of our own intervals.
LEAST_GAP_MS = 100


@register
@dataclass(frozen=True, repr=False)
class Code(Schedule):
    """Stands for the schedule of an entry in beat_schedule; `what` is its class and repr."""

    kind: ClassVar[str] = "code"

    what: str

    def next_after_ms(self, after_ms: int) -> int | None:
        return None

    def describe(self) -> str:
        return f"by code: {self.what}"


@dataclass(frozen=True, slots=True)
class Told:
    """What a schedule of code answered: whether it is due, and after how long to ask again."""

    due: bool
    again_ms: int


class Asked(Code):
    """The schedule itself, on a replica that has its code."""

    @abstractmethod
    def ask(self, last_ms: int, now_ms: int) -> Told:
        """Whether it is due at `now_ms`, having last been due at `last_ms`; UTC.

        This runs the user's code: it may raise anything, or not return.
        """
