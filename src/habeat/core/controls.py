"""Controls: what people ask of the schedule as a whole, rather than of one entry.

They are kept in one hash in Redis, and each write gives them a new stamp. The leader's tick passes
the stamp that it knows, and gets the controls if there is another. Claims and skips carry the stamp
under which they were planned; under another one, they are refused and planned again. So once the
call that paused the schedule has returned, nothing more is claimed.

A value that cannot be read is ignored, and `health` names its field.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

#: As many controls are stored at most.
CONTROLS_MAX: Final = 500

STEP_DOWN: Final = "step_down"

_STEP_DOWN = re.compile(r"([^|]{1,200})\|([^|]{0,200})\|(\d{1,15})\|(.{0,500})", re.DOTALL)


@dataclass(frozen=True, slots=True)
class StepDown:
    """Asks the leader with this token to hand over, to the replica `to` if it is not "".

    After `until_ms` (Redis' time) it is void. `by` says who asked, for the log.
    """

    token: str
    to: str
    until_ms: int
    by: str

    def is_for(self, token: str, now_ms: int) -> bool:
        """Whether this is for the leader with this token, and still valid."""
        return token == self.token and now_ms < self.until_ms

    def stored(self) -> str:
        """The stored form, which acquire.lua reads too."""
        return f"{self.token}|{self.to}|{self.until_ms}|{self.by}"


@dataclass(frozen=True, slots=True)
class Controls:
    """The controls under one stamp."""

    stamp: str = ""
    step_down: StepDown | None = None


def controls_of(stamp: str, fields: Mapping[str, str]) -> Controls:
    """The controls that these fields describe; what cannot be read is left out."""
    return Controls(stamp, _step_down(fields.get(STEP_DOWN, "")))


def _step_down(stored: str) -> StepDown | None:
    found = _STEP_DOWN.fullmatch(stored)
    return found and StepDown(found[1], found[2], int(found[3]), found[4])
