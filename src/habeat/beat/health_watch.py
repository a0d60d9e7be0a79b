"""A thread of each beat that watches its loop, and the health of the schedule.

It has a connection to Redis of its own, so it goes on while the loop hangs. Once a second it checks
whether the loop makes progress (loop_watch.py); every three seconds it reads the facts
(store/health.py) and assesses them (core/health.py). So a leader that hangs, or that does not
notice its own trouble, is named by its own process and by each standby.

- Each finding is logged once when it starts and once when it ends: at the second look that shows
  it, so what passes within a second is not logged. What the leader's loop logs itself is left out.
- What this replica alone knows (its loop hangs, its ticks fail, its broker takes nothing, entries
  wait) is written to Redis, for `health` and for the other replicas.
- A standby that sees a leader tick and send nothing tells its election (core/wedged.py).
- An entry whose message is being built and does not return gets an open circuit (core/circuit.py),
  so that the next leader does not build it as well. It closes if the message is built after all.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol

from habeat.beat.loop_watch import LoopWatch
from habeat.beat.stacks import place_of, stacks
from habeat.core.circuit import HANGS_AFTER_MS, Circuit
from habeat.core.events import EventCode
from habeat.core.health import Finding, HealthFacts, Severity, assess
from habeat.core.wedged import Suspicion
from habeat.engine.election import Election
from habeat.engine.report import BeingBuilt, LoopReport, Waits
from habeat.log import log_event
from habeat.ports import Clock, StoreUnavailable
from habeat.printable import printable
from habeat.store.health import WHAT_MAX_CHARS, HealthStore, Read

log = logging.getLogger("habeat")

BEAT_S = 1.0
LOOK_EVERY_MS, LOOK_AGAIN_MS = 3_000, 1_000
#: Replicas that are not next in line look less often, so that even a hundred cost little.
LOOK_SELDOM_MS = 10_000
CLOSE_RANKS = 2
#: A report is written again after this time, while it is needed.
REPORT_EVERY_MS = 10_000
#: Trouble of this process that is over sooner is not reported.
REPORTED_AFTER_MS = 2_000
REPAIRED_FOR_MS = 600_000
#: At most this many waiting entries are reported.
WAITING_REPORTED = 20
#: How lately a standby must have reached the broker to take the lead from a leader that does not.
BROKER_FRESH_MS = 15_000

#: What each replica has logged when it began to lead, or to stand by.
LOGGED_AT_ONCE = frozenset({EventCode.LEADER_ACQUIRED.value})
#: What the leader's own loop logs, with the cause.
LOGGED_BY_THE_LEADER = frozenset(
    code.value
    for code in (
        EventCode.BROKER_UNAVAILABLE,
        EventCode.CALENDAR_MISSING,
        EventCode.CIRCUIT_OPENED,
        EventCode.DATA_LOST,
        EventCode.DEAD_LETTERS,
        EventCode.ENTRY_UNSENDABLE,
        EventCode.ENTRY_WAITS,
        EventCode.KEYS_REPAIRED,
        EventCode.TICK_FAILED,
    )
)


class BrokerProbe(Protocol):
    """What the replica knows of the broker and of its place among the standbys."""

    @property
    def broker_ok_ms(self) -> int | None: ...

    @property
    def rank(self) -> int: ...

    @property
    def repaired(self) -> tuple[str, int]: ...


class HealthWatch:
    """The thread. `findings` are those of the last look; other threads may read them."""

    def __init__(
        self,
        store: HealthStore,
        *,
        report: LoopReport,
        election: Election,
        replica: BrokerProbe,
        grace_ms: int,
        where: str,
        clock: Clock,
        receivers: Callable[[], str] = lambda: "",
        own_sending: Callable[[], BeingBuilt | None] = lambda: None,
        disconnect: Callable[[], None] = lambda: None,
    ) -> None:
        """`receivers` says which receivers of signals fail, `own_sending` which message a task's
        own code is sending; `disconnect` is called at the end.
        """
        self._store = store
        self._report = report
        self._election = election
        self._replica = replica
        self._grace_ms = grace_ms
        self._where = where
        self._receivers = receivers
        self._own_sending = own_sending
        self._now_ms: Callable[[], int] = lambda: clock.monotonic_us() // 1_000
        self._disconnect = disconnect
        self.findings: tuple[Finding, ...] = ()
        self._facts: HealthFacts | None = None
        self._turns = 0
        self._loop_thread = 0
        self._loop = LoopWatch()
        self._hang: tuple[int, str] | None = None
        self._building = LoopWatch()
        #: The message whose building does not return, and the circuit that was opened for it.
        self._hung: tuple[BeingBuilt, Circuit] | None = None
        self._over, self._dump = threading.Event(), threading.Event()
        self._thread: threading.Thread | None = None
        #: What Redis' clock is ahead of the monotonic one; None before the first answer.
        self._offset_ms: int | None = None
        self._look_ms = 0
        self._began: dict[str, int] = {}
        self._reported: dict[str, Any] = {}
        self._reported_ms = 0
        self._away = False
        self._seen: dict[tuple[str, str], Finding] = {}
        self._told: dict[tuple[str, str], Finding] = {}
        self._suspicion = Suspicion()

    # -- what the loop calls ------------------------------------------------------------------

    def turn(self) -> None:
        """Note that the loop begins a turn in the calling thread; start watching it."""
        self._turns += 1
        if self._thread is None:
            self._loop_thread = threading.get_ident()
            self._thread = threading.Thread(target=self._run, name="habeat health", daemon=True)
            self._thread.start()

    @property
    def is_well(self) -> bool:
        """Whether the loop works, and due slots get outcomes."""
        stalled = EventCode.DISPATCH_STALLED.value
        return self._report.is_well and not any(each.code == stalled for each in self.findings)

    def dump(self) -> None:
        """Have the thread log the state and all stacks; safe in a signal handler."""
        self._dump.set()

    def close(self) -> None:
        """End the thread, soon."""
        self._over.set()

    # -- the thread ---------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._over.wait(BEAT_S):
            try:
                self.beat()
            except Exception:  # a bug here must not end the watch
                log.debug("habeat: watching the health failed", exc_info=True)
        self._disconnect()

    def beat(self) -> None:
        """One round of the thread."""
        now_ms = self._now_ms()
        if self._dump.is_set():
            self._dump.clear()
            self._log_state(now_ms)
        is_new = self._watch_loop(now_ms)
        self._watch_building(now_ms)
        if is_new or now_ms >= self._look_ms or self._has_news(now_ms):
            close = self._election.leading or self._replica.rank < CLOSE_RANKS
            self._look_ms = now_ms + (LOOK_EVERY_MS if close else LOOK_SELDOM_MS)
            self._look(now_ms)

    def _has_news(self, now_ms: int) -> bool:
        """Whether something that only this replica knows has begun or ended since the last look."""
        return not self._away and _subjects(self._signs(now_ms)) != _subjects(
            self._reported.items()
        )

    def _watch_loop(self, now_ms: int) -> bool:
        """Whether this look is the first that finds the loop hanging, or running again."""
        self._loop = self._loop.after(now_ms, (self._turns, self._election.answers))
        if self._loop.hangs == (self._hang is not None):
            return False
        if self._hang is not None:
            since_ms, place = self._hang
            self._hang = None
            log_event(
                EventCode.TICK_HANGS,
                "habeat: the loop runs again after %d s in %s",
                (now_ms - since_ms) // 1_000,
                place,
                ended=True,
            )
            return True
        self._hang = self._loop.since_ms, place_of(self._loop_thread)
        log_event(
            EventCode.TICK_HANGS,
            "habeat: the loop has been stuck for %d s, in %s; nothing is sent until that returns, "
            "and another replica leads when the lease ends",
            (now_ms - self._loop.since_ms) // 1_000,
            self._hang[1],
        )
        return True

    def _watch_building(self, now_ms: int) -> None:
        """Open the circuit of an entry whose message does not get built; close it if it does."""
        building = self._report.building or self._own_sending()
        self._building = self._building.after(now_ms, building)
        try:
            if self._hung is not None and self._hung[0] is not building:
                self._store.close_circuit(self._hung[0].entry, self._hung[1])
                self._hung = None
            hangs = building is not None and self._building.stood_ms >= HANGS_AFTER_MS
            if building is not None and hangs and self._hung is None:
                self._hung = self._open_circuit(building, now_ms)
        except StoreUnavailable as error:  # the next round tries again
            log.debug("habeat: the circuit cannot be written: %s", error)

    def _open_circuit(self, building: BeingBuilt, now_ms: int) -> tuple[BeingBuilt, Circuit] | None:
        if self._offset_ms is None:
            return None
        circuit = Circuit.of_hang(place_of(self._loop_thread), now_ms + self._offset_ms)
        if self._store.open_circuit(building.entry, building.digest, circuit):
            log_event(
                EventCode.CIRCUIT_OPENED,
                "habeat: entry %r delays all others: %s; its slots end as failed, and the next try "
                "is in %d s",
                building.entry,
                circuit.why,
                circuit.pause_ms // 1_000,
                entry=building.entry,
                cause=circuit.why,
            )
        return building, circuit

    def _look(self, now_ms: int) -> None:
        try:
            self._write_report(now_ms)
            read = self._store.read(self._grace_ms)
            if read.stale:
                self._store.withdraw(read.stale)
        except StoreUnavailable as error:
            log.debug("habeat: the health cannot be read: %s", error)
            self._suspicion, self._away = Suspicion(), True
            return
        self._facts, self._away = read.facts, False
        self._offset_ms = read.facts.now_ms - now_ms
        self.findings = assess(read.facts)
        if self._tell():
            self._look_ms = min(self._look_ms, now_ms + LOOK_AGAIN_MS)
        self._suspect(read)

    # -- logging ------------------------------------------------------------------------------

    def _tell(self) -> bool:
        """Log what has started and what is over; whether something was seen for the first time."""
        found = {each.subject: each for each in self.findings}
        for subject, finding in found.items():
            if subject in self._seen and subject not in self._told and not self._is_ours(finding):
                self._told[subject] = finding
                log_event(
                    EventCode(finding.code),
                    "habeat: %s: %s; next step: %s",
                    "not healthy" if finding.severity is Severity.ERROR else "deserves a look",
                    finding.sentence,
                    finding.next_step or "none",
                    entry=finding.entry,
                )
        for subject in self._told.keys() - found.keys():
            over = self._told.pop(subject)
            log_event(
                EventCode(over.code),
                "habeat: this is over: %s",
                over.sentence,
                entry=over.entry,
                ended=True,
            )
        is_new = bool(found.keys() - self._seen.keys())
        self._seen = found
        return is_new

    def _is_ours(self, finding: Finding) -> bool:
        """Whether this process has logged it already, with its cause."""
        if finding.code == EventCode.TICK_HANGS.value and self._hang is not None:
            return True
        if finding.code in LOGGED_AT_ONCE:
            return True
        if finding.code == EventCode.RECEIVER_FAILED.value and self._receivers():
            return True
        return self._election.leading and finding.code in LOGGED_BY_THE_LEADER

    # -- what this replica reports ------------------------------------------------------------

    def _write_report(self, now_ms: int) -> None:
        if self._offset_ms is None:
            return
        signs = dict(self._signs(now_ms))
        nonce = self._election.nonce
        if not signs:
            if self._reported:
                self._store.withdraw([nonce])
        elif signs != self._reported or now_ms - self._reported_ms >= REPORT_EVERY_MS:
            self._store.report(
                nonce, {**signs, "where": self._where, "at_ms": now_ms + self._offset_ms}
            )
            self._reported_ms = now_ms
        self._reported = signs

    def _signs(self, now_ms: int) -> Iterator[tuple[str, Any]]:
        offset_ms, report = self._offset_ms or 0, self._report
        if self._hang is not None:
            since_ms, place = self._hang
            yield "hangs", {"since_ms": since_ms + offset_ms, "what": place}
        leading = self._election.leading or self._hang is not None
        if failing := self._receivers():
            since_ms = self._began.setdefault("receivers", now_ms)
            what = printable(failing, WHAT_MAX_CHARS)
            yield "receivers", {"since_ms": since_ms + offset_ms, "what": what}
        else:
            self._began.pop("receivers", None)
        for name, what in (
            ("broker", report.broker_error if leading else ""),
            ("ticks", report.tick_error),
        ):
            if not what:
                self._began.pop(name, None)
                continue
            since_ms = self._began.setdefault(name, now_ms)
            if now_ms - since_ms >= REPORTED_AFTER_MS:
                yield (
                    name,
                    {"since_ms": since_ms + offset_ms, "what": printable(what, WHAT_MAX_CHARS)},
                )
        keys, repaired_ms = self._replica.repaired
        if keys and now_ms - repaired_ms < REPAIRED_FOR_MS:
            yield "repaired", {"since_ms": repaired_ms + offset_ms, "what": keys}
        if self._election.leading:
            for name, waits in (
                ("waiting", report.waits),
                ("calendars_missing", report.missing_calendars),
                ("calendars_ended", report.ended_calendars),
            ):
                if listed := _listed(waits, now_ms + offset_ms):
                    yield name, listed

    # -- the standby's part ---------------------------------------------------------------------

    def _suspect(self, read: Read) -> None:
        if self._election.leading or self._election.barred or self._election.inert:
            self._suspicion = Suspicion()
            return
        self._suspicion = self._suspicion.after(read.holder, read.facts)
        ok_ms = self._replica.broker_ok_ms
        reaches = ok_ms is not None and read.facts.now_ms - ok_ms <= BROKER_FRESH_MS
        if self._suspicion.is_wedged(reaches_broker=reaches):
            log_event(
                EventCode.LEADER_WEDGED,
                "habeat: %s ticks and has sent nothing for %d s, though %d entries are due, and "
                "this replica reaches the broker: taking the lease from it",
                read.facts.leader or "the leader",
                (read.facts.now_ms - (self._suspicion.since_ms or 0)) // 1_000,
                read.facts.overdue_count,
            )
            self._election.suspect(read.holder)
            self._suspicion = Suspicion()

    # -- on request -----------------------------------------------------------------------------

    def _log_state(self, now_ms: int) -> None:
        """Log role, lease, what is due and all stacks; no values of variables."""
        election, facts, trust = self._election, self._facts, self._election.trust
        role = "leader" if election.leading else "inert" if election.inert else "standby"
        left_ms = trust.left_ms(now_ms) if trust else 0
        overdue = facts.overdue_count if facts else "?"
        in_flight = facts.in_flight if facts else "?"
        log_event(
            EventCode.STATE_LOGGED,
            "habeat: state on request: %s, role %s, lease %s, trusted for %d ms, turn %d of the "
            "loop began %s, overdue entries %s, in flight %s, findings: %s",
            self._where,
            role,
            election.holder or "free",
            left_ms,
            self._turns,
            f"{(now_ms - self._loop.since_ms) / 1_000:.1f} s ago or less",
            overdue,
            in_flight,
            "; ".join(each.code for each in self.findings) or "none",
        )
        for line in stacks():
            log_event(EventCode.STATE_LOGGED, "habeat: state on request: %s", line)


def _subjects(signs: Iterable[tuple[str, Any]]) -> set[str]:
    """What the signs are about, without the texts and ages that change while they last."""
    found: set[str] = set()
    for name, said in signs:
        found.update(f"{name} {each['entry']}" for each in said if isinstance(said, list))
        found.add(name)
    return found


def _listed(waits: Waits, now_ms: int) -> list[dict[str, Any]]:
    return [
        {
            "entry": name,
            "since_ms": each.since_ms,
            "why": printable(each.why, WHAT_MAX_CHARS),
            "failed": each.failed,
        }
        for name, each in list(waits.current(now_ms).items())[:WAITING_REPORTED]
    ]
