"""One entry in the model, and one record that the ledger is expected to get."""

from __future__ import annotations

import copy
import hashlib
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from tests.verification.stateful.slots import Rule

#: What an entry has when nothing is said, by the names of `Client.add`; spans in milliseconds.
PLAIN: dict[str, Any] = {
    "args": (),
    "kwargs": {},
    "options": {},
    "enabled": True,
    "tags": (),
    "description": "",
    "start": None,
    "end": None,
    "max_runs": None,
    "jitter": 0,
    "spread": 0,
    "deadline": None,
    "misfire": None,
    "misfire_grace": None,
    "misfire_limit": None,
    "misfire_window": None,
    "misfire_pace": None,
    "delivery": None,
}


class Record(NamedTuple):
    """What becomes of one slot, as the ledger is to say it."""

    entry: str
    slot_ms: int
    outcome: str
    reason: str


class Message(NamedTuple):
    """A message in the broker: which firing, and the arguments of the task."""

    entry: str
    slot_ms: int
    request: str
    args: tuple[Any, ...]
    kwargs: tuple[tuple[str, Any], ...]


@dataclass
class Row:
    """An entry: definition, rhythm, and what keeps it from firing.

    `broken` is "" or says how its definition was spoilt: "garbage" (no JSON), "kind" (an unknown
    schedule) or "version" (of a later release). `set_aside`: a leader has quarantined it.
    """

    name: str
    task: str
    rule: Rule
    fields: dict[str, Any]
    created_ms: int
    cursor_ms: int
    owner: str = "api"
    rev: int = 1
    next_ms: int | None = None
    due_ms: int | None = None
    fired: int = 0
    last_fired_ms: int | None = None
    paused: str | None = None
    until_ms: int | None = None
    broken: str = ""
    set_aside: bool = False
    #: Tells two entries apart that had the same name one after the other.
    uid: int = 0

    def copy(self) -> Row:
        return copy.copy(self)

    def __getattr__(self, name: str) -> Any:
        fields = self.__dict__.get("fields", {})
        if name in fields:
            return fields[name]
        raise AttributeError(name)

    @property
    def condition(self) -> str:
        if self.broken or self.set_aside:
            return "quarantined"
        if self.paused is not None:
            return "paused"
        if not self.enabled:
            return "disabled"
        return "exhausted" if self.due_ms is None else "active"

    @property
    def spent(self) -> bool:
        return not self.broken and self.max_runs is not None and self.fired >= self.max_runs

    def slots(self, after_ms: int, until_ms: int) -> list[int]:
        """Its slots in (after, until], between its start and its end."""
        if self.start is not None:
            after_ms = max(after_ms, self.start - 1)
        if self.end is not None:
            until_ms = min(until_ms, self.end)
        return self.rule.between(after_ms, until_ms)

    def next_after(self, after_ms: int) -> int | None:
        if self.start is not None:
            after_ms = max(after_ms, self.start - 1)
        slot = self.rule.after(after_ms)
        return None if slot is None or (self.end is not None and slot > self.end) else slot

    def effective(self, slot_ms: int) -> int:
        """The slot with its spread and jitter, which end before the next slot."""
        if not self.spread and not self.jitter:
            return slot_ms
        following = self.rule.after(slot_ms)
        room = 10**15 if following is None else following - slot_ms - 1
        spread = hashed(f"spread\0{self.name}", min(self.spread, room))
        jitter = hashed(f"jitter\0{self.name}\0{slot_ms}", min(self.jitter, room - spread))
        return slot_ms + spread + jitter

    def stand(self, after_ms: int) -> None:
        """The cursor at an instant (never back), and what comes next after it."""
        self.cursor_ms = max(after_ms, self.cursor_ms)
        self.next_ms = None if self.spent else self.next_after(self.cursor_ms)
        free = self.enabled and self.paused is None and not self.set_aside
        self.due_ms = self.effective(self.next_ms) if free and self.next_ms is not None else None


@dataclass
class Order:
    """A trigger or a backfill that waits for the leader."""

    kind: str
    entry: str
    at_ms: int
    args: tuple[Any, ...] | None = None
    kwargs: dict[str, Any] | None = None
    cursor_ms: int = 0
    end_ms: int = 0
    pace: float = 10.0
    not_before_ms: int = 0


@dataclass
class Expected:
    """What one step is to add to the ledger and to the queue."""

    records: list[Record] = field(default_factory=list)
    messages: list[Message] = field(default_factory=list)


def hashed(subject: str, at_most_ms: int) -> int:
    """The documented hash: the first eight bytes of SHA-256, modulo."""
    if at_most_ms <= 0:
        return 0
    digest = hashlib.sha256(subject.encode()).digest()
    return int.from_bytes(digest[:8], "big") % (at_most_ms + 1)


def own_offset(name: str, every_ms: int) -> int:
    """The offset of an entry from a minute up: hashed from its name, in whole seconds."""
    offset = int.from_bytes(hashlib.sha256(name.encode()).digest(), "big") % every_ms
    return offset - offset % 1000
