"""A schedule that only code can express: a class of the user's own, found in beat_schedule.

What is stored is its name, for people. Its slots are known to a replica that has the code; here
there are none, so that nobody computes wrong ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from habeat.core.schedule.base import Schedule
from habeat.core.schedule.registry import register


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
