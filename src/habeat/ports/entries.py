"""Entries as they are read and written: what the store returns, and what a change writes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from habeat.core.entry import Entry, EntryState
from habeat.core.firing import SkippedRun


@dataclass(frozen=True, slots=True)
class Stored:
    """One entry as read: definition, facts, and what a write must compare with.

    `entry` is None where there is none, and where it cannot be read (`unreadable` says why,
    and `raw` is what was found).
    """

    name: str
    digest: str
    entry: Entry | None
    state: EntryState
    unreadable: str = ""
    raw: bytes = b""
    #: Of what :paused holds, "-" where the entry is not paused.
    pause_digest: str = "-"

    @property
    def exists(self) -> bool:
        return bool(self.digest)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Entries read at one moment of Redis' time."""

    now_ms: int
    stored: Sequence[Stored]


@dataclass(frozen=True, slots=True)
class Position:
    """Where an entry stands after a write: cursor, first slot after it, when that is due."""

    cursor_ms: int
    next_slot_ms: int | None
    due_ms: int | None


@dataclass(frozen=True, slots=True)
class Write:
    """One change of one entry. Parts left out stay as they are.

    `paused`: None keeps, "" resumes, else the reason's JSON; `resume_at_ms` ends the pause by
    itself; `pause_digest` is that of the pause as it was read, "" where it does not matter. `lost`
    are the slots that will not fire because of this write.
    """

    name: str
    digest: str
    definition: bytes = b""
    owned: bool = False
    cursor_ms: int | None = None
    paused: str | None = None
    resume_at_ms: int | None = None
    position: Position | None = None
    lost: SkippedRun | None = None
    pause_digest: str = ""


@dataclass(frozen=True, slots=True)
class Removal:
    """One entry to remove, and its due slots that will not fire."""

    name: str
    digest: str
    cursor_ms: int | None
    lost: SkippedRun | None
    reason: str


@dataclass(frozen=True, slots=True)
class Renaming:
    """One entry to get another name. `orders` are those for it: id, digest, and written anew."""

    name: str
    digest: str
    cursor_ms: int | None
    new_name: str
    definition: bytes
    due_ms: int | None
    orders: Sequence[tuple[str, str, bytes]]
    orders_in_all: int


@dataclass(frozen=True, slots=True)
class Conflict:
    """Somebody else changed this entry since it was read; nothing was written."""

    name: str


@dataclass(frozen=True, slots=True)
class Mark:
    """Names one attempt at a write, so that it can be asked about for `keep_ms`."""

    name: str
    keep_ms: int
