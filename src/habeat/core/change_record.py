"""Who changed an entry, and in which way: what every write adds to the change log."""

from __future__ import annotations

import enum
from dataclasses import dataclass, replace


class Way(enum.StrEnum):
    """What made the change."""

    API = "api"
    CLI = "cli"
    ADMIN = "admin"
    #: The leader brought Redis in line with the code.
    BEAT_SCHEDULE = "beat_schedule"
    #: The leader did something else: it ended a pause, or repaired an entry.
    LEADER = "leader"
    LOAD = "load"
    RESTORE = "restore"
    ADOPT = "adopt"
    MIGRATE = "migrate"


#: Longer names of people are cut.
BY_CHARS_MAX = 200


@dataclass(frozen=True, slots=True)
class Author:
    """Who makes a change; `by` is "" if that is unknown."""

    by: str = ""
    way: Way = Way.API

    def with_way(self, way: Way) -> Author:
        return replace(self, way=way)


@dataclass(frozen=True, slots=True)
class ChangesKept:
    """How much of the change log the leader keeps."""

    age_ms: int = 90 * 86_400_000
    length: int = 10_000
