"""Entries as the store reads and writes them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from habeat.core.entry import Entry, EntryState
from habeat.core.firing import SkippedRun


@dataclass(frozen=True, slots=True)
class Stored:
    """One entry as read: its definition, its state, and the digests that a write compares.

    `entry` is None if there is none, or if it is unreadable: then `unreadable` is the reason, and
    `raw` is the stored text.
    """

    name: str
    digest: str
    entry: Entry | None
    state: EntryState
    unreadable: str = ""
    raw: bytes = b""
    #: The digest of the entry's value in :paused; "-" if it is not paused.
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
    """An entry's position after a write: the cursor, the next slot, and when it is due."""

    cursor_ms: int
    next_slot_ms: int | None
    due_ms: int | None


@dataclass(frozen=True, slots=True)
class Write:
    """A change of one entry. Parts that are not set stay unchanged.

    `paused`: None keeps the pause, "" ends it, any other value is the JSON of a new one.
    `resume_at_ms` is when the pause ends by itself. `pause_digest` is the digest of the pause as it
    was read, "" if it does not matter. `lost` is the run of slots that this write prevents from
    firing.
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
    #: For the change log: the fields that differ (entries/differing.py).
    differing: bytes = b""


@dataclass(frozen=True, slots=True)
class Removal:
    """The removal of one entry, with its due slots that will not fire."""

    name: str
    digest: str
    cursor_ms: int | None
    lost: SkippedRun | None
    reason: str
    differing: bytes = b""


@dataclass(frozen=True, slots=True)
class Renaming:
    """The renaming of one entry.

    `requests` are those for this entry: id, digest, and the text under the new name.
    `request_count` counts the requests for all entries, to notice one that is added meanwhile.
    """

    name: str
    digest: str
    cursor_ms: int | None
    new_name: str
    definition: bytes
    due_ms: int | None
    requests: Sequence[tuple[str, str, bytes]]
    request_count: int
    differing: bytes = b""


@dataclass(frozen=True, slots=True)
class Arrival:
    """An entry that comes from another prefix or another beat, with its state there.

    `paused` is the JSON of its pause, "" if it has none; `note` is the reason in the ledger.
    `owned` says that it belongs to beat_schedule.
    """

    name: str
    definition: bytes
    paused: str
    resume_at_ms: int | None
    position: Position
    last_fired_ms: int | None
    fired: int
    note: str
    owned: bool = False
    differing: bytes = b""


@dataclass(frozen=True, slots=True)
class Conflict:
    """The entry has changed since it was read; nothing was written."""

    name: str


@dataclass(frozen=True, slots=True)
class Mark:
    """Identifies one attempt at a write, so that its result can be looked up for `keep_ms`."""

    name: str
    keep_ms: int
