"""Histories written by hand: what the scripts would write, step by step, with any step wrong."""

from __future__ import annotations

from typing import Any

from habeat.core.entry import Delivery, Entry
from habeat.core.firing import Firing
from habeat.entries.codec import encode
from habeat.schedules import Interval
from tests.verification.history.checker import Verdict, judge
from tests.verification.history.events import (
    Arrival,
    Event,
    Expectation,
    Fault,
    Gap,
    Kind,
    Lost,
    ScriptEnd,
    Write,
)

BASE = "{tale}:"
START_MS = 1_700_000_000_000
TTL_MS = 2_000
CLUSTER = "c"


class Tale:
    """Writes a history; the clock moves only by `wait` and `until`."""

    def __init__(self, *, atomic: bool = False) -> None:
        self.events: list[Event] = []
        self.at_us = START_MS * 1_000
        self.step_us = 0
        self.atomic = atomic
        self.token = ""
        self._cursors: dict[str, int] = {}
        self._every: dict[str, int] = {}

    # -- time -----------------------------------------------------------------------------------

    @property
    def now_ms(self) -> int:
        return (self.at_us + self.step_us) // 1_000

    def wait(self, ms: float) -> Tale:
        self.at_us += round(ms * 1_000)
        return self

    def until(self, ms: int) -> Tale:
        """Set the server's clock to this long after the start."""
        self.at_us = (START_MS + ms) * 1_000 - self.step_us
        return self

    # -- words ----------------------------------------------------------------------------------

    def write(self, command: str, key: str, *words: object) -> Tale:
        problem = (command.encode(), (BASE + key).encode(), *(str(word).encode() for word in words))
        self.events.append(Write(self.at_us, self.at_us + self.step_us, problem))
        return self

    def end(self) -> Tale:
        self.events.append(ScriptEnd(self.at_us))
        return self

    def record(self, entry: str, slot: int, outcome: str, **problem: Any) -> Tale:
        given = {"reason": "", "count": 1, "until": slot, "epoch": self.epoch, **problem}
        words = ["entry", entry, "slot", slot, "outcome", outcome]
        for name in ("reason", "count", "until", "epoch"):
            words += [name, given[name]]
        words += ["late", 0, "attempt", 1]
        if "request" in given:
            words += ["request", given["request"]]
        return self.write("XADD", "ledger", "*", *words)

    @property
    def epoch(self) -> str:
        return self.token.partition(":")[0] or "0"

    def count(self, name: str, by: int = 1) -> Tale:
        return self.write("HINCRBY", "meta", name, by)

    # -- leading --------------------------------------------------------------------------------

    def lead(self, nonce: str = "a", *, epoch: int | None = None, steal: bool = False) -> Tale:
        before, self.token = self.token, f"{epoch or self.now_ms}:{nonce}"
        self.write("SET", "lease", self.token, "PX", TTL_MS)
        if steal:
            self.write("HSET", "untrusted", before, self.now_ms + TTL_MS)
        return self.end()

    def renew(self) -> Tale:
        return self.write("PEXPIRE", "lease", TTL_MS).end()

    def release(self) -> Tale:
        return self.write("DEL", "lease").end()

    # -- entries --------------------------------------------------------------------------------

    def definition(self, name: str, every_ms: int, **other: Any) -> bytes:
        self._every[name] = every_ms
        return encode(Entry(name, "task", Interval(every_ms, 0), **other))

    def add(self, name: str = "e", every_ms: int = 1_000, **other: Any) -> Tale:
        raw = self.definition(name, every_ms, **other)
        self.write("HSET", "entries", name, raw.decode())
        return self.state(name, self.now_ms).end()

    def state(self, name: str, cursor_ms: int, count: int = 0) -> Tale:
        self._cursors[name] = cursor_ms
        following = cursor_ms // self._every[name] * self._every[name] + self._every[name]
        return self.write("HSET", "state", name, f"{cursor_ms}|{following}|||{count}")

    # -- firing ---------------------------------------------------------------------------------

    def fired(self, identity: object, how: str, name: str = "e", token: str = "") -> Tale:
        problem = f"{token or self.token}|{how}"
        return self.write("SET", f"fired:{name}:{identity}", problem, "PX", 300_000)

    def intent(
        self,
        identity: object,
        attempts: int = 0,
        name: str = "e",
        token: str = "",
        once: bool = False,
    ) -> Tale:
        kind = f"/{Delivery.AT_MOST_ONCE if once else Delivery.AT_LEAST_ONCE}"
        words = "\n".join([token or self.token, str(attempts), "0", kind, "m"])
        return self.write("HSET", "inflight", f"{name}@{identity}", words)

    def claim(self, slot: int, name: str = "e", *, once: bool = False) -> Tale:
        """The slot this long after the start."""
        slot += START_MS
        self.state(name, slot)
        if self.atomic:
            self.send(slot - START_MS, name)
            self.fired(slot, "settled", name).record(name, slot, "sent")
            return self.count("claimed").count("settled").end()
        self.fired(slot, "inflight", name).intent(slot, name=name, once=once)
        return self.count("claimed").end()

    def send(self, slot: int, name: str = "e", *, attempt: int = 1, sender: str = "") -> Tale:
        return self.message(str(slot + START_MS), name, attempt=attempt, sender=sender)

    def message(self, identity: str, name: str = "e", **other: Any) -> Tale:
        slot, _, request = identity.partition("#")
        task_id = Firing(name, int(slot), 0, request=request).task_id(CLUSTER)
        arrival = {"task_id": task_id, **other}
        self.events.append(Arrival(self.at_us, name, identity, **arrival))
        return self

    def settle(
        self, slot: int, name: str = "e", *, outcome: str = "sent", reason: str = ""
    ) -> Tale:
        slot += START_MS
        self.write("HDEL", "inflight", f"{name}@{slot}").fired(slot, "settled", name)
        return self.record(name, slot, outcome, reason=reason).count("settled").end()

    def restamp(self, slot: int, name: str = "e", attempts: int = 0) -> Tale:
        return self.intent(slot + START_MS, attempts, name).end()

    def mark(self, slot: int, attempts: int, name: str = "e") -> Tale:
        return self.intent(slot + START_MS, attempts, name).end()

    def bury(self, slot: int, name: str = "e", *, outcome: str = "failed") -> Tale:
        slot += START_MS
        field = f"{name}@{slot}"
        self.write("HSET", "dead", field, "raw").write("HDEL", "inflight", field)
        return self.count("abandoned").record(name, slot, outcome).end()

    def fire(self, slot: int, name: str = "e", *, once: bool = False) -> Tale:
        """Claimed, sent and settled, as it should be."""
        self.claim(slot, name, once=once)
        if self.atomic:
            return self
        return self.wait(1).send(slot, name).wait(1).settle(slot, name)

    def skip(self, first: int, last: int, outcome: str = "missed", **problem: Any) -> Tale:
        name = problem.pop("name", "e")
        first, last = first + START_MS, last + START_MS
        count = (last - first) // self._every[name] + 1
        self.state(name, last)
        problem = {"reason": "misfire: latest", "count": count, "until": last, **problem}
        return self.record(name, first, outcome, **problem).end()

    def leave_out(self, first: int, last: int, name: str = "e") -> Tale:
        """Slots of a pause that ends now."""
        self.write("HSET", "paused", name, "{}").write("HDEL", "paused", name)
        return self.skip(first, last, "skipped", name=name, reason="paused", epoch=0)

    # -- what is done to it ---------------------------------------------------------------------

    def fault(self, kind: Kind, victim: str = "", ms: float = 0) -> Tale:
        self.events.append(Fault(kind, self.at_us, self.at_us + round(ms * 1_000), victim))
        return self

    def lose(self, *kept: tuple[str, ...] | None) -> Tale:
        """Data is lost; `kept` as words without the base, None if unknown."""
        problem = None if kept == (None,) else tuple(_words(words) for words in kept if words)
        self.events.append(Lost(self.at_us, "problem so", problem, self.at_us + self.step_us))
        return self

    def gap(self, ms: float, *kept: tuple[str, ...] | None) -> Tale:
        problem = None if kept == (None,) else tuple(_words(words) for words in kept if words)
        self.events.append(Gap(self.at_us, self.at_us + round(ms * 1_000), problem))
        return self.wait(ms)

    # -- the verdict ----------------------------------------------------------------------------

    def judged(self, **other: Any) -> Verdict:
        given = {"base": BASE, "ttl_us": TTL_MS * 1_000, "atomic": self.atomic, **other}
        return judge(self.events, Expectation(**{"tail_us": 0, "prompt_us": 3_000_000, **given}))

    def problems(self, **other: Any) -> list[str]:
        """The first lines of all problems."""
        return [problem.partition("\n")[0] for problem in self.judged(**other).problems]


def _words(words: tuple[str, ...]) -> tuple[bytes, ...]:
    command, key, *rest = words
    return (command.encode(), (BASE + key).encode(), *(word.encode() for word in rest))


def begun(*, atomic: bool = False, **entry: Any) -> Tale:
    """A leader, an entry of one second, and its first firing, as it should be."""
    tale = Tale(atomic=atomic).lead()
    return tale.add(**entry).until(1_000).fire(1_000)
