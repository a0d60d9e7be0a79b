"""Circuits: entries that are not sent for now, because they failed repeatedly (core/circuit.py).

Failures and successes are counted where they happen: rendering, claiming, publishing, resending.
They are written to Redis once, at the end of the tick. `:circuits` is the authoritative copy, and a
new leader starts from it. An edit closes a circuit in Redis; the leader notices when the entry is
next due.

Firings requested by hand never open a circuit, because they may have other arguments. A message
that took too long to build counts as a failure, although it is sent (building.py). A message whose
building does not return is noticed by another thread, which opens the circuit in Redis
(beat/health_watch.py).
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable, Sequence, Set
from typing import TypeVar

from habeat.core.circuit import OPENS_AFTER, SLOW_OPENS_AFTER, Circuit
from habeat.core.events import EventCode
from habeat.core.firing import Outcome, SkippedRun
from habeat.core.lease import Token
from habeat.engine.fenced import Lead
from habeat.engine.planning import Plan, PlannedFiring
from habeat.log import log_event
from habeat.ports import DispatchStore, DueEntry, Skip

Item = TypeVar("Item")

#: Circuits written by one script call.
KEPT = 100
#: Entries whose failures are counted at the same time; beyond that, the oldest count is dropped.
COUNTED = 10_000


class Circuits:
    """Counts failures in a row, opens and closes circuits."""

    def __init__(self, store: DispatchStore) -> None:
        self._store = store
        self._under: Token | None = None
        self._open: dict[str, Circuit] = {}
        self._counts: OrderedDict[str, int] = OrderedDict()
        self._whys: dict[str, str] = {}
        self._digests: dict[str, str] = {}
        #: Changes that Redis does not have yet; None means the circuit is to be closed.
        self._unwritten: dict[str, Circuit | None] = {}
        #: Entries whose last slot fails in this tick: their circuits close after that.
        self._ended: set[str] = set()
        #: Circuits as they are once this tick's probe is sent. A tick that fails before they are
        #: written has sent no probe, so the next tick sends it.
        self._probing: dict[str, Circuit] = {}
        #: Entries whose last message took too long, the most recent last; and the only one of them
        #: that may build a message in this tick.
        self._slow: OrderedDict[str, None] = OrderedDict()
        self._slow_turn: str | None = None
        #: How often each entry has failed in this tick.
        self.failures: Counter[str] = Counter()

    def begin(self, lead: Lead, due: Sequence[DueEntry]) -> None:
        """Start a tick; `due` carries the stored circuits of the entries that are due."""
        self.failures.clear()
        self._slow_turn = None
        if lead.token != self._under:  # a new leadership: another leader may have changed them
            self._open = dict(self._store.circuits())
            self._under, self._unwritten = lead.token, {}
        self._probing = {}
        self._ended.clear()
        before, self._digests = self._digests, {item.name: item.digest for item in due}
        for item in due:
            if before.get(item.name, item.digest) != item.digest:
                self._unwritten.pop(item.name, None)  # what failed was the old definition
            self._learn(item.name, item.circuit)
        self._open_what_failed(lead)  # the last tick may not have got that far

    def _learn(self, name: str, stored: Circuit | None) -> None:
        if name in self._unwritten:
            return
        if stored is not None:
            self._open[name] = stored
        elif self._open.pop(name, None) is not None:
            self._counts.pop(name, None)
            self._slow.pop(name, None)
            log_event(
                EventCode.CIRCUIT_CLOSED,
                "habeat: entry %r is sent again: it was edited, or its message was built after all",
                name,
                entry=name,
            )

    def refused(self, entry: str, identity: str, why: str) -> None:
        """Count a failure: the firing could not be built, or Redis or the broker refused it."""
        self.failures[entry] += 1
        if "#" in identity:
            return  # requested by hand: it says nothing about the schedule's firings
        if entry in self._open:
            self._open[entry] = self._unwritten[entry] = self._open[entry].failed(why)
            return
        self._counts[entry] = self._counts.pop(entry, 0) + 1
        self._whys[entry] = why
        while len(self._counts) > COUNTED:
            oldest, _ = self._counts.popitem(last=False)
            self._whys.pop(oldest, None)

    def slow(self, entry: str, identity: str, why: str) -> None:
        """Count a message that was built but took too long."""
        self._slow_turn = entry
        self._slow[entry] = None
        self._slow.move_to_end(entry)
        if len(self._slow) > COUNTED:
            self._slow.popitem(last=False)
        self.refused(entry, identity, why)

    def quick(self, entry: str) -> None:
        """Note that a message of the entry was built in time."""
        if self._slow:
            self._slow.pop(entry, None)

    def waits(self, entry: str) -> bool:
        """Whether the entry has to wait for a later tick: a tick builds one slow message in all."""
        if entry not in self._slow:
            return False
        if self._slow_turn is None:
            self._slow_turn = entry
        return self._slow_turn != entry or self.failures[entry] > 0

    def parted(
        self, items: Sequence[Item], entry_of: Callable[[Item], str]
    ) -> tuple[Sequence[Item], Sequence[Item]]:
        """Split `items` into those of other entries and those of slow ones.

        The second part is sent after the first, starting with the entry that has waited longest.
        """
        if not self._slow:
            return items, ()
        rank = {name: at for at, name in enumerate(self._slow)}
        slow = [item for item in items if entry_of(item) in rank]
        slow.sort(key=lambda item: rank[entry_of(item)])
        return [item for item in items if entry_of(item) not in rank], slow

    def sent(self, entry: str) -> None:
        """Note that Redis or the broker accepted a message of the entry, and close its circuit."""
        self._close(entry, "one of its messages was accepted")

    def declined(self, entry: str) -> None:
        """Note that the entry's task did what it should, and declined to send a message."""
        self._close(entry, "its task works, and declined to send a message")

    def _close(self, entry: str, why: str) -> None:
        # A slow message is accepted as well; that must not reset the count of slow ones.
        if entry in self._slow or not (self._counts or self._open):
            return
        self._counts.pop(entry, None)
        self._whys.pop(entry, None)
        if self._open.pop(entry, None) is not None:
            self._unwritten[entry] = None
            log_event(
                EventCode.CIRCUIT_CLOSED,
                "habeat: entry %r is sent again: %s",
                entry,
                why,
                entry=entry,
            )

    def why(self, entry: str) -> str:
        """Why the entry's last attempt failed; "" if this process does not know."""
        circuit = self._open.get(entry)
        return self._whys.get(entry) or (circuit.why if circuit else "")

    def hung(self, entry: str) -> str:
        """Why no message of the entry is built, not even for a request; "" if it may be."""
        circuit = self._open.get(entry)
        return circuit.reason if circuit is not None and circuit.hangs else ""

    def gives_up(self, entry: str) -> bool:
        """Whether to try nothing more of this entry in this tick."""
        return self.failures[entry] > 0 and (
            entry in self._open or self._counts.get(entry, 0) >= OPENS_AFTER
        )

    def hold_back(self, planned: Plan, now_ms: int) -> None:
        """Turn the firings of open circuits into failed slots, except for an occasional probe."""
        if not self._open:
            return
        by_entry: dict[str, list[PlannedFiring]] = {}
        for firing in planned.firings:
            by_entry.setdefault(firing.entry.name, []).append(firing)
        planned.firings.clear()
        for name, firings in by_entry.items():
            circuit = self._open.get(name)
            planned.firings += (
                firings if circuit is None else self._held(planned, circuit, firings, now_ms)
            )
        self.hold_back_ahead(planned)

    def hold_back_ahead(self, planned: Plan) -> None:
        """Do not prefetch firings of open circuits; they are looked at when they are due."""
        for firing in planned.ahead:
            if firing.entry.name in self._open:
                planned.note_again(firing.expected.due_ms)
        planned.ahead[:] = [f for f in planned.ahead if f.entry.name not in self._open]

    def _held(
        self, planned: Plan, circuit: Circuit, firings: list[PlannedFiring], now_ms: int
    ) -> list[PlannedFiring]:
        """The firings to send: the newest one if a probe is due, otherwise none."""
        name = firings[-1].entry.name
        probes: list[PlannedFiring] = []
        if circuit.is_probed(now_ms) and not self.waits(name):
            self._probing[name] = circuit.probed(now_ms)
            probes = [firings.pop()]
        if firings:
            planned.skips.append(_run_of(firings, circuit.reason))
            if firings[-1].next.due_ms is None:  # there is no later slot that could close it
                self._open.pop(name)
                self._ended.add(name)
        return probes

    def close_ended(self, stale: Set[str]) -> None:
        """Close the circuits of entries whose last slot has failed, unless that was `stale`."""
        self._unwritten.update(dict.fromkeys(self._ended - stale))
        self._ended.clear()

    def write(self, lead: Lead) -> None:
        """Write changes to Redis, and log the circuits that have opened."""
        self._open_what_failed(lead)
        changes = [
            (name, self._digests.get(name, ""), circuit)
            for name, circuit in (self._unwritten | self._probing).items()
        ]
        for start in range(0, len(changes), KEPT):
            part = changes[start : start + KEPT]
            lead.store.keep_circuits(part)
            for name, _, circuit in part:
                self._written(name, circuit)
        self._open |= self._probing
        self._unwritten, self._probing = {}, {}

    def _open_what_failed(self, lead: Lead) -> None:
        for entry, count in self._counts.items():
            opens_after = SLOW_OPENS_AFTER if entry in self._slow else OPENS_AFTER
            if count >= opens_after and entry not in self._open:
                circuit = Circuit.opened(count, self._whys.get(entry, ""), lead.now_ms())
                self._open[entry] = self._unwritten[entry] = circuit

    def _written(self, entry: str, circuit: Circuit | None) -> None:
        """Stop counting the entry's failures (its circuit counts them now), and log an opening."""
        count = self._counts.pop(entry, 0)
        self._whys.pop(entry, None)
        if count and circuit is not None:
            log_event(
                EventCode.CIRCUIT_OPENED,
                "habeat: entry %r %s %d times in a row (%s); its slots end as failed, the next try "
                "is in %d s",
                entry,
                "took too long" if entry in self._slow else "failed",
                count,
                circuit.why,
                circuit.pause_ms // 1_000,
                entry=entry,
                cause=circuit.why,
            )


def _run_of(firings: Sequence[PlannedFiring], reason: str) -> Skip:
    """One ledger record for consecutive slots of one entry."""
    first, last = firings[0], firings[-1]
    last_ms = last.firing.slot_ms
    run = SkippedRun(first.firing.slot_ms, last_ms, len(firings), Outcome.FAILED, reason)
    return Skip(first.entry.name, first.expected, last.next, run, last_ms)
