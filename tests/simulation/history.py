"""The checker: what happened, and whether it may have.

Events are noted as they happen: claims and cursors by watching the model server's writes,
messages by the broker, faults by whoever made them. The invariants are those of the design:

I2 tokens never repeat · I3 at most one claim per (entry, slot) and history · I4 cursors only
move forward within a history · I5 a claim carries the live token · I6 no claim before its
effective time · I7 claimed = settled + abandoned + in flight · I8 a message implies a claim ·
I9 without a fault in its window a slot has exactly one message, never more than the cap ·
I10 what leaves :inflight is settled or dead · I11 every duplicate is explained by a fault between
its claim and its settling plus one TTL · every slot is in the ledger exactly once.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field

from habeat.core.schedule.base import Schedule
from tests.simulation.model import Server, Stream
from tests.simulation.parts import Message

Slot = tuple[str, int]
ATTEMPTS_CAP = 11


@dataclass
class Fault:
    """Something that was done to the system, from when to when."""

    kind: str
    start_us: int
    end_us: int


@dataclass
class History:
    """All that has to be known to judge a run."""

    server: Server
    true_us: Callable[[], int]
    base: str
    ttl_us: int
    atomic: bool
    faults: list[Fault] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)
    claims: dict[Slot, list[int]] = field(default_factory=lambda: defaultdict(list))
    settled: dict[Slot, int] = field(default_factory=dict)
    cursors: dict[str, int] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    resets: list[int] = field(default_factory=list)

    def watch(self) -> None:
        """Start watching the server's writes."""
        self.server.on_write = self._on_write

    def reset(self) -> None:
        """Data was lost: a new history begins, cursors may stand anywhere."""
        self.resets.append(self.true_us())
        self.cursors.clear()

    def wrong(self, text: str) -> None:
        self.problems.append(text)

    def _on_write(self, name: str, words: tuple[bytes, ...]) -> None:
        key = words[0].decode()
        if name == "SET" and key.startswith(self.base + "fired:"):
            self._on_fired(key, words[1].decode())
        elif name == "SET" and key == self.base + "lease":
            token = words[1].decode()
            if token in self.tokens:
                self.wrong(f"I2: the token {token} was used before")
            self.tokens.append(token)
        elif name == "HSET" and key == self.base + "state":
            self._on_state(words[1].decode(), words[2].decode())

    def _on_fired(self, key: str, value: str) -> None:
        entry, _, slot = key[len(self.base) + len("fired:") :].rpartition(":")
        token, _, how = value.rpartition("|")
        now_us = self.true_us()
        claiming = how == ("settled" if self.atomic else "inflight")
        if not claiming:
            self.settled[entry, int(slot)] = now_us
            return
        lease = self.server.call("GET", self.base + "lease")
        if lease is None or lease.decode() != token:
            self.wrong(f"I5: {entry}@{slot} was claimed by {token}, the lease is {lease!r}")
        if self.server.now_us() < int(slot) * 1_000:
            self.wrong(f"I6: {entry}@{slot} was claimed early, at {self.server.now_us()}")
        earlier = self.claims[entry, int(slot)]
        if any(not self._reset_between(at, now_us) for at in earlier):
            self.wrong(f"I3: {entry}@{slot} was claimed twice in one history")
        earlier.append(now_us)
        if self.atomic:
            self.settled[entry, int(slot)] = now_us

    def _on_state(self, entry: str, state: str) -> None:
        cursor = int(state.partition("|")[0])
        if cursor < self.cursors.get(entry, 0):
            self.wrong(f"I4: the cursor of {entry} went back to {cursor}")
        self.cursors[entry] = cursor

    def _reset_between(self, start_us: int, end_us: int) -> bool:
        return any(start_us <= at <= end_us for at in self.resets)

    # -- at any moment ------------------------------------------------------------------------

    def check_accounting(self) -> None:
        """I7, after every script."""
        meta = {
            name: int(self.server.call("HGET", self.base + "meta", name) or 0)
            for name in ("claimed", "settled", "abandoned")
        }
        flying = self.server.call("HLEN", self.base + "inflight")
        if meta["claimed"] != meta["settled"] + meta["abandoned"] + flying:
            self.wrong(f"I7: {meta}, {flying} in flight")

    # -- at the end ---------------------------------------------------------------------------

    def check_messages(self, messages: list[Message]) -> None:
        """I8, I9, I11."""
        sent: dict[Slot, list[Message]] = defaultdict(list)
        for message in messages:
            sent[message.entry, message.slot_ms].append(message)
        for slot, copies in sent.items():
            self._check_copies(slot, copies)

    def _check_copies(self, slot: Slot, copies: list[Message]) -> None:
        claims = self.claims.get(slot, [])
        if not claims or copies[0].at_us < claims[0]:
            self.wrong(f"I8: {slot} was sent without a claim")
            return
        if len(copies) == 1 or len(claims) >= len(copies):
            return
        if len(copies) > ATTEMPTS_CAP:
            self.wrong(f"I9: {slot} was sent {len(copies)} times")
        if not self.resets and len({copy.task_id for copy in copies}) > 1:
            self.wrong(f"I9: the copies of {slot} have different ids")
        ends = self.settled.get(slot, copies[-1].at_us) + self.ttl_us
        if not any(f.start_us <= ends and f.end_us >= claims[0] for f in self.faults):
            self.wrong(f"I11: {slot} was sent {len(copies)} times and no fault explains it")

    def check_ledger(self, schedules: dict[str, tuple[Schedule, int]]) -> None:
        """Every slot after an entry's first cursor is in the ledger exactly once."""
        ledger = self.server.databases[0].get((self.base + "ledger").encode(), Stream())
        counted: Counter[str] = Counter()
        single: Counter[Slot] = Counter()
        for _, flat in ledger:
            words = dict(zip(flat[::2], flat[1::2], strict=True))
            if words[b"outcome"] == b"note" or words[b"count"] == b"0":
                continue
            entry, count = words[b"entry"].decode(), int(words[b"count"])
            counted[entry] += count
            if count == 1:
                single[entry, int(words[b"slot"])] += 1
        twice = [slot for slot, times in single.items() if times > 1]
        if twice:
            self.wrong(f"the ledger has these slots twice: {twice[:5]}")
        for entry, (schedule, since_ms) in schedules.items():
            run = schedule.count_between(since_ms, self.cursors.get(entry, since_ms))
            expected = run.count if run else 0
            if counted[entry] != expected:
                self.wrong(f"{entry}: {expected} slots, {counted[entry]} in the ledger")
