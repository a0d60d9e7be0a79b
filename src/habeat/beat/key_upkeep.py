"""Repair habeat's own keys if another program has written to them.

The leader checks them every few seconds, and at once after a tick that failed. Another replica
checks them when it cannot read what it needs and no replica holds the lease. Each repair is one log
line. The contents of an overwritten key are lost. The index of what is due can be derived from the
entries, so it is rebuilt, a slice at a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from habeat.core.events import EventCode
from habeat.core.lease import Fence, Token
from habeat.engine.fenced import Lead
from habeat.entries import changes
from habeat.log import log_event
from habeat.ports import Lost, Unfenced
from habeat.ports.entries import Stored, Write
from habeat.schedules.custom import Code
from habeat.store.entries import EntryStore
from habeat.store.key_repair import Mended, Mending, Sizes
from habeat.store.pages import PAGE

EVERY_MS = 5_000
#: The pause between pages of positions, if there are few of them, or fewer entries are due at some
#: time than before: then one of them may have lost its place.
HURRY_MS = 500
FEW = 2_000
#: How many of the entries that had lost their place are named in a log line.
NAMED = 5
#: How many entries that are rightly not due are remembered.
JUDGED_MAX = 10_000
#: Keys that can be derived from the entries. `:paused` cannot: an entry whose pause was lost with
#: it stays idle until a person acts on it.
INDEXED = ("due", "owned", "state")


class Upkeep:
    """Checks and repairs the keys, and rebuilds the index where it was lost."""

    def __init__(self, mending: Mending, entries: EntryStore, fingerprint: str) -> None:
        self._mending = mending
        self._entries = entries
        self._fingerprint = fingerprint
        self._next_ms = 0
        self._left: list[str] | None = None
        #: What the last check counted; a key that another program deletes shows in it.
        self._sizes: Sizes | None = None
        self._hurries = False
        #: The entries that are rightly not due, in this state.
        self._judged: dict[str, tuple[str, int, int | None]] = {}
        #: Which keys were repaired last, and when by the monotonic clock.
        self.repaired = ("", 0)
        #: Set when entries of beat_schedule were lost; reset by the caller that seeds them again.
        self.entries_lost = False

    def look(self, token: Token | None, ttl_ms: int, now_ms: int) -> None:
        """Repair the keys, and log each repair."""
        self._next_ms = now_ms + EVERY_MS
        found = self._mending.run(token, ttl_ms, self._fingerprint)
        if isinstance(found, Lost):
            self._sizes = None
            return
        sizes = self._mending.sizes
        dropped = bool(self._sizes and sizes.due < self._sizes.due)
        few = sizes.states <= FEW
        self._hurries = self._mending.position != "0" and (self._hurries or dropped or few)
        if self._hurries:
            self._next_ms = now_ms + HURRY_MS
        gone = _gone(self._sizes, self._mending.sizes)
        emptied = bool(self._sizes and self._sizes.due and not self._mending.sizes.due)
        self._sizes = self._mending.sizes
        for name, sentence in gone.items():
            log_event(EventCode.KEYS_REPAIRED, "habeat: %s", sentence, key=name)
        repaired = [*gone, *(each.which for each in found)]
        if repaired:
            self.repaired = ", ".join(sorted(set(repaired)))[:200], now_ms
        for mended in found:
            log_event(EventCode.KEYS_REPAIRED, "habeat: %s", _sentence(mended))
        lost = {mended.which for mended in found if mended.what == "foreign"} | gone.keys()
        if lost & {"entries", "owned"}:
            self.entries_lost = True
        if emptied or lost & set(INDEXED):  # all may have had their last slot: then nothing changes
            self._left = None if token is None else self._entries.names()

    def step(self, lead: Lead, now_ms: int) -> int | None:
        """Check the keys if it is time, and rebuild a slice of the index.

        Returns 0 if more of the index is left to rebuild, else None.
        """
        if now_ms >= self._next_ms:
            self.look(lead.token, lead.ttl_ms, now_ms)
            if not self._left:  # else the index is rebuilt as a whole
                self._put_back(lead, self._mending.strays, now_ms)
        if not self._left:
            return None
        names, self._left = self._left[:PAGE], self._left[PAGE:]
        self._index(lead, names)
        return 0 if self._left else None

    def _put_back(self, lead: Lead, names: Sequence[str], now_ms: int) -> None:
        """Make those entries due again that should be; name them."""
        placed = []
        for stored in self._entries.pages(names):
            state = stored.digest, stored.state.cursor_ms, stored.state.due_ms
            if self._judged.get(stored.name) == state:
                continue
            write = _put_back(stored)
            if write is None or _is_asked(stored):
                self._remember(stored.name, state)
            if write is not None and lead.call(partial(self._written, write)) is True:
                placed.append(stored.name)
        if placed:
            self._say(placed)
            self.repaired = f"due ({_listed(placed)})"[:200], now_ms

    def _remember(self, name: str, state: tuple[str, int, int | None]) -> None:
        if len(self._judged) >= JUDGED_MAX:
            self._judged.clear()
        self._judged[name] = state

    def _say(self, names: Sequence[str]) -> None:
        log_event(
            EventCode.KEYS_REPAIRED,
            "habeat: the time at which an entry is due was removed or changed in Redis: %s; "
            "corrected",
            _listed(names),
            entry=names[0] if len(names) == 1 else "",
            key="due",
        )

    def _index(self, lead: Lead, names: Sequence[str]) -> None:
        """Put these entries, and their owners, back into the index."""
        snapshot = self._entries.read(names)
        for stored in snapshot.stored:
            write = _placing(stored, snapshot.now_ms)
            if write is None:
                continue
            repaired = "due", self._next_ms - EVERY_MS
            if _was_lost(stored, write) and self.repaired != repaired:
                self.repaired = repaired
                log_event(
                    EventCode.KEYS_REPAIRED,
                    "habeat: the index of what is due is gone; it is made again",
                )
            # One write per entry: a conflict means that the entry was changed and so indexed again.
            lead.call(partial(self._written, write))

    def _written(self, write: Write, fence: Fence) -> bool | Unfenced:
        outcome = self._entries.write([write], fence)
        return outcome if isinstance(outcome, Unfenced) else outcome is None


def _gone(before: Sizes | None, now: Sizes) -> dict[str, str]:
    """The keys that another program deleted since the last check, or before the first one."""
    gone = {}
    if now.states > now.entries and (before is None or before.entries > now.entries):
        gone["entries"] = (
            f"definitions are gone: {now.states - now.entries} entries have a position only. Those "
            "of beat_schedule are stored again; load your last export for the others"
        )
    if now.entries > now.states:
        gone["state"] = (
            f"the positions of {now.entries - now.states} entries are gone; they continue from now"
        )
    return gone


def _was_lost(stored: Stored, write: Write) -> bool:
    """Whether the entry has a next slot, and was missing in the index."""
    entry, position = stored.entry, write.position
    missing = entry is not None and entry.enabled and entry.condition == "exhausted"
    return missing and position is not None and position.due_ms is not None


def _placing(stored: Stored, now_ms: int) -> Write | None:
    """The write that puts an entry into the index; None if none is needed."""
    try:
        return changes.placed_anew(stored, now_ms) or changes.indexed(stored)
    except Exception:  # its schedule raises: that is logged when the entry is next used
        return None


def _put_back(stored: Stored) -> Write | None:
    try:
        return changes.put_back(stored)
    except Exception:  # its schedule raises: that is logged when the entry is next used
        return None


def _is_asked(stored: Stored) -> bool:
    """Whether only the entry's own code knows if it has slots to come: it is asked once."""
    return stored.entry is not None and isinstance(stored.entry.schedule, Code)


def _listed(names: Sequence[str]) -> str:
    more = len(names) - NAMED
    return ", ".join(map(repr, names[:NAMED])) + (f" and {more} more" if more > 0 else "")


def _sentence(mended: Mended) -> str:
    match mended.what:
        case "foreign" if mended.how:
            return (
                f"the key {mended.which!r} had a foreign type; it was renamed to {mended.how!r}, "
                "and habeat continues with an empty key"
            )
        case "foreign":
            return (
                f"the key {mended.which!r} has a foreign type and cannot be renamed: allow "
                "RENAME, or rename it by hand"
            )
        case "counter":
            return f"the counter {mended.which!r} was not a number; it restarts at {mended.how}"
        case "state":
            return (
                f"the position of entry {mended.which!r} cannot be read; the entry is checked now"
            )
        case "seen":
            return f"replica {mended.which!r} was last seen in the future; it was removed"
        case _:
            return f"entry {mended.which!r} was {mended.what} at an invalid time; it is checked now"
