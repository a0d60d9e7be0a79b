"""What a source holds, read and translated: the values that readers hand to the plan.

A reader looks at one entry at a time. What it cannot read or translate becomes `Uncarried`, with
the reason, and nothing else stops.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from habeat.errors import HabeatError


@dataclass(frozen=True, slots=True)
class SourceEntry:
    """One entry of the source.

    `arguments` are those of `Client.add` without the name. A period as `schedule` (seconds or a
    timedelta) keeps the source's rhythm: its slots are counted from the last run. `last_run_at` is
    aware. Without it, the entry has never run, and `first_run_at` says when the source would run it
    first, if that is not at the schedule's next slot. A source that knows better gives
    `handled_until`: up to then, every slot was sent or dropped.

    A `declared` entry is the source's copy of one of beat_schedule. Its arguments are not used, as
    the code has them; only its last run and its count are carried. `notes` say what is carried in
    another form than the source has it.
    """

    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    last_run_at: datetime | None = None
    first_run_at: datetime | None = None
    handled_until: datetime | None = None
    total_run_count: int = 0
    enabled: bool = True
    declared: bool = False
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Uncarried:
    """An entry of the source that is not carried: why not, and what a person may do.

    `dropped` says that the source itself would drop it, so there is nothing to do.
    """

    name: str
    why: str
    advice: str = ""
    dropped: bool = False


@dataclass(frozen=True, slots=True)
class Living:
    """Whether the source's beat still runs, or may, and the evidence in one sentence."""

    alive: bool
    evidence: str = ""


@dataclass(frozen=True, slots=True)
class Reading:
    """All that a source holds.

    `source` names it for people, with its place but no secrets. `hint` is what a person should know
    about its last runs.
    """

    source: str
    entries: Sequence[SourceEntry] = ()
    uncarried: Sequence[Uncarried] = ()
    living: Living = Living(False)
    hint: str = ""


class EveryName:
    """Stands for all names, in place of a collection of names."""

    def __contains__(self, name: object) -> bool:
        return True


class SourceUnreadable(HabeatError):
    """The source as a whole cannot be read: it is missing, unreachable or in an unknown form."""


class SourceEmpty(SourceUnreadable):
    """The source can be read and has nothing: perhaps another place is meant."""


class SourceAlive(HabeatError):
    """The source's beat still runs, or may: both would send."""

    def __init__(self, source: str, evidence: str) -> None:
        super().__init__(
            f"the old beat may still be running: {evidence}; stop it first, or every slot may be "
            f"sent twice (--even-if-alive carries the entries of {source} all the same)"
        )
        self.evidence = evidence
