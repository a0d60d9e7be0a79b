"""Select entries by prefix of the name, tags, owner and condition."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar, get_args

from habeat.client.budget import Check
from habeat.client.calls import RetryingCalls, Session
from habeat.core.entry import Condition, Entry, Owner
from habeat.entries.readable import shown
from habeat.entries.values import tags_of
from habeat.errors import ValidationError
from habeat.ports.entries import Snapshot
from habeat.printable import plural
from habeat.store.calling import text
from habeat.store.name_index import REINDEX, NameIndex
from habeat.store.pages import INDEXED, PAGE
from habeat.store.pipelining import wire

Found = TypeVar("Found")

#: The most times that one call builds the index of names.
REINDEXINGS = 3

CONDITIONS: tuple[Condition, ...] = get_args(Condition)
OWNERS: tuple[Owner, ...] = get_args(Owner)


@dataclass(frozen=True, slots=True)
class Selection:
    """A filter; an empty field matches everything. An entry must have all of `tags`."""

    prefix: str = ""
    tags: tuple[str, ...] = ()
    owner: str | None = None
    condition: str | None = None

    @classmethod
    def checked(
        cls, prefix: Any, tags: Iterable[str], owner: Any = None, condition: Any = None
    ) -> Selection:
        """A filter from the arguments of a call; ValidationError."""
        if not isinstance(prefix, str):
            raise ValidationError("prefix", prefix, "a string")
        for field, given, allowed in (("owner", owner, OWNERS), ("state", condition, CONDITIONS)):
            if given is not None and given not in allowed:
                raise ValidationError(field, given, " or ".join(map(repr, allowed)))
        return cls(prefix, tags_of(tags), owner, condition)

    def may_have(self, raw: bytes) -> bool:
        """Whether a stored definition may match, without decoding it, which takes long."""
        if not raw or b"\\" in raw:
            return True  # there is none, or an escape hides how a text is written
        # A definition without "config" belongs to the API, also if it is unreadable.
        words = (*self.tags, "config") if self.owner == "config" else self.tags
        return all(b'"%b"' % word.encode() in raw for word in words)

    def has(self, entry: Entry) -> bool:
        """Whether the entry matches."""
        return (
            entry.name.startswith(self.prefix)
            and set(self.tags) <= set(entry.tags)
            and self.owner in (None, entry.owner)
            and self.condition in (None, entry.condition)
        )


def pages_of(calls: RetryingCalls, prefix: str = "", after_name: str = "") -> Iterator[list[str]]:
    """The names that begin with `prefix` and come after `after_name`, sorted, a page at a time.

    They include names that a leader has set aside because their definition is gone.
    """
    set_aside = calls.read(lambda session: _set_aside(session, prefix))
    aside = sorted({name for name in set_aside if name > after_name})
    after = wire(after_name) if after_name >= prefix else b""
    while True:
        found = calls.read(partial(_page, prefix, after, calls.check))
        names = [text(name) for name in found]
        full = len(found) == PAGE
        ready = bisect_right(aside, names[-1]) if full else len(aside)
        if page := sorted({*names, *aside[:ready]}):
            yield page
        if not full:
            return
        aside, after = aside[ready:], found[-1]


def _set_aside(session: Session, prefix: str) -> list[str]:
    return [name for name in session.inspection.set_aside() if name.startswith(prefix)]


def _page(prefix: str, after: bytes, check: Check, session: Session) -> list[bytes]:
    """The next page of names after `after`."""
    found = _indexed(session, check, lambda index: index.page(prefix, after, PAGE))
    if found is not None:
        return found
    names = sorted(name.encode() for name in _names(session, prefix))
    return names[bisect_right(names, after) :][:PAGE]


def name_pages(calls: RetryingCalls, session: Session, prefix: str) -> Iterator[list[str]]:
    """The names of the existing entries, page by page, within one attempt of a call."""
    after, full = b"", True
    while full:
        found = _page(prefix, after, calls.check, session)
        full = len(found) == PAGE
        if found:
            yield [text(name) for name in found]
            after = found[-1]


def counted(calls: RetryingCalls, session: Session, prefix: str) -> int:
    """How many entries have names that begin with `prefix`."""
    found = _indexed(session, calls.check, lambda index: index.count(prefix))
    return len(_names(session, prefix)) if found is None else found


def _indexed(
    session: Session, check: Check, ask: Callable[[NameIndex], Found | None]
) -> Found | None:
    """What the index says; it is built first if it is missing or incomplete.

    None if an older release, which does not maintain the index, keeps writing.
    """
    for _ in range(REINDEXINGS):
        found = ask(session.entries.index)
        if found is not None:
            return found
        at = REINDEX
        while at[0] != "done":
            at = session.entries.index.make(at, INDEXED)
            check("the index of names is being built")
    return None


def _names(session: Session, prefix: str) -> list[str]:
    """The names that begin with `prefix`, without the index: reads the names of all entries."""
    return [name for name in session.entries.names() if name.startswith(prefix)]


def selected(calls: RetryingCalls, selection: Selection, after: str = "") -> Iterator[Entry]:
    """The entries that match, after this name and sorted; each page is read at one moment.

    The time that the caller spends between two entries does not count against the call's budget.
    """
    calls, looked_at = calls.bounded(), 0
    for page in pages_of(calls, selection.prefix, after):
        for entry in entries_of(calls, page, selection.may_have):
            if selection.has(entry) and calls.guard.scope.has(entry):
                yield entry
                calls.renew()
        looked_at += len(page)
        read = plural(looked_at, "entry was", "entries were")
        calls.check(f"{read} read, and none matched since the last one returned")


def entries_of(
    calls: RetryingCalls, names: list[str], only: Callable[[bytes], bool] | None = None
) -> list[Entry]:
    """These entries, without those that are gone and those whose definition `only` rejects."""
    if only is None:
        snapshot = read(calls, names)
    else:
        snapshot = calls.read(lambda session: session.entries.read(names, only))
    return [
        shown(stored)
        for stored in snapshot.stored
        if stored.exists or stored.state.quarantined is not None
    ]


def read(calls: RetryingCalls, names: Sequence[str]) -> Snapshot:
    """These entries as stored, all read at one moment."""
    return calls.read(lambda session: session.entries.read(names))
