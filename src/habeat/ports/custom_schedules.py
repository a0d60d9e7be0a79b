"""Asking a user's own schedule class whether it is due, outside the loop."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from habeat.ports.dispatch import DueEntry
from habeat.schedules.custom import DueState, LiveCode


@dataclass(frozen=True, slots=True)
class ScheduleAnswer:
    """The answer of a custom schedule that was asked at `at_ms`, Redis' time.

    `state` is None while there is no answer yet; `failed` says why there will be none.
    """

    at_ms: int
    state: DueState | None = None
    failed: str = ""


class ScheduleAsker(Protocol):
    """Asks custom schedules outside the loop, each with a time limit."""

    def ask(self, due: DueEntry, schedule: LiveCode, now_ms: int) -> ScheduleAnswer:
        """The answer for an entry so far; asks the schedule if it has not been asked yet.

        Returns at once. The answer "due" is repeated until the entry's cursor has moved.
        """
        ...
