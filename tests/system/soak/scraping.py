"""What a soak reads each second: the counters at one moment, the ledger's end, the queue."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

import psutil
import redis

from tests.system.acceptance.arrivals import QUEUE, Arrival, of_headers
from tests.system.soak.accounts import Accounts, Record
from tests.system.soak.minutes import Scrape

PAGE = 5_000

#: One script, so that the sum of the counters is that of one moment.
LOOK = """
local base = ARGV[1]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local function meta(name) return redis.call('HGET', base .. 'meta', name) or '0' end
return {meta('claimed'), meta('settled'), meta('abandoned'),
  redis.call('HLEN', base .. 'inflight'), redis.call('HLEN', base .. 'entries'),
  redis.call('ZCARD', base .. 'due'),
  redis.call('ZCOUNT', base .. 'due', '-inf', string.format('(%.0f', now - 1000)),
  redis.call('GET', base .. 'lease') or ''}
"""


class Queue(Protocol):
    """Where the messages of the beats come out."""

    def length(self) -> int: ...

    def take(self) -> list[Arrival]: ...


@dataclass
class OnServer:
    """The queue in a database of the schedule's own server, taken a page at a time."""

    client: redis.Redis

    def length(self) -> int:
        return int(self.client.llen(QUEUE))  # type: ignore[arg-type]

    def take(self) -> list[Arrival]:
        found: list[Arrival] = []
        while page := self._page():
            found += page
        return found

    def _page(self) -> list[Arrival]:
        pipe = self.client.pipeline(transaction=True)
        pipe.lrange(QUEUE, -PAGE, -1)
        pipe.ltrim(QUEUE, 0, -PAGE - 1)
        raw = pipe.execute()[0]
        return [of_headers(json.loads(message)["headers"]) for message in reversed(raw)]


@dataclass
class Reader:
    """Reads everything that there is to read, into the accounts."""

    client: redis.Redis
    base: str
    queue: Queue
    accounts: Accounts
    holders: dict[int, str] = field(default_factory=dict)
    #: (when, what) of each record that is neither sent nor skipped, in wall-clock seconds.
    odd: list[tuple[float, Record]] = field(default_factory=list)
    _last: str = "-"

    def look(self, pids: list[int]) -> Scrape:
        """The counters of one moment; the memory of Redis and of the beats beside them."""
        reply: Any = self.client.eval(LOOK, 0, self.base)
        *figures, leader = reply
        holder = leader.decode()
        if holder:
            epoch, _, nonce = holder.partition(":")
            self.holders[int(epoch)] = nonce
        memory: Any = self.client.info("memory")
        claimed, settled, abandoned, in_flight, entries, due, overdue = map(int, figures)
        return Scrape(
            time.time(), claimed, settled, abandoned, in_flight, entries, due, overdue, holder,
            int(memory["used_memory"]), self.queue.length(), max(map(_rss, pids), default=0),
        )  # fmt: skip

    def read(self) -> list[int]:
        """The ledger since the last look, and the queue; how late each firing was, in ms."""
        late_ms: list[int] = []
        for at_ms, words in self._fresh():
            record = Record(
                words["entry"], int(words["slot"]), int(words["until"]), int(words["count"]),
                words["outcome"], words["reason"],
            )  # fmt: skip
            self.accounts.recorded(record)
            if record.outcome in ("sent", "late"):
                late_ms.append(int(float(words["late"])))
            elif record.outcome not in ("skipped", "note"):
                self.odd.append((at_ms / 1_000, record))
        now_s = time.time()
        for message in self.queue.take():
            self.accounts.arrived(message.entry, message.slot_ms, message.epoch, now_s)
        return late_ms

    def _fresh(self) -> Iterator[tuple[int, dict[str, str]]]:
        while True:
            page: Any = self.client.xrange(self.base + "ledger", min=self._last, count=PAGE)
            for identity, raw in page:
                self._last = "(" + identity.decode()
                words = {key.decode(): value.decode() for key, value in raw.items()}
                yield int(identity.partition(b"-")[0]), words
            if len(page) < PAGE:
                return

    def cursors(self) -> dict[str, int]:
        """Where each entry stands."""
        found: Any = self.client.hgetall(self.base + "state")
        return {name.decode(): int(raw.split(b"|")[0]) for name, raw in found.items()}


def _rss(pid: int) -> int:
    try:
        return int(psutil.Process(pid).memory_info().rss)
    except psutil.Error:
        return 0
