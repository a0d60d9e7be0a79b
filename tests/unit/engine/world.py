"""A small world for the engine: clocks to set, a store in memory, a wake channel, a broker.

The store keeps the contract of `habeat.ports` in plain Python (the scripts have tests of their
own against real servers). Faults are put on its calls: ``store.fault("claim", "reply")`` has the
next claim done and its reply lost, ``"request"`` has it not done at all.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from habeat.core.circuit import Circuit
from habeat.core.data_loss import Loss
from habeat.core.entry import Delivery, Entry, Policies
from habeat.core.expiry import expires_ms
from habeat.core.firing import Firing
from habeat.core.lease import Fence, Observation, Token
from habeat.core.request import Request
from habeat.engine import Engine, EngineSettings
from habeat.engine.election import Election, Pace
from habeat.engine.fenced import Lead
from habeat.errors import DefinitionError
from habeat.ports import (
    Answered,
    Behind,
    BrokerUnavailable,
    Claim,
    Departed,
    DueEntry,
    DueRequests,
    Intent,
    Known,
    Look,
    Lost,
    Marked,
    Parcel,
    PublishRefused,
    Queue,
    Recovered,
    Refused,
    Rendered,
    Skip,
    Statuses,
    StoredControls,
    StoredRequest,
    StoreUnavailable,
    Tick,
    Unfenced,
    Unsent,
    Won,
)
from habeat.ports.events import EventLog, NoEventLog
from habeat.schedules import Interval
from habeat.testing.asking import ImmediateAsker

START_MS = 1_750_000_000_000


class FakeClock:
    """A host's clocks; time passes only when the test advances it."""

    def __init__(self) -> None:
        self.us = 5_000_000_000

    def monotonic_us(self) -> int:
        return self.us

    def wall_ms(self) -> int:
        return START_MS + (self.us - 5_000_000_000) // 1_000

    def advance(self, ms: float) -> None:
        self.us += round(ms * 1_000)


class FakeLine:
    """Waiting lets the clock run."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.is_open = False
        self.opened = 0
        self.waits: list[int] = []
        self.waited_closed = 0
        self.says: list[str] = []

    def open(self) -> bool:
        fresh, self.is_open = not self.is_open, True
        self.opened += fresh
        return fresh

    def wait(self, timeout_ms: float) -> frozenset[str]:
        self.waits.append(timeout_ms)
        self.waited_closed += not self.is_open
        said, self.says = frozenset(self.says), []
        if not said:
            self.clock.advance(timeout_ms)
        return said

    def resubscribe(self) -> None:
        self.is_open = False


@dataclass
class Row:
    """One entry in the store."""

    raw: bytes
    cursor_ms: int | None
    due_ms: int | None
    fired: int = 0
    token: str = ""

    @property
    def digest(self) -> str:
        return hashlib.sha1(self.raw, usedforsecurity=False).hexdigest()


@dataclass
class Kept:
    """An intent in flight."""

    token: str
    attempts: int
    effective_ms: int
    delivery: str
    envelope: bytes
    expires_ms: int | None = None


class FakeCatalog:
    """Definitions are names of entries that the test has made."""

    def __init__(self) -> None:
        self.entries: dict[str, Entry] = {}
        self.decoded = 0
        self.unresolved: set[str] = set()

    def decode(self, name: str, stored: bytes) -> Entry:
        self.decoded += 1
        if stored.startswith(b"garbage"):
            raise DefinitionError(name, "it is garbage")
        return self.entries[name]

    def resolve(self, entry: Entry) -> Entry | None:
        return None if entry.name in self.unresolved else entry

    def decode_request(self, stored: bytes) -> Request:
        if stored.startswith(b"garbage"):
            raise DefinitionError("?", "it is garbage")
        return Request(**json.loads(stored))

    def encode_request(self, order: Request) -> bytes:
        names = ("kind", "entry", "at_ms", "cursor_ms", "end_ms", "pace", "not_before_ms")
        return json.dumps({name: getattr(order, name) for name in names}).encode()


@dataclass
class Sent:
    """A call that was answered when it was sent."""

    reply: Any

    def result(self) -> Any:
        return self.reply

    def has_come(self) -> bool:
        """It is read when the next one has been sent."""
        return False

    def drop(self) -> Any:
        return self.reply


def _is_over(expires_ms: int | None, now_ms: int) -> bool:
    return expires_ms is not None and now_ms >= expires_ms


class FakeStore:
    """Election and dispatch in memory; see the module's docstring for faults."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.rows: dict[str, Row] = {}
        self.inflight: dict[str, Kept] = {}
        self.untrusted: dict[str, int] = {}
        self.requests: dict[str, bytes] = {}
        #: When requests and intents want to be looked at; one that is not named, now.
        self.looks: dict[str, int] = {}
        self.open_circuits: dict[str, Circuit] = {}
        self.fired: dict[tuple[str, str], str] = {}
        self.ledger: list[tuple[str, str, str, str, int]] = []
        self.dead: list[str] = []
        self.lease = ""
        self.lease_ends_us = 0
        self.epoch = self.heartbeat = 0
        self.loss = Loss()
        self.controls = StoredControls("", {})
        self.listeners: int | None = 1
        self.calls: list[str] = []
        self.words: dict[str, str] = {}
        self.skew_ms = 0
        #: While it is set, no call is answered.
        self.away = False
        self._faults: dict[str, list[str]] = {}
        self.before: dict[str, Callable[[], None]] = {}
        #: The same, when the call has been answered and the answer is on its way.
        self.after: dict[str, Callable[[], None]] = {}

    # -- for the test -----------------------------------------------------------------------

    def fault(self, call: str, *kinds: str) -> None:
        """The next calls of this name lose their request, or their reply."""
        self._faults.setdefault(call, []).extend(kinds)

    def count(self, call: str) -> int:
        return self.calls.count(call)

    @property
    def now_ms(self) -> int:
        return self.clock.wall_ms() + self.skew_ms

    def outcomes(self, name: str) -> list[tuple[int, str]]:
        return [(int(slot), what) for entry, slot, what, _, _ in self.ledger if entry == name]

    # -- common -----------------------------------------------------------------------------

    def _call(self, name: str, act: Callable[[], Any]) -> Any:
        self.calls.append(name)
        if self.away:
            raise StoreUnavailable("unreachable", "no answer")
        if name in self.before:
            self.before.pop(name)()
        fault = self._faults[name].pop(0) if self._faults.get(name) else ""
        if fault == "request":
            raise StoreUnavailable("unreachable", "no answer")
        reply = act()
        if name in self.after:
            self.after.pop(name)()
        if fault == "reply":
            raise StoreUnavailable("unreachable", "no answer")
        return reply

    def _holder(self) -> str:
        if self.lease and self.clock.us >= self.lease_ends_us:
            self.lease = ""
        return self.lease

    def _fenced(self, name: str, fence: Fence, act: Callable[[], Any]) -> Any:
        def fenced() -> Any:
            if self._holder() != str(fence.token):
                return Lost(self._holder())
            if self.heartbeat < fence.heartbeat:
                return Behind(self.now_ms * 1_000, self.heartbeat)
            self._extend(fence.ttl_ms)
            return act()

        return self._call(name, fenced)

    def _extend(self, ttl_ms: int) -> None:
        self.lease_ends_us = self.clock.us + ttl_ms * 1_000
        self.heartbeat += 1

    def record(self, entry: str, slot: Any, outcome: str, reason: str, count: int = 1) -> None:
        self.ledger.append((entry, str(slot).partition("#")[0], outcome, reason, count))

    # -- election ---------------------------------------------------------------------------

    def acquire(self, nonce: str, ttl_ms: int, known: Known) -> Won | Refused:
        return self._call("acquire", lambda: self._acquire(nonce, ttl_ms))

    def _acquire(self, nonce: str, ttl_ms: int) -> Won | Refused:
        holder = self._holder()
        mine = holder.partition(":")[2] == nonce
        if holder and not mine:
            return Refused(holder)
        if not mine:
            self.epoch = max(self.epoch + 1, self.now_ms)
            self.lease = f"{self.epoch}:{nonce}"
        self._extend(ttl_ms)
        token = Token.parse(self.lease)
        assert token is not None
        return Won(
            token,
            self.now_ms * 1_000,
            "cluster",
            self.heartbeat,
            "continued",
            self.loss,
            mine,
        )

    def steal(
        self, nonce: str, ttl_ms: int, known: Known, cause: str, seen: Observation
    ) -> Won | Refused:
        def act() -> Won | Refused:
            if self._holder() != seen.holder or self.heartbeat != seen.heartbeat:
                return Refused("the holder has changed")
            self.untrusted[self.lease] = self.now_ms + (self.lease_ends_us - self.clock.us) // 1_000
            self.lease = ""
            return self._acquire(nonce, ttl_ms)

        return self._call("steal", act)

    def observe(self) -> Look:
        return self._call("observe", self._observe)

    def _observe(self) -> Look:
        holder = self._holder()
        pttl = (self.lease_ends_us - self.clock.us) // 1_000 if holder else -2
        seen = Observation(
            self.clock.us // 1_000, holder or None, pttl, self.heartbeat, self.listeners, 0, 0
        )
        known = Known("cluster", self.epoch, self.heartbeat, self.loss, self.now_ms)
        return Look(seen, known, self.now_ms * 1_000)

    def release(self, token: Token | None, nonce: str, why: str = "") -> None:
        def act() -> None:
            if token is not None and self.lease == str(token):
                self.lease = ""

        self._call("release", act)

    # -- dispatch ---------------------------------------------------------------------------

    def tick(
        self,
        fence: Fence,
        limit: int,
        ahead_ms: int = 0,
        offset: int = 0,
        lost_after_ms: int | None = None,
    ) -> Tick | Unfenced:
        if lost_after_ms is not None:
            fence = replace(fence, heartbeat=0)

        def act() -> Tick:
            if lost_after_ms is not None:
                self.loss = Loss(min(lost_after_ms or self.now_ms, self.now_ms), self.now_ms)
            known = fence.stamp == self.controls.stamp
            found = self._tick(limit, ahead_ms, offset)
            return replace(found, controls=None if known else self.controls)

        return self._fenced("tick" if limit else "renew", fence, act)

    def _tick(self, limit: int, ahead_ms: int, offset: int) -> Tick:
        queue = sorted(
            (row.due_ms, name) for name, row in self.rows.items() if row.due_ms is not None
        )
        horizon_ms = self.now_ms + ahead_ms
        due = [item for item in queue if item[0] <= horizon_ms][offset : offset + limit]
        rest = queue[offset + len(due) :]
        return Tick(
            now_us=self.now_ms * 1_000,
            heartbeat=self.heartbeat,
            next_due_ms=rest[0][0] if rest else None,
            listeners=self.listeners,
            resend_ms=self._next_look(self.inflight),
            loss=self.loss,
            due=[
                DueEntry(
                    name,
                    at,
                    self.rows[name].digest if self.rows[name].raw else "",
                    self.rows[name].cursor_ms,
                    self.rows[name].fired,
                    self.open_circuits.get(name),
                )
                for at, name in due
            ],
            request_ms=self._next_look(self.requests),
        )

    def _next_look(self, of: Iterable[str]) -> int | None:
        return min((self.looks.get(each, self.now_ms) for each in of), default=None)

    def _in_turns(self, of: Iterable[str], entry_of: Callable[[str], str]) -> list[str]:
        """Those that are due: one of each entry, then a second of each, and so on."""
        due = [each for each in of if self.looks.get(each, self.now_ms) <= self.now_ms]
        due.sort(key=lambda each: self.looks.get(each, self.now_ms))
        turns: Counter[str] = Counter()
        ranked = []
        for each in due:
            turns[entry_of(each)] += 1
            ranked.append((turns[entry_of(each)], each))
        return [each for _, each in sorted(ranked, key=lambda item: item[0])]

    def definitions(self, names: Sequence[str]) -> Sequence[bytes | None]:
        def act() -> Sequence[bytes | None]:
            return [self.rows[name].raw if name in self.rows else None for name in names]

        return self._call("definitions", act)

    def claim(self, fence: Fence, claims: Sequence[Claim], *, atomic: bool) -> Statuses | Unfenced:
        def act() -> Statuses:
            refused: set[str] = set()
            words = []
            for claim in claims:
                # The cursor is not where it is thought to be, or what it was planned under is not.
                again = claim.firing.entry in refused or fence.stamp != self.controls.stamp
                word = "replan" if again else self._claim(str(fence.token), claim, atomic)
                refused |= {claim.firing.entry} if word.startswith("error ") else set()
                words.append(word)
            return Statuses(self.now_ms * 1_000, words)

        return self._fenced("claim", fence, act)

    def ready(self, claim: Claim) -> Claim:
        return claim

    def send_claim(self, fence: Fence, claims: Sequence[Claim], *, atomic: bool) -> Sent:
        return Sent(self.claim(fence, claims, atomic=atomic))

    def _claim(self, token: str, claim: Claim, atomic: bool) -> str:
        firing = claim.firing
        if firing.entry in self.words:
            return self.words[firing.entry]
        identity = (firing.entry, firing.identity)
        if firing.request:
            raw = self.requests.get(firing.request)
            if raw is None:
                return "gone"
            if hashlib.sha1(raw, usedforsecurity=False).hexdigest() != claim.expected.digest:
                return "replan"
            self.requests.pop(firing.request)
            if claim.remains:
                self.requests[firing.request] = claim.remains
                self.looks[firing.request] = claim.next.due_ms or self.now_ms
        else:
            row = self.rows.get(firing.entry)
            if row is None or row.cursor_ms is None:
                return "gone"
            if firing.slot_ms <= row.cursor_ms:
                mine = self.fired.get(identity, "").startswith(token + "|")
                return "mine " + self.fired[identity].split("|")[1] if mine else "duplicate"
            at = (row.digest, row.due_ms, row.cursor_ms)
            if at != (claim.expected.digest, claim.expected.due_ms, claim.expected.cursor_ms):
                return "replan"
            if self.now_ms < firing.effective_ms:
                return "early"
            row.cursor_ms, row.due_ms = firing.slot_ms, claim.next.due_ms
            if _is_over(claim.rendered.expires_ms, self.now_ms):
                row.due_ms = self.now_ms if row.due_ms is None else row.due_ms
                self.record(firing.entry, firing.slot_ms, "skipped", "expired")
                return "expired"
            row.fired += 1
        if atomic:
            self.fired[identity] = token + "|settled"
            self.record(firing.entry, firing.slot_ms, "sent", "atomic")
        else:
            self.fired[identity] = token + "|inflight"
            self.inflight[f"{firing.entry}@{firing.identity}"] = Kept(
                token,
                0,
                firing.effective_ms,
                claim.delivery,
                claim.rendered.envelope,
                claim.rendered.expires_ms,
            )
            self.looks[f"{firing.entry}@{firing.identity}"] = self.now_ms + 1_000
        return "ok"

    def settle(self, token: Token, departed: Sequence[Departed]) -> int:
        return self._call("settle", lambda: self._settle(str(token), departed))

    def send_settle(self, token: Token, departed: Sequence[Departed]) -> Sent:
        return Sent(self.settle(token, list(departed)))

    def _settle(self, token: str, departed: Sequence[Departed]) -> int:
        settled = 0
        for left in departed:
            key = (left.entry, left.identity)
            kept = self.inflight.pop(f"{left.entry}@{left.identity}", None)
            if kept is not None:
                settled += 1
                self.fired[key] = token + "|settled"
                over = _is_over(kept.expires_ms, left.left_ms)
                outcome = ("skipped", "expired") if over else ("sent", "")
                if left.outcome is not None:
                    outcome = (left.outcome.value, left.reason)
                self.record(left.entry, left.identity, *outcome)
            elif left.outcome is None and self.fired.get(key) != token + "|settled":
                self.record(left.entry, left.identity, "note", "left again")
        return settled

    def skip(self, fence: Fence, skips: Sequence[Skip]) -> Statuses | Unfenced:
        def act() -> Statuses:
            if fence.stamp != self.controls.stamp:
                return Statuses(self.now_ms * 1_000, ["replan" for _ in skips])
            return Statuses(self.now_ms * 1_000, [self._skip(skip) for skip in skips])

        return self._fenced("skip", fence, act)

    def _skip(self, skip: Skip) -> str:
        row = self.rows.get(skip.entry)
        if row is None:
            return "gone"
        at = (row.digest, row.due_ms, row.cursor_ms)
        if at != (skip.expected.digest, skip.expected.due_ms, skip.expected.cursor_ms):
            return "replan"
        row.cursor_ms, row.due_ms = skip.new_cursor_ms, skip.next.due_ms
        run = skip.run
        self.record(skip.entry, run.first_ms, run.outcome.value, run.reason, run.count)
        return "ok"

    def recover(self, fence: Fence, limit: int) -> Recovered | Unfenced:
        def act() -> Recovered:
            waits = {t: at for t, at in self.untrusted.items() if at > self.now_ms}
            found, waiting = [], []
            for key in self._in_turns(self.inflight, lambda key: key.rpartition("@")[0]):
                kept = self.inflight[key]
                if kept.token in waits:
                    waiting.append(waits[kept.token])
                    self.looks[key] = waits[kept.token]
                elif len(found) < limit:
                    kept.token = str(fence.token)
                    name, _, identity = key.rpartition("@")
                    found.append(
                        Intent(
                            name,
                            identity,
                            kept.attempts,
                            kept.effective_ms,
                            kept.delivery,
                            kept.envelope,
                            kept.expires_ms,
                        )
                    )
            return Recovered(self.now_ms * 1_000, min(waiting, default=None), found)

        return self._fenced("recover", fence, act)

    def mark(
        self,
        fence: Fence,
        intent: Intent,
        cap: int,
        bury: str,
        pause_ms: int,
        why: str = "",
    ) -> Marked | Unfenced:
        def act() -> Marked:
            kept = self.inflight.get(intent.field)
            if kept is None or kept.token != str(fence.token):
                return Marked(0)
            if not bury and _is_over(kept.expires_ms, self.now_ms):
                del self.inflight[intent.field]
                self.record(intent.entry, intent.identity, "skipped", "expired")
                return Marked(0)
            kept.attempts += 1
            if bury or kept.attempts > cap:
                self.dead.append(intent.field)
                del self.inflight[intent.field]
                outcome = "ambiguous" if bury else "failed"
                self.record(intent.entry, intent.identity, outcome, bury)
                return Marked(0, buried=True)
            self.looks[intent.field] = self.now_ms + pause_ms
            return Marked(kept.attempts)

        return self._fenced("mark", fence, act)

    def asked(self, fence: Fence, limit: int) -> DueRequests | Unfenced:
        def entry_of(key: str) -> str:
            raw = self.requests[key]
            return json.loads(raw)["entry"] if raw.startswith(b"{") else ""

        def act() -> DueRequests:
            found = []
            for key in self._in_turns(self.requests, entry_of)[:limit]:
                raw = self.requests[key]
                digest = hashlib.sha1(raw, usedforsecurity=False).hexdigest()
                found.append(StoredRequest(key, digest, raw))
            return DueRequests(found)

        return self._fenced("asked", fence, act)

    def circuits(self) -> dict[str, Circuit]:
        return self._call("circuits", lambda: dict(self.open_circuits))

    def keep_circuits(
        self, fence: Fence, changes: Sequence[tuple[str, str, Circuit | None]]
    ) -> Statuses | Unfenced:
        def act() -> Statuses:
            for name, digest, circuit in changes:
                self.open_circuits.pop(name, None)
                row = self.rows.get(name)
                if circuit is not None and (not digest or (row and row.digest == digest)):
                    self.open_circuits[name] = circuit
            return Statuses(self.now_ms * 1_000, [])

        return self._fenced("keep_circuits", fence, act)

    def put_off(
        self, fence: Fence, queue: Queue, fields: Sequence[str], until_ms: int
    ) -> Statuses | Unfenced:
        def act() -> Statuses:
            self.looks |= dict.fromkeys(fields, until_ms)
            return Statuses(self.now_ms * 1_000, [])

        return self._fenced("put_off", fence, act)

    def drop(
        self, fence: Fence, request: StoredRequest, entry: str, slot_ms: int, why: str
    ) -> Statuses | Unfenced:
        def act() -> Statuses:
            self.requests.pop(request.identity, None)
            self.record(entry, slot_ms, "failed", why)
            return Statuses(self.now_ms * 1_000, ["ok"])

        return self._fenced("drop", fence, act)

    def defer(self, fence: Fence, due: DueEntry, until_ms: int | None) -> Statuses | Unfenced:
        def act() -> Statuses:
            row = self.rows.get(due.name)
            fits = row is not None and (row.digest, row.due_ms) == (due.digest, due.due_ms)
            if row is not None and fits:
                row.due_ms = until_ms
            return Statuses(self.now_ms * 1_000, ["ok" if fits else "replan"])

        return self._fenced("defer", fence, act)

    def quarantine(self, fence: Fence, due: DueEntry, why: str) -> Statuses | Unfenced:
        def act() -> Statuses:
            row = self.rows[due.name]
            if (row.digest if row.raw else "") != due.digest:
                return Statuses(self.now_ms * 1_000, ["replan"])
            row.due_ms = None
            self.record(due.name, 0, "quarantined", why)
            return Statuses(self.now_ms * 1_000, ["ok"])

        return self._fenced("quarantine", fence, act)


@dataclass(frozen=True)
class OnItsWay:
    """`ports.Handed`: confirmed when asked, or not; what is known already is in `known`."""

    publisher: FakePublisher
    names: Sequence[str]
    known: Sequence[Answered]
    later: bool = False
    code_us: int | None = None

    def answers(self, timeout_ms: int) -> Sequence[Answered]:
        ends_us = self.publisher.clock.us + timeout_ms * 1_000
        return [
            known or self._answer(name, max(0, ends_us - self.publisher.clock.us) // 1_000)
            for name, known in zip(self.names, self.known, strict=True)
        ]

    def _answer(self, name: str, timeout_ms: int) -> Answered:
        publisher = self.publisher
        if not self.later:
            return None
        publisher.clock.advance(min(publisher.confirm_takes_ms, timeout_ms))
        if name in publisher.unconfirmed:
            return publisher.unconfirmed.pop(name)
        if publisher.confirm_takes_ms > timeout_ms:
            return BrokerUnavailable("the broker has not confirmed in time")
        publisher.confirmed.append(name)
        return None


class FakePublisher:
    """Renders to an envelope that names the firing; the broker is a list."""

    def __init__(self, clock: FakeClock, *, atomic: bool = False) -> None:
        self.clock = clock
        self.atomic = atomic
        self.sent: list[tuple[str, int]] = []
        self.rendered: list[str] = []
        self.timeouts: list[int] = []
        #: How many messages each packet had.
        self.windows: list[int] = []
        self.down = False
        self.fails: dict[str, list[BrokerUnavailable | PublishRefused | Unsent]] = {}
        self.render_fails: dict[str, list[Exception]] = {}
        self.takes_ms = 0.0
        #: Whether the broker says later that it has a message, how late, and what it says instead.
        self.confirms_later = False
        self.confirm_takes_ms = 0.0
        self.unconfirmed: dict[str, BrokerUnavailable | PublishRefused] = {}
        self.confirmed: list[str] = []
        self.render_takes_ms = 0.0
        #: How long code of others takes over the message of an entry, where any does.
        self.code_takes_ms: dict[str, float] = {}
        self.gave_up: list[str] = []
        self.unrepeatable: set[str] = set()
        self.on_publish: Callable[[], None] = lambda: None
        self.connects = 0
        #: Whether messages may be made before their time.
        self.foresees = False
        self.foreseen: list[str] = []

    def foresee(self, entry: Entry, firing: Firing, cluster: str, epoch: int) -> Rendered | None:
        if not self.foresees:
            return None
        self.foreseen.append(entry.name)
        return self.render(entry, firing, cluster, epoch)

    def may_foresee(self) -> bool:
        return self.foresees

    def prepare(self, timeout_ms: int) -> None:
        """It is decided."""

    def render(self, entry: Entry, firing: Firing, cluster: str, epoch: int) -> Rendered:
        self.rendered.append(entry.name)
        self.clock.advance(self.render_takes_ms)
        if self.render_fails.get(entry.name):
            raise self.render_fails[entry.name].pop(0)
        words, ends_ms = f"{entry.name}@{firing.identity}", expires_ms(entry, firing)
        if entry.name in self.unrepeatable:
            return Rendered(words.encode(), repeatable=False, expires_ms=ends_ms)
        code_us = self._run_code(entry.name)
        if self.atomic:
            commands = [("LPUSH", "q", words)]
            return Rendered(commands=commands, code_us=code_us, expires_ms=ends_ms)
        return Rendered(words.encode(), code_us=code_us, expires_ms=ends_ms)

    def _run_code(self, name: str) -> int | None:
        takes_ms = self.code_takes_ms.get(name)
        if takes_ms is None:
            return None
        self.clock.advance(takes_ms)
        return round(takes_ms * 1_000)

    def refused_push(self, commands: Sequence[Sequence[Any]], why: str) -> bool:
        self.atomic = False
        self.gave_up.append(why)
        return True

    def connect(self, timeout_ms: int) -> None:
        self.connects += 1
        if self.down:
            raise BrokerUnavailable("connection refused")

    @property
    def packets(self) -> int:
        return 2 if self.confirms_later else 1

    def publish(self, parcels: Sequence[Parcel], timeout_ms: int) -> OnItsWay:
        self.timeouts.append(timeout_ms)
        self.windows.append(len(parcels))
        self.on_publish()
        self.clock.advance(self.takes_ms)
        known: list[Answered] = []
        for parcel in parcels:
            known.append(next((e for e in known if isinstance(e, BrokerUnavailable)), None))
            known[-1] = known[-1] or self._send(parcel)
        names = [parcel.entry for parcel in parcels]
        code_us = self._run_code(names[0]) if names[0] in self.unrepeatable else None
        return OnItsWay(self, names, known, self.confirms_later, code_us)

    def _send(self, parcel: Parcel) -> Answered:
        fails = self.fails.get(parcel.entry)
        if fails:
            return fails.pop(0)
        if self.down:
            return BrokerUnavailable("connection reset")
        self.sent.append((parcel.envelope.decode(), parcel.attempt))
        return None

    @property
    def names(self) -> list[str]:
        return [envelope.rpartition("@")[0] for envelope, _ in self.sent]


class Chores:
    """Housekeeping that does nothing unless a test asks for it."""

    def __init__(self) -> None:
        self.wait_ms: int | None = None
        self.seen: list[bool] = []
        self.error: Exception | None = None

    def each_tick(self, lead: Lead | None) -> int | None:
        self.seen.append(lead is not None)
        if self.error is not None:
            raise self.error
        return self.wait_ms

    def mend(self, lead: Lead | None) -> None:
        """No other process writes to these keys."""

    def resume(self, lead: Lead, names: Sequence[str]) -> None:
        """No pause ever ends here."""


@dataclass
class World:
    """One replica over the fakes."""

    ttl_ms: int = 6_000
    atomic: bool = False
    publish_timeout_ms: int = 3_000
    policies: Policies = field(default_factory=Policies)
    crash_poll_ms: int = 250
    window: int = 50
    event_log: EventLog = field(default_factory=NoEventLog)

    def __post_init__(self) -> None:
        self.clock = FakeClock()
        self.store = FakeStore(self.clock)
        self.line = FakeLine(self.clock)
        self.publisher = FakePublisher(self.clock, atomic=self.atomic)
        self.catalog = FakeCatalog()
        self.chores = Chores()
        self.stop = False
        self.election = Election(
            self.store, self.clock, Pace(self.ttl_ms, self.crash_poll_ms), "me"
        )
        self.engine = Engine(
            election=self.election,
            store=self.store,
            wake_channel=self.line,
            clock=self.clock,
            publisher=self.publisher,
            definitions=self.catalog,
            asker=ImmediateAsker(),
            housekeeping=self.chores,
            settings=EngineSettings(
                ttl_ms=self.ttl_ms,
                renew_after_ms=min(1_000, self.ttl_ms // 3),
                publish_timeout_ms=self.publish_timeout_ms,
                policies=self.policies,
                outbox_window=self.window,
            ),
            stopping=lambda: self.stop,
            event_log=self.event_log,
        )

    @property
    def now_ms(self) -> int:
        return self.store.now_ms

    def add(self, name: str, *, ago_ms: int = 0, every_ms: int = 60_000, **other: Any) -> Entry:
        """An entry whose newest slot was `ago_ms` ago, due and not yet fired."""
        slot_ms = self.now_ms - ago_ms
        schedule = other.pop("schedule", Interval(every_ms, slot_ms % every_ms))
        entry = replace(Entry(name, "task", schedule), **other)
        self.catalog.entries[name] = entry
        cursor_ms = slot_ms - 1
        self.store.rows[name] = Row(name.encode(), cursor_ms, entry.next_slot_ms(cursor_ms))
        return entry

    def tick(self, times: int = 1) -> None:
        for _ in range(times):
            self.engine.tick()

    def run(self, ms: int) -> None:
        """Tick until so much time has passed (or a great many ticks did not make it pass)."""
        ends, ticks = self.clock.us + ms * 1_000, 0
        while self.clock.us < ends:
            self.engine.tick()
            ticks += 1
            assert ticks < ms + 2_000, "the loop is hot: it ticks and never waits"


AT_MOST_ONCE = Delivery.AT_MOST_ONCE
