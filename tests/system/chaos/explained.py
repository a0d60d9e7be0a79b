"""What `habeat explain` says of slots of a run, beside what the recorder saw of them.

The recorder's history is an account of its own: the commands that the server carried out, and the
messages that came to the broker. From it follows of each slot whether it fired, when, under which
lease epoch, and how late, or why not.
"""

from __future__ import annotations

import json
import random
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from celery import Celery
from celery.bin.base import CLIContext
from click.testing import CliRunner

from habeat.cli import habeat as group
from habeat.schedules.schedule import moment
from tests.system.chaos.arena import BASE, SLACK_US, Arena
from tests.verification.history.case import epoch_of, nonce_of
from tests.verification.history.events import Arrival, Event, Write

DRAWN = 200

Name = tuple[str, int]


@dataclass
class Seen:
    """What the recorder saw of one slot."""

    #: When copies of its message came.
    came_us: list[int] = field(default_factory=list)
    #: The tokens of the leaders that claimed it, or took it over.
    tokens: set[str] = field(default_factory=set)
    outcome: str = ""
    reason: str = ""
    recorded_us: int = 0


def check_explanations(arena: Arena, events: Sequence[Event], draw: random.Random) -> int:
    """Explain slots that are drawn, each by one command; returns how many of them had fired."""
    seen = _seen(events)
    drawn = draw.sample(sorted(seen), min(DRAWN, len(seen)))
    shell = _Shell(arena)
    pids = {path.read_text(): path.stem for path in arena.beats.orders.folder.glob("*.nonce")}
    for name in drawn:
        wrong = differs(shell.explain(*name), seen[name], pids, atomic=arena.atomic)
        assert not wrong, f"{name}: {wrong}; the recorder saw {seen[name]}"
    return sum(bool(seen[name].came_us) for name in drawn)


class _Shell:
    """Runs the command in this process, for the app of the arena."""

    def __init__(self, arena: Arena) -> None:
        assert arena.server is not None
        url = arena.server.url()
        app = Celery("proj", broker=url, set_as_current=False)
        app.conf.update(habeat_redis_url=url, habeat_key_prefix=arena.beats.prefix)
        self._context = CLIContext(app, no_color=True, workdir=None)

    def explain(self, entry: str, slot_ms: int) -> dict[str, Any]:
        at = moment(slot_ms).isoformat()
        argv = ["explain", entry, "--at", at, "--json"]
        done = CliRunner().invoke(group, argv, obj=self._context)
        assert done.exit_code == 0, done.output
        found: dict[str, Any] = json.loads(done.stdout)
        assert _ms(found["slot"]) == slot_ms, found
        return found


def _seen(events: Sequence[Event]) -> dict[Name, Seen]:
    seen: defaultdict[Name, Seen] = defaultdict(Seen)
    for event in events:
        if isinstance(event, Arrival) and event.identity.isdigit():
            seen[event.entry, int(event.identity)].came_us.append(event.at_us)
        elif isinstance(event, Write):
            _take(event, seen)
    # What only came has no outcome: it was still in flight when Redis lost it, or is a request.
    return {name: each for name, each in seen.items() if each.outcome}


def _take(write: Write, seen: defaultdict[Name, Seen]) -> None:
    command, key, *rest = write.words
    if command == b"SET" and key.startswith(BASE + b"fired:"):
        entry, _, slot = key[len(BASE + b"fired:") :].decode().rpartition(":")
        if slot.isdigit():
            seen[entry, int(slot)].tokens.add(rest[0].decode().partition("|")[0])
    elif command == b"HSET" and key == BASE + b"inflight":
        entry, _, slot = rest[0].decode().rpartition("@")
        if slot.isdigit():
            seen[entry, int(slot)].tokens.add(rest[1].split(b"\n")[0].decode())
    elif command == b"XADD" and key == BASE + b"ledger":
        words = dict(zip(rest[1::2], rest[2::2], strict=True))
        if words[b"outcome"] != b"note" and b"request" not in words:
            _record({key.decode(): value.decode() for key, value in words.items()}, write, seen)


def _record(words: dict[str, str], write: Write, seen: defaultdict[Name, Seen]) -> None:
    """The first and the last slot of a run; those between follow from the schedule."""
    for slot in {int(words["slot"]), int(words["until"])}:
        each = seen[words["entry"], slot]
        each.outcome, each.reason = words["outcome"], words["reason"]
        each.recorded_us = write.at_us


def differs(found: dict[str, Any], seen: Seen, pids: Mapping[str, str], *, atomic: bool) -> str:
    """What is wrong with an explanation, "" if it agrees; `pids` are of the beats, by nonce."""
    if found["outcome"] != seen.outcome or found["reason"] != seen.reason:
        return f"it is said to be {found['outcome']} ({found['reason']})"
    if bool(seen.came_us) != (found["outcome"] in ("sent", "late")):
        return f"{found['outcome']}, and {len(seen.came_us)} messages came"
    if not seen.came_us:
        return "" if found["sentence"].startswith("not fired: ") else found["sentence"]
    fired_us = _ms(found["fired_at"]) * 1_000
    early_us, late_us = min(seen.came_us) - SLACK_US, seen.recorded_us + SLACK_US
    if not early_us <= fired_us <= (max(seen.came_us) + SLACK_US if atomic else late_us):
        return f"it is said to have fired at {fired_us}"
    if found["lateness_ms"] != _ms(found["fired_at"]) - _ms(found["effective"]):
        return f"it is said to have been {found['lateness_ms']} ms late"
    by = {epoch_of(token): pids.get(nonce_of(token), "?") for token in seen.tokens}
    if found["leader"].rpartition(" pid ")[2] != by.get(found["lease_epoch"]):
        return f"it is said to be sent by {found['leader']}, lease epoch {found['lease_epoch']}"
    return "" if found["sentence"].startswith("fired at ") else found["sentence"]


def _ms(at: str) -> int:
    return round(datetime.fromisoformat(at).timestamp() * 1_000)
