"""Keeping the cluster's own keys usable, whoever else has written to them.

The leader looks every few seconds, and at once after a tick that failed; a replica that does not
lead looks when it fails to read what it needs and nobody holds the lease. Each repair is one log
line. What is lost with a key that was overwritten cannot be brought back, but the index of what is
due follows from the entries: it is written again, a slice at a time.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import partial

from habeat.core.lease import Fence, Token
from habeat.engine.fenced import Lead
from habeat.entries import changes
from habeat.ports import Lost, Unfenced
from habeat.ports.entries import Stored, Write
from habeat.store.entries import EntryStore
from habeat.store.key_repair import Mended, Mending
from habeat.store.pages import PAGE

log = logging.getLogger("habeat")

EVERY_MS = 5_000
#: Keys that follow from the entries. Not so :paused: who was paused stays idle until a person acts.
INDEXED = ("due", "owned")


class Upkeep:
    """Looks after the keys, and writes the index again where it was lost."""

    def __init__(self, mending: Mending, entries: EntryStore, fingerprint: str) -> None:
        self._mending = mending
        self._entries = entries
        self._fingerprint = fingerprint
        self._next_ms = 0
        self._left: list[str] | None = None
        #: Set when entries were lost that the code declares.
        self.entries_lost = False

    def look(self, token: Token | None, ttl_ms: int, now_ms: int) -> None:
        """Have the keys put right, and say what was wrong."""
        self._next_ms = now_ms + EVERY_MS
        found = self._mending.run(token, ttl_ms, self._fingerprint)
        if isinstance(found, Lost):
            return
        for mended in found:
            log.error("habeat: %s", _sentence(mended))
        lost = {mended.which for mended in found if mended.what == "foreign"}
        if lost & {"entries", "owned"}:
            self.entries_lost = True
        if lost & set(INDEXED):
            self._left = None if token is None else self._entries.names()

    def step(self, lead: Lead, now_ms: int) -> int | None:
        """A look if it is time, and a slice of the index; 0 if there is more to do at once."""
        if now_ms >= self._next_ms:
            self.look(lead.token, lead.ttl_ms, now_ms)
        if not self._left:
            return None
        names, self._left = self._left[:PAGE], self._left[PAGE:]
        self._index(lead, names)
        return 0 if self._left else None

    def _index(self, lead: Lead, names: Sequence[str]) -> None:
        """Give these entries their places in the index, and their owners."""
        snapshot = self._entries.read(names)
        for write in filter(None, map(_placing, snapshot.stored)):
            # By itself: one that has changed meanwhile has its place already.
            lead.call(partial(self._written, write))

    def _written(self, write: Write, fence: Fence) -> bool | Unfenced:
        outcome = self._entries.write([write], fence)
        return outcome if isinstance(outcome, Unfenced) else outcome is None


def _placing(stored: Stored) -> Write | None:
    """What puts an entry into the index; None if it is there, or has no place there."""
    try:
        return changes.indexed(stored)
    except Exception:  # its schedule fails: it is named when somebody acts on it
        return None


def _sentence(mended: Mended) -> str:
    match mended.what:
        case "foreign" if mended.how:
            return (
                f"the key {mended.which!r} was of a foreign type; it is kept as {mended.how!r}, "
                "and habeat goes on with an empty one"
            )
        case "foreign":
            return (
                f"the key {mended.which!r} is of a foreign type and cannot be renamed: allow "
                "RENAME, or rename it by hand"
            )
        case "counter":
            return f"the counter {mended.which!r} was no number; it starts again at {mended.how}"
        case "seen":
            return f"replica {mended.which!r} was seen in the future; it is forgotten"
        case _:
            return f"entry {mended.which!r} was {mended.what} at no instant; it is looked at now"
