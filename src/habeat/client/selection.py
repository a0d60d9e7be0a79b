"""Which entries are meant: by the beginning of their name, tags, owner, condition."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from habeat.client.calls import Calls, Desk
from habeat.client.fields import tags_of
from habeat.client.salvage import shown
from habeat.core.entry import Entry
from habeat.errors import ValidationError
from habeat.store.entries import PAGE, Snapshot, Stored

CONDITIONS = ("active", "paused", "disabled", "quarantined", "exhausted")
OWNERS = ("api", "config")


@dataclass(frozen=True, slots=True)
class Selection:
    """A filter; what is left out does not matter. Of `tags` an entry must have all."""

    prefix: str = ""
    tags: tuple[str, ...] = ()
    owner: str | None = None
    condition: str | None = None

    @classmethod
    def checked(
        cls, prefix: Any, tags: Iterable[str], owner: Any = None, condition: Any = None
    ) -> Selection:
        """A filter of these words; ValidationError for one that does not exist."""
        if not isinstance(prefix, str):
            raise ValidationError("prefix", prefix, "a text")
        for field, given, allowed in (("owner", owner, OWNERS), ("state", condition, CONDITIONS)):
            if given is not None and given not in allowed:
                raise ValidationError(field, given, " or ".join(map(repr, allowed)))
        return cls(prefix, tags_of(tags), owner, condition)

    def has(self, entry: Entry) -> bool:
        """Whether the entry is meant."""
        return (
            entry.name.startswith(self.prefix)
            and set(self.tags) <= set(entry.tags)
            and self.owner in (None, entry.owner)
            and self.condition in (None, entry.condition)
        )


def check_room(calls: Calls, desk: Desk, found: Iterable[Stored]) -> None:
    """NotAllowed if the entries that are not there yet exceed what the guard's scope may have."""
    guard = calls.guard
    new = [stored.name for stored in found if not stored.exists]
    if guard.max_entries is None or not new:
        return
    names = [name for name in desk.entries.names() if guard.scope.has_name(name)]
    present = len(names)
    if guard.scope.tag:
        pages = (names[start : start + PAGE] for start in range(0, len(names), PAGE))
        found_there = (stored for page in pages for stored in desk.entries.read(page).stored)
        present = sum(guard.scope.has(shown(stored)) for stored in found_there)
    guard.check_room(new[0], present, len(new))


def pages_of(calls: Calls, prefix: str = "") -> Iterator[list[str]]:
    """The names that begin with `prefix`, sorted, a page at a time.

    Among them those that a leader has set aside for having no definition any more.
    """

    def attempt(desk: Desk) -> list[str]:
        found = {*desk.entries.names(), *desk.insight.quarantined()}
        return sorted(name for name in found if name.startswith(prefix))

    names = calls.read(attempt)
    for start in range(0, len(names), PAGE):
        yield names[start : start + PAGE]


def selected(calls: Calls, selection: Selection) -> Iterator[Entry]:
    """The entries that are meant, by name, each page read at one moment."""
    for page in pages_of(calls, selection.prefix):
        for entry in entries_of(calls, page):
            if selection.has(entry) and calls.guard.scope.has(entry):
                yield entry


def entries_of(calls: Calls, names: list[str]) -> list[Entry]:
    """These entries; what is gone since is left out."""
    snapshot = read(calls, names)
    return [
        shown(stored)
        for stored in snapshot.stored
        if stored.exists or stored.state.quarantined is not None
    ]


def read(calls: Calls, names: list[str]) -> Snapshot:
    """These entries at one moment, as stored."""
    return calls.read(lambda desk: desk.entries.read(names))
