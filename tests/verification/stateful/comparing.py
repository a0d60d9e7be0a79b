"""Compares what is found with the model: entries field by field, the ledger slot by slot."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from typing import Any

from habeat.core.entry import Entry
from tests.verification.stateful.rows import Message, Record, Row

Fields = dict[bytes, bytes]


def assert_same_entry(found: Entry, row: Row) -> None:
    """Definition, revision and state; of what cannot be read, as much as is promised."""
    given, wanted = _found_in(found), _wanted_of(row)
    if row.broken:
        few = ("name", "condition", "owner", "cursor_ms", "fired", "paused", "until_ms")
        given, wanted = {k: given[k] for k in few}, {k: wanted[k] for k in few}
    differing = {key: (given[key], wanted[key]) for key in wanted if given[key] != wanted[key]}
    assert not differing, f"entry {row.name!r}: (found, expected) of {differing}"


def _found_in(entry: Entry) -> dict[str, Any]:
    state = entry.state
    return {
        "name": entry.name,
        "task": entry.task,
        "owner": entry.owner,
        "rev": entry.rev,
        "created_ms": entry.created_ms,
        "condition": entry.condition,
        "cursor_ms": state.cursor_ms,
        "next_ms": state.next_slot_ms,
        "due_ms": state.due_ms,
        "fired": state.fired,
        "last_fired_ms": state.last_fired_ms,
        "paused": state.paused,
        "until_ms": state.paused_until_ms,
        **{name: getattr(entry, name) for name in ("args", "enabled", "tags", "description")},
        **{name: dict(getattr(entry, name)) for name in ("kwargs", "options")},
        **{name: getattr(entry, f"{name}_ms") for name in ("start", "end", "jitter", "spread")},
        **{f"{name}": getattr(entry, f"{name}_ms") for name in ("deadline", "misfire_grace")},
        "misfire_window": entry.misfire_window_ms,
        **{n: getattr(entry, n) for n in ("max_runs", "misfire_limit", "misfire_pace")},
        "misfire": entry.misfire and str(entry.misfire),
        "delivery": entry.delivery and str(entry.delivery),
    }


def _wanted_of(row: Row) -> dict[str, Any]:
    names = ("name", "task", "owner", "rev", "created_ms", "condition", "cursor_ms", "next_ms")
    names += ("due_ms", "fired", "last_fired_ms", "paused", "until_ms")
    return {**{name: getattr(row, name) for name in names}, **row.fields}


def assert_same_ledger(found: list[Fields], expected: list[Record]) -> list[Record]:
    """Each expected slot in exactly one record found, and nothing else; the slots, one by one.

    A run is one record: it is taken apart into the slots that the model has between its bounds,
    and its count and its bounds have to be those.
    """
    waiting: dict[tuple[str, str, str], list[int]] = defaultdict(list)
    for wanted in expected:
        waiting[wanted.entry, wanted.outcome, wanted.reason].append(wanted.slot_ms)
    for slots in waiting.values():
        slots.sort()
    taken: list[Record] = []
    for raw in found:
        words = {key.decode(): value.decode() for key, value in raw.items()}
        reason = words["reason"]
        reason = "request: " if words["outcome"] == "failed" else reason
        key = (words["entry"], words["outcome"], reason)
        first, last, count = int(words["slot"]), int(words["until"]), int(words["count"])
        slots = waiting.get(key, [])
        low, high = bisect_left(slots, first), bisect_right(slots, last)
        high = min(high, low + 1) if first == last else high
        here = slots[low:high]
        assert here, f"not expected in the ledger: {words}\nexpected: {_short(expected)}"
        assert (len(here), here[0], here[-1]) == (count, first, last), (
            f"the run {words} stands for {len(here)} slots from {here[0]} to {here[-1]}"
        )
        taken += [Record(key[0], slot, key[1], reason) for slot in here]
        del slots[low:high]
    missing = {key: slots for key, slots in waiting.items() if slots}
    assert not missing, f"in no record of the ledger: {missing}"
    return taken


def _short(expected: list[Record]) -> list[Record]:
    return expected[:20]


def assert_same_messages(found: list[tuple[Message, str]], expected: list[Message]) -> None:
    """Each expected message once, and no other."""
    given, wanted = Counter(message for message, _ in found), Counter(expected)
    assert given == wanted, f"too many: {given - wanted}, missing: {wanted - given}"
