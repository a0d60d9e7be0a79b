"""Asking a schedule class of the user's own, outside the loop."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from habeat.ports.dispatch import DueEntry
from habeat.schedules.custom import Asked, Told


@dataclass(frozen=True, slots=True)
class ScheduleAnswer:
    """What a schedule of code said when it was asked at `at_ms`, Redis time.

    While it has said nothing, `told` is None; `failed` says why there will be no answer.
    """

    at_ms: int
    told: Told | None = None
    failed: str = ""


class ScheduleAsker(Protocol):
    """Asks schedules of the user's code, elsewhere than in the loop, each with a time limit."""

    def ask(self, due: DueEntry, schedule: Asked, now_ms: int) -> ScheduleAnswer:
        """The answer for an entry as it stands; asks if that was not done yet.

        Returns at once. An answer "due" is repeated until the entry's cursor has moved.
        """
        ...
