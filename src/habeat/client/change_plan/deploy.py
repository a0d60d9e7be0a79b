"""What a deploy of this code does to the entries in Redis: `plan` without ``--since``.

The verdict about each entry is the leader's own (entries/declaring.py), from what is stored now. A
plan describes the end of a deploy: beats with this code lead, and beats with other code have
stopped for more than a minute. Until then, nothing is pruned.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from habeat.client.calls import RetryingCalls
from habeat.client.change_records import FieldChange, field_changes
from habeat.core.entry import Entry, instant
from habeat.core.holds import EntryHolds
from habeat.entries.codec import is_declared_as
from habeat.entries.declaring import Decision, Verdict, declared_decision, pruning
from habeat.ports.entries import Removal, Stored, Write
from habeat.schedules.schedule import moment
from habeat.store.pages import ORPHANS, PAGE, pages

DIGEST_CHARS = 16
#: A deploy has a higher generation than any before it.
NEXT = 2**53

#: Verdicts that change an entry.
CHANGES = (Verdict.ADD, Verdict.TAKE_OVER, Verdict.CHANGE, Verdict.PRUNE)


@dataclass(frozen=True, slots=True)
class PlannedEntry:
    """What becomes of one entry.

    `what` is "add", "take over" (a state of this name was left behind), "change", "prune", or, for
    an entry that is left as it is, "same", "clash", "unreadable", "newer", "fails" or "broken".
    `why` explains the latter. `fields` are what differs, as in the change log. `skipped` is how
    many due slots do not fire because of the change. `paused` is the reason of a pause, which
    stays. `held` says why the next slot will not fire, although it is due: a calendar, a hold, or a
    pause of the whole schedule.
    """

    name: str
    what: str
    why: str = ""
    fields: Mapping[str, FieldChange] = field(default_factory=dict)
    next_slot: datetime | None = None
    skipped: int = 0
    paused: str | None = None
    held: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DeployPlan:
    """What a deploy does to the stored entries, by Redis' time `at`.

    `entries` has those that are added, changed, pruned or cannot be, and paused ones that stay as
    they are. `same` counts the entries that stay as they are, paused or not. `digest` identifies
    what changes.
    """

    at: datetime
    entries: tuple[PlannedEntry, ...]
    same: int
    digest: str

    @property
    def changed(self) -> bool:
        """Whether the deploy changes anything."""
        return any(each.what in CHANGES for each in self.entries)

    def count(self, *what: str) -> int:
        """How many entries have one of these verdicts."""
        return sum(each.what in what for each in self.entries)


def deploy_planned(
    calls: RetryingCalls, declared: Mapping[str, Entry], broken: Mapping[str, str]
) -> DeployPlan:
    """The plan of a deploy of code that declares these entries. RedisUnavailable, CallTimeout.

    `broken` has the entries of the code that beat does not schedule, and why.
    """
    planning = _Planning(calls.bounded(), declared, broken)
    found = sorted(planning.entries(), key=lambda each: each.name)
    at_ms = calls.read(lambda session: session.inspection.now_ms())
    shown = tuple(each for each in found if each.what != Verdict.SAME or each.paused is not None)
    same = sum(each.what == Verdict.SAME for each in found)
    return DeployPlan(moment(at_ms), shown, same, _digest(shown))


class _Planning:
    def __init__(
        self, calls: RetryingCalls, declared: Mapping[str, Entry], broken: Mapping[str, str]
    ) -> None:
        self._calls = calls
        self._declared = declared
        self._broken = broken
        self._holds = calls.read(lambda session: session.inspection.controls()).holds

    def entries(self) -> Iterator[PlannedEntry]:
        """What becomes of each entry of the code, and of those stored from other code."""
        for page in pages(sorted(self._declared), PAGE):
            self._calls.check()
            yield from self._of_declared(page)
        pruned: set[str] = set()
        for page in self._undeclared():
            for each in self._of_undeclared(page):
                pruned.add(each.name)
                yield each
        for name, why in self._broken.items():
            if name not in pruned:
                yield PlannedEntry(name, "broken", why)

    def _of_declared(self, names: Sequence[str]) -> Iterator[PlannedEntry]:
        snapshot = self._calls.read(lambda session: session.entries.read(names))
        for stored in snapshot.stored:
            declared = self._declared[stored.name]
            decision = _decided(stored, declared, snapshot.now_ms)
            yield _planned(stored, decision, self._holds.of(declared))

    def _undeclared(self) -> Iterator[Sequence[str]]:
        """The stored entries of beat_schedule that this code does not declare."""
        cursor, names = -1, set[str]()
        while cursor:
            self._calls.check()
            at = max(0, cursor)
            cursor, page = self._calls.read(
                lambda session: session.entries.owned_page(at, ORPHANS)  # noqa: B023
            )
            names.update(name for name in page if name not in self._declared)
        return pages(sorted(names), PAGE)

    def _of_undeclared(self, names: Sequence[str]) -> Iterator[PlannedEntry]:
        snapshot = self._calls.read(lambda session: session.entries.read(names))
        for stored in snapshot.stored:
            removal = pruning(stored, snapshot.now_ms)
            if removal is not None:
                why = self._broken.get(stored.name, "")
                yield _pruned(stored, removal, why and f"this code's definition is not used: {why}")
            elif stored.exists and stored.entry is None:
                yield PlannedEntry(stored.name, Verdict.UNREADABLE, stored.unreadable)


def _decided(stored: Stored, declared: Entry, now_ms: int) -> Decision:
    if is_declared_as(stored.raw, declared.fingerprint):
        return Decision(Verdict.SAME)
    return declared_decision(stored, declared, now_ms, NEXT)


def _planned(stored: Stored, decision: Decision, holds: EntryHolds) -> PlannedEntry:
    write = decision.write
    entry = PlannedEntry(
        stored.name,
        decision.verdict,
        _why(stored, decision),
        paused=stored.state.paused,
    )
    if write is None:
        return entry
    slot_ms, due_ms = _next_slot(write, stored)
    held = () if slot_ms is None else holds.reasons_at(slot_ms, due_ms or slot_ms)
    return replace(
        entry,
        fields=field_changes(write.differing),
        next_slot=instant(slot_ms),
        skipped=_skipped(write),
        held=held,
    )


def _why(stored: Stored, decision: Decision) -> str:
    match decision.verdict:
        case Verdict.CLASH:
            return "the API has an entry of this name: rename or remove one of them"
        case Verdict.UNREADABLE:
            return f"its stored definition cannot be read: {stored.unreadable}"
        case Verdict.NEWER:
            return "a newer deploy has written another definition"
        case Verdict.FAILS:
            return f"its schedule fails: {decision.error!r}"
        case Verdict.TAKE_OVER:
            return "it continues from the state that is left of an entry of this name"
    return ""


def _next_slot(write: Write, stored: Stored) -> tuple[int | None, int | None]:
    """The first slot after the change, as of now, and when it is due.

    None if it has none or only code knows it.
    """
    position = write.position
    if position is None:
        return stored.state.next_slot_ms, stored.state.due_ms
    return (position.next_slot_ms, position.due_ms) if position.due_ms is not None else (None, None)


def _skipped(change: Write | Removal) -> int:
    return 0 if change.lost is None else change.lost.count


def _pruned(stored: Stored, removal: Removal, why: str) -> PlannedEntry:
    return PlannedEntry(
        stored.name,
        Verdict.PRUNE,
        why,
        fields=field_changes(removal.differing),
        skipped=_skipped(removal),
        paused=stored.state.paused,
    )


def _digest(entries: Sequence[PlannedEntry]) -> str:
    """Identifies what changes: the entries, the verdicts and the fields, but not the slots."""
    news: list[Any] = [
        [each.name, each.what, sorted((name, repr(change)) for name, change in each.fields.items())]
        for each in entries
        if each.what != Verdict.SAME
    ]
    return hashlib.sha256(json.dumps(news).encode()).hexdigest()[:DIGEST_CHARS]
