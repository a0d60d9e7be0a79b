"""Whether a history of a Client's calls could have been made one after the other.

The search is Wing and Gong's: of the calls that are still open, take one that began before any of
them ended, apply it to the state, and see whether its answer fits; if none fits, go back. States
that were tried are remembered, so a history of some forty calls takes milliseconds. A call that
ended without an answer may have acted at any later moment, or never.

The state is what the Client promises of entries: for each name a revision and a value, or nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

#: Of each name that is there: its revision and value. Sorted, so that equal states are equal.
State = tuple[tuple[str, int, str], ...]

UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Call:
    """One call: what was wanted, what was answered, and from when to when it took.

    `answer` is ok, exists, conflict, missing or unknown; `rev` and `found` belong to an ok.
    """

    began: float
    ended: float
    act: str
    name: str
    answer: str
    value: str = ""
    expected: int | None = None
    new_name: str = ""
    rev: int = 0
    found: str = ""

    @property
    def until(self) -> float:
        return math.inf if self.answer == UNKNOWN else self.ended


def linearizable(calls: Sequence[Call], state: State = ()) -> bool:
    """Whether there is an order in which each call's answer is right."""
    calls = sorted(calls, key=lambda call: call.began)
    everything = (1 << len(calls)) - 1
    certain = sum(1 << n for n, call in enumerate(calls) if call.answer != UNKNOWN)
    tried: set[tuple[int, State]] = set()
    waiting = [(0, state)]
    while waiting:
        taken, at = waiting.pop()
        if taken & certain == certain:
            return True
        if (taken, at) in tried:
            continue
        tried.add((taken, at))
        left = [n for n in range(len(calls)) if everything & ~taken & 1 << n]
        first_end = min(calls[n].until for n in left)
        for n in left:
            if calls[n].began > first_end:
                break
            waiting += [(taken | 1 << n, after) for after in _acted(calls[n], at)]
    return False


def _acted(call: Call, state: State) -> Iterator[State]:
    """The state after the call, if its answer is right in this one."""
    there = {name: (rev, value) for name, rev, value in state}
    answer, after = _right(call, there)
    if call.answer in (answer, UNKNOWN):
        if call.answer == "ok" and not _fits(call, after):
            return
        yield tuple(sorted((name, *held) for name, held in after.items()))


def _fits(call: Call, after: dict[str, tuple[int, str]]) -> bool:
    """Whether the entry that was returned is the one that is then there."""
    if call.act == "remove":
        return True
    return after.get(call.new_name or call.name) == (call.rev, call.found)


def _right(call: Call, there: dict[str, tuple[int, str]]) -> tuple[str, dict[str, tuple[int, str]]]:
    """The right answer, and what is there afterwards."""
    held = there.get(call.name)
    if call.act == "add":
        if held is not None:
            return "exists", there
        return "ok", there | {call.name: (1, call.value)}
    if held is None:
        return "missing", there
    without = {name: other for name, other in there.items() if name != call.name}
    match call.act:
        case "get":
            return "ok", there
        case "remove":
            return "ok", without
        case "rename":
            if call.new_name in there:
                return "exists", there
            return "ok", without | {call.new_name: (held[0] + 1, held[1])}
        case "update":
            if call.expected not in (None, held[0]):
                return "conflict", there
            if held[1] == call.value:
                return "ok", there  # nothing to change: the revision stays
            return "ok", there | {call.name: (held[0] + 1, call.value)}
    raise AssertionError(call.act)
