"""The shipped Client, engine, store and Lua on one clock that the test sets.

The server is the simulator's model of Redis; the Client is given connections to it in place of
its own. One leader, whose lease does not end: elections have suites of their own.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from typing import Any
from unittest.mock import patch

from habeat.beat.housekeeping import Replica
from habeat.client import Client
from habeat.core.entry import Entry, Policies
from habeat.core.firing import Firing
from habeat.engine import Engine, EngineSettings
from habeat.engine.election import Election, Pace
from habeat.engine.fenced import Lead
from habeat.engine.trouble_log import TroubleLog
from habeat.entries import changes, codec
from habeat.ports import Answered, Parcel, Rendered
from habeat.schedules import every
from habeat.store.calling import Caller
from habeat.store.dispatch import RedisDispatchStore
from habeat.store.entries import EntryStore
from habeat.store.keys import Keys
from habeat.store.leases import RedisElectionStore
from habeat.testing.asking import ImmediateAsker
from tests.verification.stateful.drawing import HOME
from tests.verification.stateful.model import DEDUP_MS, IDS_KEPT_MS
from tests.verification.stateful.reach import Clock, Connections, Store, pairs
from tests.verification.stateful.rows import Message

PREFIX = "stateful"
QUEUE = "queue"
FOR_EVER_MS = 10**13
TICKS_AT_MOST = 60


class DefinitionSource:
    """`planning.DefinitionSource` with nothing in code."""

    decode = staticmethod(codec.decode)
    decode_request = staticmethod(codec.decode_request)
    encode_request = staticmethod(codec.encode_request)

    def resolve(self, entry: Entry) -> Entry:
        return entry


class Line:
    """`ports.Line`: waiting takes no time, as another process wakes us at once."""

    def open(self) -> bool:
        return False

    def wait(self, timeout_ms: float) -> frozenset[str]:
        return frozenset({"changed"})

    def resubscribe(self) -> None:
        """The line is fine."""


class Publisher:
    """`ports.Publisher`: messages that say which firing they are, atomic or to a list."""

    def __init__(self, *, atomic: bool) -> None:
        self.atomic = atomic
        self.sent: list[bytes] = []

    def prepare(self, timeout_ms: int) -> None:
        """The dispatch is given."""

    def connect(self, timeout_ms: int) -> None:
        """The broker is there."""

    def refused_push(self, commands: Sequence[Sequence[Any]], why: str) -> bool:
        raise AssertionError(why)

    def render(self, entry: Entry, firing: Firing, cluster: str, epoch: int) -> Rendered:
        fields = {
            "firing": [entry.name, firing.slot_ms, firing.request],
            "arguments": [list(entry.args), dict(entry.kwargs)],
            "id": firing.task_id(cluster),
        }
        message = json.dumps(fields).encode()
        if self.atomic:
            return Rendered(commands=[("LPUSH", QUEUE, message)])
        return Rendered(envelope=message)

    def may_foresee(self) -> bool:
        return True

    def foresee(self, entry: Entry, firing: Firing, cluster: str, epoch: int) -> Rendered | None:
        """Some messages can be made before they are due, as from a template."""
        ahead = len(entry.name) % 2 == 0
        return self.render(entry, firing, cluster, epoch) if ahead else None

    @property
    def packets(self) -> int:
        return 1

    def publish(self, parcels: Sequence[Parcel], timeout_ms: int) -> Taken:
        self.sent += [parcel.envelope for parcel in parcels]
        return Taken(len(parcels))


class Taken:
    """`ports.Handed`: the broker has them all."""

    code_us: int | None = None

    def __init__(self, count: int) -> None:
        self._count = count

    def answers(self, timeout_ms: int) -> Sequence[Answered]:
        return [None] * self._count


class Chores:
    """`engine.Housekeeping`: the shipped end of a pause, and nothing else."""

    def __init__(self, entries: EntryStore) -> None:
        self._replica = object.__new__(Replica)
        self._replica._entry_store = entries
        self._replica._unended = TroubleLog()

    def each_tick(self, lead: Lead | None) -> int | None:
        return None

    def mend(self, lead: Lead | None) -> None:
        """No other process writes to these keys."""

    def resume(self, lead: Lead, names: Sequence[str]) -> None:
        self._replica.resume(lead, names)


class World:
    """Everything that is under test, at one instant."""

    def __init__(self, now_ms: int, *, atomic: bool) -> None:
        self.clock = Clock(now_ms)
        self.server = Store(self.clock)
        self.keys = Keys(PREFIX)
        self.publisher = Publisher(atomic=atomic)
        self.trouble = _Trouble()
        self._patched = patch("habeat.client.attempts.Connections", lambda *a, **k: self._reach())
        self._patched.start()
        self.client = Client("redis://model", prefix=PREFIX, timezone=HOME, sleep=lambda s: None)
        caller = Caller(self._reach(), self.keys)
        self.entries = EntryStore(caller)
        self._engine = self._new_engine(caller)

    def _reach(self) -> Connections:
        return Connections(self.server)

    def _new_engine(self, caller: Caller) -> Engine:
        leases = RedisElectionStore(caller, self.clock, PREFIX, lambda: "cluster")
        return Engine(
            election=Election(leases, self.clock, Pace(FOR_EVER_MS, 250), "leader"),
            store=RedisDispatchStore(
                caller, dedup_ttl_ms=DEDUP_MS, ledger_age_ms=IDS_KEPT_MS, ledger_length=10**6
            ),
            wake_channel=Line(),
            clock=self.clock,
            publisher=self.publisher,
            definitions=DefinitionSource(),
            asker=ImmediateAsker(),
            housekeeping=Chores(self.entries),
            settings=EngineSettings(FOR_EVER_MS, FOR_EVER_MS // 3, 500, Policies()),
        )

    def close(self) -> None:
        self.client.close()
        self._patched.stop()
        self.trouble.close()

    def run_leader(self) -> None:
        """Ticks at this instant until nothing is due and nothing changes any more."""
        for tick in range(TICKS_AT_MOST):
            before = len(self.server.ledger)
            self._engine.tick()
            assert not self.trouble.lines, self.trouble.lines
            overdue = self.server.call(
                "ZRANGEBYSCORE", self.keys.due, "-inf", str(self.clock.now_ms)
            )
            if tick >= 3 and not overdue and len(self.server.ledger) == before:
                return
        raise AssertionError(f"the leader does not come to rest: {overdue}")

    def declare(self, name: str) -> Entry:
        """An entry of beat_schedule, as a leader seeds it."""
        stored = self.entries.read([name]).stored[0]
        entry = Entry(name, "task", every(600, offset=0), owner="config")
        edit = changes.addition(stored, entry, self.clock.now_ms)
        assert self.entries.write([edit.write]) is None
        return edit.entry

    def spoil(self, name: str, how: str) -> None:
        """Write rubbish in the place of a definition."""
        data = json.loads(self.server.call("HGET", self.keys.entries, name))
        if how == "kind":
            data["schedule"] = {"kind": "lunar"}
        if how == "version":
            data["v"] = 99
        text = "no JSON at all" if how == "garbage" else json.dumps(data)
        self.server.call("HSET", self.keys.entries, name, text)

    def definition(self, name: str) -> bytes:
        return bytes(self.server.call("HGET", self.keys.entries, name))

    def mend(self, name: str, definition: bytes) -> None:
        """Put a definition back, by hand."""
        self.server.call("HSET", self.keys.entries, name, definition)

    def counters(self) -> tuple[int, int, int]:
        """claimed, settled, and what is in flight."""
        meta = pairs(self.server.call("HGETALL", self.keys.meta))
        claimed, settled = (int(meta.get(name, 0)) for name in (b"claimed", b"settled"))
        return claimed, settled, self.server.call("HLEN", self.keys.inflight)

    def arrived(self) -> list[tuple[Message, str]]:
        """The messages since the last call, each with its task id."""
        raw = [*reversed(self.server.call("LRANGE", QUEUE, 0, -1)), *self.publisher.sent]
        self.server.call("DEL", QUEUE)
        self.publisher.sent.clear()
        return [(_message(fields := json.loads(each)), fields["id"]) for each in raw]


def _message(fields: dict[str, Any]) -> Message:
    name, slot_ms, request = fields["firing"]
    args, kwargs = fields["arguments"]
    return Message(name, slot_ms, request, tuple(args), tuple(sorted(kwargs.items())))


class _Trouble(logging.Handler):
    """Keeps what the engine says of bugs of its own, and keeps all else quiet."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.lines: list[str] = []
        self._log = logging.getLogger("habeat")
        self._passed_on = self._log.propagate
        self._log.addHandler(self)
        self._log.propagate = False

    def emit(self, record: logging.LogRecord) -> None:
        line = record.getMessage()
        if "a tick failed" in line or "its schedule fails" in line or "Redis" in line:
            self.lines.append(line)

    def close(self) -> None:
        self._log.removeHandler(self)
        self._log.propagate = self._passed_on
        super().close()
