"""From what happens in a run to the history that the checker judges (tests/verification/history).

The model server tells of each write that matters, in its order; the broker of each message; who
makes trouble, of that. Nothing is interpreted here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.verification.history.events import Arrival, Event, Fault, Kind, Lost, ScriptEnd, Write
from tests.verification.simulation.broker import BAD_QUEUE, QUEUE
from tests.verification.simulation.model import Words
from tests.verification.simulation.world import Host

if TYPE_CHECKING:
    from tests.verification.simulation.run import Simulation

_QUEUES = (QUEUE.encode(), BAD_QUEUE.encode())
#: The hashes whose fields make up the state of the schedule.
HASHES = (
    "entries",
    "state",
    "inflight",
    "dead",
    "untrusted",
    "paused",
    "quarantine",
    "circuits",
    "controls",
)
COUNTERS = ("claimed", "settled", "abandoned")


class Recorder:
    """The history of one run."""

    def __init__(self, sim: Simulation) -> None:
        self._sim = sim
        self._world = sim.world
        self._server = sim.server
        self.events: list[Event] = []
        self._append = self.events.append
        #: How many messages of each firing arrived.
        self.arrived: dict[tuple[str, str], int] = {}
        self.faults: dict[Kind, int] = {}
        self._survives_us = 0
        sim.server.watch(sim.keys.base)
        sim.server.on_write = self._on_write
        sim.server.after_script = self._on_script_end

    # -- heard of ---------------------------------------------------------------------------

    def _on_write(self, words: Words) -> None:
        if words[0] == b"LPUSH":
            if words[1] in _QUEUES:
                for problem in words[2:]:
                    self._in_queue(problem.decode())
            return
        sim, now_us = self._sim, self._world.now_us
        self._append(Write(now_us, now_us + sim.server_offset_us, words))
        sim.watching.wrote(words)
        if sim.story is not None:
            sim.story.wrote(words)

    def _on_script_end(self) -> None:
        self.events.append(ScriptEnd(self._world.now_us))

    def _in_queue(self, problem: str) -> None:
        entry, identity, task_id, rev = problem.split(" ")
        self._sim.watching.made_from(entry, identity, int(rev))
        caller = self._sim.network.caller
        self.arrival(entry, identity, task_id, caller, 1)

    def arrival(
        self, entry: str, identity: str, task_id: str, sender: Host | None, attempt: int
    ) -> None:
        """A message is in the broker."""
        now_us = self._world.now_us
        who = sender.nonce if sender else ""
        self.events.append(Arrival(now_us, entry, identity, task_id, who, attempt))
        self.arrived[entry, identity] = self.arrived.get((entry, identity), 0) + 1
        name = sender.name if sender else "?"
        self._world.tell("%s: MESSAGE %s@%s, attempt %s", name, entry, identity, attempt)

    def figures(self) -> dict[str, int]:
        """The figures to count."""
        slots = 0
        for event in self.events:
            if type(event) is Write and event.words[0] == b"XADD":
                problem = dict(zip(event.words[3::2], event.words[4::2], strict=True))
                slots += int(problem[b"count"]) if problem[b"outcome"] != b"note" else 0
        copies = self.arrived.values()
        return {
            "slots judged": slots,
            "messages": sum(copies),
            "duplicates": sum(copies) - len(copies),
        }

    # -- callbacks --------------------------------------------------------------------------

    def fault(
        self,
        kind: Kind,
        us: int = 0,
        victim: str = "",
        what: str = "",
        outlasts: bool = False,
        entry: str = "",
    ) -> None:
        """Note a fault that begins now, and lasts until the end of the storm unless stated."""
        now_us = self._world.now_us
        end_us = now_us + us
        if not outlasts:
            end_us = min(end_us, max(now_us, self._sim.calm_us))
        self.events.append(Fault(kind, now_us, end_us, victim, entry))
        self.faults[kind] = self.faults.get(kind, 0) + 1
        how = f" for {(end_us - now_us) / 1e6:.3f} s" if us else ""
        whom = self._sim.nonces[victim].name if victim in self._sim.nonces else victim
        self._world.tell("FAULT %s %s%s %s", kind.name, whom, how, what)

    def loss(self, kind: Kind, survives_us: int) -> None:
        """Data is about to be lost; what is of that moment or before survives (0: nothing)."""
        self._survives_us = survives_us
        self.events.append(Fault(kind, survives_us, self._world.now_us, ""))
        self.faults[kind] = self.faults.get(kind, 0) + 1

    def lost(self, how: str) -> None:
        """Acknowledged data is gone; the event says what is left."""
        now_us = self._world.now_us
        server_us = now_us + self._sim.server_offset_us
        under_way = bool(self._sim.network.flights)
        kept = tuple(self._kept())
        self.events.append(Lost(now_us, how, kept, server_us, under_way=under_way))
        self._sim.watching.loss(self._survives_us, under_way)
        self._world.tell("FAULT Redis has lost data: %s", how)

    def _kept(self) -> list[Words]:
        call, base = self._server.call, self._sim.keys.base.encode()
        kept: list[Words] = []
        for name in HASHES:
            key = base + name.encode()
            flat: list[Any] = call("HGETALL", key)
            pairs = zip(flat[::2], flat[1::2], strict=True)
            kept += [(b"HSET", key, field, value) for field, value in pairs]
        lease = call("GET", base + b"lease")
        if lease is not None:
            left_ms = b"%d" % max(1, call("PTTL", base + b"lease"))
            kept.append((b"SET", base + b"lease", lease, b"PX", left_ms))
        for name in COUNTERS:
            count = call("HGET", base + b"meta", name)
            if count is not None:
                kept.append((b"HINCRBY", base + b"meta", name.encode(), count))
        return kept
