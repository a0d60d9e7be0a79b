"""What workers ran, before and after a cut, and the checker of its slots.

A worker notes each run: the entry's name, which is the task's argument, the wall clock, and the
slot if habeat sent it. The other beat's last runs and counts are read from what it keeps. From them
follows which slots are habeat's: those after the last run, each exactly once.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import redis

KEY = "runs"
#: Statements of the app's module: a task that notes its runs.
TASK = "proj.noted"
NOTING = """
import json, time
import redis

noted_in = redis.Redis.from_url({url!r})

@app.task(bind=True, name="proj.noted")
def noted(self, name):
    run = [name, time.time(), self.request.get("habeat_slot")]
    noted_in.rpush("runs", json.dumps(run))
"""

Next = Callable[[int], int | None]


@dataclass
class Runs:
    """The runs of one entry: when those of the other beat were, and the slots of habeat's."""

    theirs_ms: list[int] = field(default_factory=list)
    slots_ms: list[int] = field(default_factory=list)


@dataclass(frozen=True)
class Left:
    """What the other beat left behind for one entry, and which slots follow a time."""

    last_run_ms: int | None
    count: int
    following: Next


def noted(client: redis.Redis) -> dict[str, Runs]:
    """The runs so far, by entry."""
    found: dict[str, Runs] = defaultdict(Runs)
    raw: Any = client.lrange(KEY, 0, -1)
    for name, at_s, slot in map(json.loads, raw):
        if slot is None:
            found[name].theirs_ms.append(round(at_s * 1_000))
        else:
            at = datetime.fromisoformat(slot)
            found[name].slots_ms.append(round(at.timestamp() * 1_000))
    return found


def problems(runs: Mapping[str, Runs], left: Mapping[str, Left], until_ms: int) -> Iterable[str]:
    """What is wrong across the switch; slots up to `until_ms` must have been sent by habeat."""
    yield from _miscounted(runs, left)
    for name in sorted(left):
        yield from _across(name, runs.get(name, Runs()), left[name], until_ms)


def _miscounted(runs: Mapping[str, Runs], left: Mapping[str, Left]) -> Iterable[str]:
    """Runs that the other beat counts and did not send, or the other way round.

    It counts a run before it sends the message. A SIGTERM in between loses that one run, and
    nothing shows it.
    """
    wrong = []
    for name, kept in sorted(left.items()):
        ran = len(runs.get(name, Runs()).theirs_ms)
        if ran != kept.count:
            wrong.append((kept.count - ran, name, ran))
    if [lacking for lacking, _, _ in wrong] != [1]:
        for lacking, name, ran in wrong:
            yield f"{name}: the other beat counts {ran + lacking} runs, and {ran} were noted"


def _across(name: str, found: Runs, left: Left, until_ms: int) -> Iterable[str]:
    doubled = [slot for slot, count in Counter(found.slots_ms).items() if count > 1]
    if doubled:
        yield f"{name}: slots sent twice by habeat: {doubled[:5]}"
    expected = _expected(left, until_ms)
    slots = sorted(set(found.slots_ms))
    missed = [slot for slot in expected if slot not in slots]
    if missed:
        yield f"{name}: missed {missed[:5]} after the last run at {left.last_run_ms}"
    foreign = [slot for slot in slots if slot not in expected and slot <= until_ms]
    if foreign:
        yield f"{name}: sent {foreign[:5]}, which are no slots after {left.last_run_ms}"


def _expected(left: Left, until_ms: int) -> Sequence[int]:
    if left.last_run_ms is None:
        return []
    slots: list[int] = []
    slot = left.following(left.last_run_ms)
    while slot is not None and slot <= until_ms:
        slots.append(slot)
        slot = left.following(slot)
    return slots
