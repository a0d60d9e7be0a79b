"""What a watcher of `start_by` reads: entries that are overdue, their promises, earlier alarms.

Only entries that are overdue, or have a record of the ledger that says so, are read. A definition
is decoded only if it contains the word. Each call is bounded.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from habeat.store.calling import Caller, optional_ms, text
from habeat.store.inspection import Inspection, Record
from habeat.store.pipelining import wire
from habeat.store.replies import counts

#: How many alarms are remembered, one for each entry.
ALARMED_MAX = 10_000
_TRIMMED = 100
#: The counter in :meta.
BROKEN = "start_by_broken"
_WORD = b'"start_by_ms"'


@dataclass(frozen=True, slots=True)
class Unsent:
    """A slot that has been due since `due_ms`, its effective time, and is not sent yet."""

    entry: str
    slot_ms: int
    due_ms: int


class PromiseStore:
    """Reads what is late, and remembers the slots that raised an alarm. Raises StoreUnavailable."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller
        self._inspection = Inspection(caller)

    def now_ms(self) -> int:
        """Redis' time."""
        return self._inspection.now_ms()

    def records(self, after: str, count: int) -> Sequence[Record]:
        """Up to `count` records of the ledger after the one with this id, oldest first."""
        return self._inspection.page_after(after, count)

    def outcomes(self) -> Mapping[str, int]:
        """The number of slots by outcome, without those that were sent in time."""
        key = self._caller.keys.outcomes
        found: Any = self._caller.do(lambda client: client.hgetall(key))
        return counts(found)

    def overdue(self, before_ms: int, offset: int, count: int) -> tuple[Sequence[Unsent], bool]:
        """Slots that have been due since before then, the oldest first, and whether there are more.

        Slots in flight are not among them.
        Where the slot of a due entry is not stored, there is none to name: its position is lost, or
        only the code of its schedule knows the slot.
        """
        keys = self._caller.keys

        def due(client: Any) -> list[tuple[bytes, float]]:
            page = {"start": offset, "num": count}
            return list(client.zrangebyscore(keys.due, "-inf", before_ms, **page, withscores=True))

        def read(client: Any) -> tuple[list[tuple[tuple[bytes, float], bytes | None]], bool]:
            found = due(client)
            if not found:
                return [], False
            states = client.hmget(keys.state, [name for name, _ in found])
            # What was sent in between has its next slot now, which is not the one that was due.
            still = set(due(client))
            pairs = zip(found, states, strict=True)
            kept = [(each, state) for each, state in pairs if each in still]
            return kept, len(found) == count

        found, more = self._caller.do(read)
        unsent = []
        for (name, score), state in found:
            slot_ms, due_ms = _next_slot(state), optional_ms(str(score))
            if slot_ms is not None and due_ms is not None:
                unsent.append(Unsent(text(name), slot_ms, due_ms))
        return unsent, more

    def in_flight(self, before_ms: int, count: int) -> Sequence[Unsent]:
        """Some slots in flight that have been due since before then."""
        keys = self._caller.keys

        def read(client: Any) -> tuple[Sequence[bytes], Sequence[bytes | None]]:
            found = client.zrange(keys.inflight_due, 0, count - 1)
            return found, client.hmget(keys.inflight, found) if found else []

        unsent = (_intent(*pair) for pair in zip(*self._caller.do(read), strict=True))
        return [each for each in unsent if each is not None and each.due_ms <= before_ms]

    def start_by_ms(self, names: Sequence[str]) -> dict[str, int]:
        """The promises of those of these entries that have one."""
        if not names:
            return {}
        key, fields = self._caller.keys.entries, [wire(name) for name in names]
        stored: Any = self._caller.do(lambda client: client.hmget(key, fields))
        found = {name: _start_by_ms(raw) for name, raw in zip(names, stored, strict=True) if raw}
        return {name: span_ms for name, span_ms in found.items() if span_ms}

    def alarm(self, entry: str, slot_ms: int, count: int) -> bool:
        """Remember the alarm; False if this slot, or a later one, has raised one already."""
        keys, member = self._caller.keys, wire(entry)

        def write(client: Any) -> bool:
            is_new = bool(client.zadd(keys.alarmed, {member: slot_ms}, gt=True, ch=True))
            if is_new:
                client.hincrby(keys.meta, BROKEN, count)
                if client.zcard(keys.alarmed) > ALARMED_MAX:
                    client.zrem(keys.alarmed, *client.zrange(keys.alarmed, 0, _TRIMMED - 1))
            return is_new

        return self._caller.do(write)


def _next_slot(state: bytes | None) -> int | None:
    parts = (state or b"").split(b"|")
    return optional_ms(parts[1]) if len(parts) == 5 else None


def _intent(field: bytes, raw: bytes | None) -> Unsent | None:
    """The slot of an intent; None if it is damaged, gone, or of a firing by hand."""
    name, _, identity = text(field).rpartition("@")
    parts = (raw or b"").split(b"\n", 3)
    slot_ms, due_ms = optional_ms(identity), optional_ms(parts[2]) if len(parts) > 3 else None
    return None if slot_ms is None or due_ms is None else Unsent(name, slot_ms, due_ms)


def _start_by_ms(raw: bytes) -> int | None:
    if _WORD not in raw:
        return None
    try:
        found = json.loads(raw).get("start_by_ms")
    except Exception:  # an unreadable definition: its entry is quarantined, and has an alarm
        return None
    return found if type(found) is int and found > 0 else None
