"""Make the entries with one tag match a list: `client.sync`.

The list says what should be there: entries that are missing are added, those that differ are
changed, and those that have the tag but are not in the list are removed. The tag marks what belongs
to the list, so each entry is given it, and entries without it are never changed: neither those of
other callers nor those of beat_schedule. If the list names one of them, the call is refused.

Everything is checked before anything is written. Removals come last, so no reader sees a gap; with
a guard's `max_entries` they come first, because they make room. Each write checks again whether the
entry is ours, since other callers may have changed it after the plan was made.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from habeat.client.calls import RetryingCalls, Session
from habeat.client.given import PER_SECOND, entries_given
from habeat.client.matching import Matching
from habeat.client.room import without_room
from habeat.client.selection import Selection, pages_of, read
from habeat.core.entry import Entry
from habeat.entries.affordable import check_affordable
from habeat.entries.changes import change, check_stays
from habeat.entries.codec import encode
from habeat.entries.fields import FIELDS
from habeat.entries.readable import shown
from habeat.entries.values import tags_of
from habeat.errors import BulkError, EntryExists, HabeatError, ValidationError
from habeat.ports.entries import Snapshot, Stored
from habeat.store.pages import PAGE, pages


@dataclass(frozen=True, slots=True)
class SyncPlan:
    """What `sync` did, or would do with `dry_run`: names of entries.

    `changed` has the fields that differ for each entry; "quarantined" stands for all of them if the
    stored definition could not be read or the entry could not be planned. `written` says whether
    the plan was carried out. Then it has what this call wrote: what other callers wrote meanwhile
    is `unchanged`.
    """

    tag: str
    added: tuple[str, ...] = ()
    changed: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    removed: tuple[str, ...] = ()
    unchanged: tuple[str, ...] = ()
    written: bool = False

    @property
    def in_sync(self) -> bool:
        """Whether there is nothing to add, change or remove."""
        return not (self.added or self.changed or self.removed)


def synced(calls: RetryingCalls, given: Iterable[Any], tag: str, *, dry_run: bool) -> SyncPlan:
    """Make the entries with the tag match those given; BulkError if one cannot be written."""
    tag = _checked_tag(tag)
    wanted, refused = entries_given("sync", given, calls.location, tag)
    calls = calls.bounded(len(wanted) / PER_SECOND)
    ours = _Ours(calls, tag)
    plan = _planned(ours, wanted, refused)
    if dry_run:
        return plan
    write = [entry for entry in wanted if entry.name in plan.changed or entry.name in plan.added]
    matching = Matching(calls, ours.check)
    with matching.of(len(write) + len(plan.removed)):
        if calls.guard.max_entries is not None:
            matching.remove(plan.removed, ours.has)
            matching.write(write)
        else:
            matching.write(write)
            matching.remove(plan.removed, ours.has)
    return _as_done(plan, matching)


class _Ours:
    """Which stored entries belong to the list: those of the API with its tag."""

    def __init__(self, calls: RetryingCalls, tag: str) -> None:
        self.calls = calls
        self.tag = tag
        self._selection = Selection(tags=(tag,), owner="api")

    def has(self, stored: Stored) -> bool:
        if not stored.exists and stored.state.quarantined is None:
            return False
        entry = shown(stored)
        return self._selection.has(entry) and self.calls.guard.scope.has(entry)

    def check(self, stored: Stored) -> None:
        """EntryExists if the entry is there and not ours; EntryMoving."""
        check_stays(stored)
        if stored.exists and not self.has(stored):
            how = f"choose another name, or give that entry the tag {self.tag!r} with update()"
            raise EntryExists(stored.name, shown(stored).owner, how)

    def names(self) -> Iterator[str]:
        """The names of all that are stored."""
        for page in pages_of(self.calls, self.calls.guard.scope.prefix):
            self.calls.check("nothing was written")
            yield from (stored.name for stored in self._read(page).stored if self.has(stored))

    def _read(self, names: list[str]) -> Snapshot:
        def attempt(session: Session) -> Snapshot:
            return session.entries.read(names, self._selection.may_have)

        return self.calls.read(attempt)


def _checked_tag(tag: Any) -> str:
    if not isinstance(tag, str) or not tag:
        raise ValidationError("tag", tag, "a non-empty string")
    return tags_of([tag])[0]


def _planned(ours: _Ours, wanted: Sequence[Entry], refused: Mapping[str, HabeatError]) -> SyncPlan:
    errors = dict(refused)
    added: list[str] = []
    changed: dict[str, tuple[str, ...]] = {}
    unchanged: list[str] = []
    for entry, stored, now_ms in _pairs(ours.calls, wanted):
        try:
            _check(ours, entry, stored, now_ms)
        except HabeatError as error:
            errors[entry.name] = error
            continue
        if not stored.exists:
            added.append(entry.name)
        elif change(stored, entry, stored.state.cursor_ms) is None:
            unchanged.append(entry.name)
        else:
            changed[entry.name] = _differing(stored, entry)
    listed = {entry.name for entry in wanted}
    removed = tuple(name for name in ours.names() if name not in listed)
    errors |= without_room(ours.calls, added, leaving=len(removed))
    if errors:
        raise BulkError(errors, len(wanted) + len(refused))
    return SyncPlan(ours.tag, tuple(added), changed, removed, tuple(unchanged))


def _pairs(calls: RetryingCalls, wanted: Sequence[Entry]) -> Iterator[tuple[Entry, Stored, int]]:
    """Each entry with what is stored under its name, and Redis' time."""
    for page in pages(wanted, PAGE):
        calls.check("nothing was written")
        snapshot = read(calls, [entry.name for entry in page])
        for entry, stored in zip(page, snapshot.stored, strict=True):
            yield entry, stored, snapshot.now_ms


def _check(ours: _Ours, entry: Entry, stored: Stored, now_ms: int) -> None:
    """EntryExists, NotAllowed, or ScheduleTooExpensive.

    An entry without another slot is not an error: the list may contain a `once` that has fired.
    """
    ours.calls.guard.check_change(stored, None, now_ms)
    ours.check(stored)
    ours.calls.guard.check(entry, now_ms)
    check_affordable(entry, now_ms)


def _differing(stored: Stored, wanted: Entry) -> tuple[str, ...]:
    old = shown(stored)
    if old.condition == "quarantined":
        return ("quarantined",)
    # Compare the stored forms: values that are equal in Python may be stored differently.
    before, after = (json.loads(encode(entry)) for entry in (old, wanted))
    return tuple(
        each.name
        for each in FIELDS
        if json.dumps(before.get(each.stored)) != json.dumps(after.get(each.stored))
    )


def _as_done(plan: SyncPlan, matching: Matching) -> SyncPlan:
    """The plan with what this call wrote."""
    written = {*matching.added, *matching.changed}
    others = [name for name in (*plan.added, *plan.changed) if name not in written]
    return replace(
        plan,
        added=tuple(matching.added),
        changed={name: plan.changed.get(name, ()) for name in matching.changed},
        removed=tuple(matching.removed),
        unchanged=(*plan.unchanged, *others),
        written=True,
    )
