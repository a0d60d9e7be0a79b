"""Runs every script once, on keys of its own, before this replica may lead.

With an ACL that allows LPUSH but not HSET, a claim would enqueue its message and then fail, and
each retry would send a duplicate. So missing permissions are detected here, and such a replica
stays inert. The keys are separate (``{prefix}:probe:<nonce>:…``) and deleted afterwards; they need
no permissions that the real keys do not need.
"""

from __future__ import annotations

from habeat.core.entry import Entry
from habeat.core.events import EventCode
from habeat.core.firing import Firing, Outcome, SkippedRun
from habeat.core.lease import Fence, Observation, Token
from habeat.entries.codec import digest_of, encode
from habeat.ports import (
    Claim,
    Clock,
    Departed,
    DueEntry,
    Expected,
    Intent,
    Known,
    Next,
    Rendered,
    Skip,
    StoreUnavailable,
    Won,
)
from habeat.ports.entries import Mark, Position, Removal, Write
from habeat.ports.events import Happening
from habeat.schedules import every
from habeat.store.calling import Caller
from habeat.store.connection import Connections
from habeat.store.controls import ControlStore
from habeat.store.dispatch import RedisDispatchStore
from habeat.store.entries import EntryStore
from habeat.store.events import Events, RedisEventLog
from habeat.store.health import HealthStore
from habeat.store.inspection import Inspection
from habeat.store.key_repair import Mending
from habeat.store.keys import Keys
from habeat.store.leases import RedisElectionStore
from habeat.store.name_index import REINDEX

TTL_MS = 10_000
#: Every fifth heartbeat trims the ledger, so five ticks make sure that XTRIM is checked.
TICKS_TO_TRIM = 5
DAY_MS = 86_400_000
MARK = Mark("probe", TTL_MS)


def check_scripts(connections: Connections, prefix: str, nonce: str, clock: Clock) -> None:
    """Run every script. StoreUnavailable names what was denied."""
    keys = Keys(prefix, apart=f"probe:{nonce}:")
    caller = Caller(connections, keys)
    try:
        _ScriptCheck(caller, clock, nonce).run()
    finally:
        _clean(caller, keys)


class _ScriptCheck:
    def __init__(self, caller: Caller, clock: Clock, nonce: str) -> None:
        self._caller = caller
        self._leases = RedisElectionStore(caller, clock, "script check")
        self._store = RedisDispatchStore(
            caller, dedup_ttl_ms=TTL_MS, ledger_age_ms=DAY_MS, ledger_length=100
        )
        self._entries = EntryStore(caller)
        self._inspection = Inspection(caller)
        self._nonce = nonce

    def run(self) -> None:
        won = self._leases.acquire(self._nonce, TTL_MS, Known())
        if not isinstance(won, Won):
            raise StoreUnavailable("other", f"the script check cannot take its lease: {won.why}")
        now_ms = won.now_us // 1_000
        entry = Entry("probe", "probe", every(1), created_ms=now_ms)
        stored = encode(entry)
        position = Position(now_ms - 10, now_ms - 5, now_ms - 5)
        self._entries.write([Write("probe", "", stored, owned=True, position=position)])
        due = DueEntry("probe", now_ms - 5, digest_of(stored), now_ms - 10)
        self._lead(won.token, due, now_ms)
        self._others(won.token, now_ms, stored)

    def _lead(self, token: Token, due: DueEntry, now_ms: int) -> None:
        store, fence = self._store, Fence(token, TTL_MS)
        for _ in range(TICKS_TO_TRIM):
            store.tick(fence, 10, lost_after_ms=now_ms)
        store.definitions(["probe"])
        store.claim(fence, [_claim(due, due.due_ms, Rendered(b"probe"))], atomic=False)
        store.recover(fence, 10)
        store.mark(
            fence,
            Intent(
                entry="probe",
                identity=str(due.due_ms),
                attempts=0,
                effective_ms=due.due_ms,
                delivery="",
                envelope=b"",
            ),
            5,
            "",
            0,
        )
        store.circuits()
        store.keep_circuits(fence, [("probe", "", None)])
        store.asked(fence, 10)
        store.put_off(fence, "inflight", ["probe"], due.due_ms)
        store.settle(token, [Departed("probe", str(due.due_ms), due.due_ms, 1)])
        following = DueEntry("probe", due.due_ms + 1, due.digest, due.due_ms)
        store.claim(fence, [_claim(following, due.due_ms + 1, Rendered())], atomic=True)
        last = DueEntry("probe", due.due_ms + 2, due.digest, due.due_ms + 1)
        store.skip(fence, [_skip(last)])
        moved = DueEntry("probe", due.due_ms + 3, due.digest, due.due_ms + 2)
        store.defer(fence, moved, due.due_ms + 4)
        store.quarantine(fence, moved, "script check")
        Mending(self._caller).run(token, TTL_MS, "probe")
        self._entries.postpone("probe", due.due_ms, fence)

    def _others(self, token: Token, now_ms: int, stored: bytes) -> None:
        self._leases.observe()
        seen = Observation(
            at_ms=now_ms,
            holder=None,
            pttl_ms=0,
            heartbeat=0,
            listeners=None,
            connection=0,
            holder_ttl_ms=0,
        )
        self._leases.steal(self._nonce, TTL_MS, Known(), "crash", seen)
        self._leases.register(self._nonce, "{}", "probe", 1)
        self._entries.declare("probe", ["probe"])
        self._caller.do(lambda client: client.hset(self._caller.keys.configs, "gone", "1|0|0"))
        self._entries.orphans(Fence(token, TTL_MS), TTL_MS, 10)
        for at in (REINDEX, ("names", b"")):
            self._entries.index.make(at, 10)
        self._entries.index.page("probe", b"", 10)
        removal = Removal("probe", digest_of(stored), None, None, "script check")
        self._entries.remove([removal], mark=MARK)
        self._entries.recall(MARK)
        self._inspection.facts()
        controls = ControlStore(self._caller)
        controls.write("probe", "probe", "", "probe", "probe")
        controls.read()
        health = HealthStore(self._caller)
        health.report("probe", {})
        health.read(0)
        health.withdraw(["probe"])
        list(self._inspection.ledger())
        list(self._inspection.ledger_of("probe"))
        self._entries.sweep(Fence(token, TTL_MS), 10)
        self._inspection.lateness(["probe"])
        events = RedisEventLog(self._caller, self._nonce)
        events.add(Happening(EventCode.BROKER_UNAVAILABLE, now_ms))
        list(Events(self._caller).newest_first())
        self._leases.release(token, self._nonce)


def _claim(due: DueEntry, slot_ms: int, rendered: Rendered) -> Claim:
    firing = Firing("probe", slot_ms, slot_ms)
    assert due.cursor_ms is not None
    expected = Expected(due.digest, due.due_ms, due.cursor_ms)
    return Claim(firing, expected, Next(slot_ms + 1, slot_ms + 1), rendered, "")


def _skip(due: DueEntry) -> Skip:
    assert due.cursor_ms is not None
    due_ms = due.due_ms
    return Skip(
        "probe",
        Expected(due.digest, due_ms, due.cursor_ms),
        Next(due_ms + 1, due_ms + 1),
        SkippedRun(due_ms, due_ms, 1, Outcome.SKIPPED, "script check"),
        due_ms,
    )


def _clean(caller: Caller, keys: Keys) -> None:
    made = [
        *keys.fixed,
        keys.declared("probe"),
        keys.entry_lateness("probe"),
        keys.entry_outcomes("probe"),
        keys.outcomes,
        keys.call(MARK.name),
        keys.last_records,
        keys.changes,
        keys.last_changes,
        keys.events,
        keys.names,
        keys.controls,
        keys.signs,
    ]
    try:
        caller.do(lambda client: client.delete(*made))
    except StoreUnavailable:
        return
