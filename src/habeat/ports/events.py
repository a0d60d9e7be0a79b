"""What a replica stores about the schedule as a whole, besides the outcomes of slots."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from habeat.core.events import EventCode


class Report(StrEnum):
    """How an event relates to the reports of other replicas."""

    SINGLE = ""
    """Only this replica can report it."""
    SEEN = "seen"
    """All replicas see it, and report it when it is over; the first report is kept."""
    BEGIN = "begin"
    """It begins. If it has begun already, nothing is stored."""
    END = "end"
    """It is over. If it had not begun, nothing is stored. The time of the beginning is added."""


@dataclass(frozen=True, slots=True)
class Happening:
    """An event to store. Instants are Unix milliseconds by Redis' clock; `until_ms` is None while
    it lasts.

    `subject` is what an outage is of. `detail` may be the text of an error.
    """

    code: EventCode
    since_ms: int
    until_ms: int | None = None
    cause: str = ""
    detail: str = ""
    report: Report = Report.SINGLE
    subject: str = ""
    lease_epoch: int | None = None


class EventLog(Protocol):
    """Where events are stored."""

    def add(self, happening: Happening) -> bool:
        """Store an event; False if it is stored already. StoreUnavailable."""
        ...


class NoEventLog:
    """Stores nothing."""

    def add(self, happening: Happening) -> bool:
        return False
