"""A server with twenty thousand of everything, and a count of what a script touches there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from habeat.core.lease import Token
from habeat.ports import Known, Won
from habeat.store.calling import AnsweredCall, Caller
from habeat.store.dispatch import RedisDispatchStore
from habeat.store.entries import EntryStore
from habeat.store.inspection import Inspection
from habeat.store.leases import RedisElectionStore
from habeat.store.pipelining import plain
from habeat.store.scripting import script
from tests.integration.scripts.bench import Bench, One

MANY = 20_000
TTL_MS = 600_000
PROLOGUE = (Path(__file__).parent / "touched.lua").read_text("utf-8")


def name_of(number: int) -> str:
    return f"entry-{number:06}"


class Counting(Caller):
    """A caller whose scripts count what they touch, each by itself."""

    def __init__(self, bench: Bench) -> None:
        super().__init__(One(bench.admin), bench.keys)
        self._admin = bench.admin
        self.counts: Counter[str] = Counter()

    def run(self, name: str, *args: Any) -> Any:
        reply, count = self.counted(script(name).text, *plain(args))
        self.counts[name] = max(count, self.counts[name])
        return reply

    def counted(self, text: str, *args: Any) -> tuple[Any, int]:
        """The reply of a script, and what it touched."""
        self._admin.delete("touched")
        keys = self.keys.fixed
        reply = self._admin.eval(f"{PROLOGUE}\n{text}", len(keys), *keys, *args)
        return reply, sum(int(each) for each in self._admin.hvals("touched"))

    def send(self, name: str, *args: Any) -> Any:
        return Answered(self.run(name, *args))


class Answered(AnsweredCall[Any]):
    """A call that has been answered already, as `calling.ScriptCall`."""

    def read_by(self, read: Callable[[Any], Any]) -> AnsweredCall[Any]:
        return AnsweredCall(read(self.result()))


class Crowd:
    """All entries belong to code that two configurations declare, and none is due for an hour."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.placed = [bench.place(f"placed-{number}") for number in range(200)]
        self.names = [name_of(number) for number in range(MANY)]
        self.due_ms = bench.now_ms + 3_600_000
        self._fill()
        self.caller = Counting(bench)
        self.leases = RedisElectionStore(self.caller, bench.clock, "bench")
        self.store = RedisDispatchStore(
            self.caller, dedup_ttl_ms=60_000, ledger_age_ms=86_400_000, ledger_length=10**7
        )
        self.entries = EntryStore(self.caller)
        self.insight = Inspection(self.caller)

    def _fill(self) -> None:
        keys, numbers = self.bench.keys, range(MANY)
        state = f"{self.due_ms - 10**7}|{self.due_ms}||  |0".replace(" ", "")
        definition = self.placed[0].stored
        late = self.due_ms + 10**7
        for many in _batched(numbers, 1_000):
            names = [name_of(number) for number in many]
            pipe = self.bench.admin.pipeline(transaction=False)
            pipe.hset(keys.entries, mapping=dict.fromkeys(names, definition))
            pipe.hset(keys.state, mapping=dict.fromkeys(names, state))
            pipe.zadd(keys.due, dict.fromkeys(names, self.due_ms))
            pipe.hset(keys.paused, mapping=dict.fromkeys(names, "{}"))
            pipe.zadd(keys.resume, dict.fromkeys(names, late))
            pipe.hset(keys.quarantine, mapping=dict.fromkeys(names, "why"))
            pipe.hset(keys.dead, mapping=dict.fromkeys(names, "message"))
            pipe.hset(keys.requests, mapping=dict.fromkeys(names, "{}"))
            pipe.hset(keys.last_records, mapping=dict.fromkeys(names, "1-1"))
            pipe.sadd(keys.owned, *names)
            pipe.sadd(keys.declared("old"), *names)
            pipe.sadd(keys.declared("new"), *names)
            for name in names:
                pipe.xadd(keys.ledger, {"entry": name, "slot": "1", "outcome": "sent"})
            pipe.execute()

    def token(self) -> Token:
        """Of the lease, taken if it is free."""
        won = self.bench.leases.acquire("aa", TTL_MS, Known())
        assert isinstance(won, Won)
        return won.token

    def count(self, text: str, *args: Any) -> int:
        """What a script touches."""
        return self.caller.counted(text, *args)[1]


def _batched(numbers: Sequence[int], size: int) -> Iterator[Sequence[int]]:
    for start in range(0, len(numbers), size):
        yield numbers[start : start + size]
