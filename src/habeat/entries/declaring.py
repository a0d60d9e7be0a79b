"""What a deploy does to each stored entry: decided here for the leader that does it and for `plan`.

Pure: from an entry as read, what the code declares under its name, and Redis' time, to a verdict
and a write. The rules:

- An entry that is not stored is added. If a state without a definition was left behind, the entry
  takes it over: it continues from that cursor.
- These are left: an entry that is stored as declared, one that a newer deploy has written, one of
  the API that has the same name, and one that cannot be read.
- All others are changed. A paused entry stays paused.
- A stored entry of beat_schedule that no live replica declares any more is pruned, if it can be
  read.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, replace

from habeat.core.entry import Entry
from habeat.entries import changes
from habeat.ports.entries import Removal, Stored, Write


class Verdict(enum.StrEnum):
    """What becomes of an entry."""

    ADD = "add"
    TAKE_OVER = "take over"
    CHANGE = "change"
    PRUNE = "prune"
    SAME = "same"
    #: The API has an entry of this name.
    CLASH = "clash"
    UNREADABLE = "unreadable"
    #: A deploy of this generation or a later one has written another definition.
    NEWER = "newer"
    #: Its schedule, which may be code of the project, raises.
    FAILS = "fails"


@dataclass(frozen=True, slots=True)
class Decision:
    """The verdict about one entry, and what is written; None for an entry that is left."""

    verdict: Verdict
    write: Write | None = None
    error: Exception | None = None


def declared_decision(stored: Stored, declared: Entry, now_ms: int, generation: int) -> Decision:
    """What a deploy of this generation does to an entry that it declares."""
    try:
        return _decided(stored, declared, now_ms, generation)
    except Exception as error:  # of its schedule, or of values of the project's code
        return Decision(Verdict.FAILS, error=error)


def _decided(stored: Stored, declared: Entry, now_ms: int, generation: int) -> Decision:
    found = stored.entry
    if not stored.exists:
        write = changes.seeded(stored, declared, now_ms, generation)
        return Decision(Verdict.TAKE_OVER if stored.state.cursor_ms else Verdict.ADD, write)
    if found is None:
        return Decision(Verdict.UNREADABLE)
    if found.owner != "config":
        return Decision(Verdict.CLASH)
    if found.fingerprint == declared.fingerprint:
        return Decision(Verdict.SAME)
    # A higher generation belongs to a newer deploy, whose definition stays during a rolling deploy.
    # The same generation belongs to replicas that were started together with ours and declare
    # something else.
    if found.generation >= generation:
        return Decision(Verdict.NEWER)
    edit = changes.change(stored, replace(declared, generation=generation), now_ms)
    return Decision(Verdict.SAME) if edit is None else Decision(Verdict.CHANGE, edit.write)


def pruning(stored: Stored, now_ms: int) -> Removal | None:
    """The removal of an entry that no live replica declares any more; None if it stays.

    An entry that cannot be read is left to a person, and one of the API is never pruned.
    """
    if stored.entry is None or stored.entry.owner != "config":
        return None
    return changes.removal(stored, now_ms, "pruned")
