"""What the demo sees of its beats, read from the keys that `celery … habeat status` reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import redis

from habeat.config.redis_target import redis_target
from habeat.core.lateness import Lateness
from habeat.demo.location import Location
from habeat.store.calling import Caller
from habeat.store.connection import Connections
from habeat.store.inspection import Facts, Inspection
from habeat.store.keys import Keys


@dataclass(frozen=True)
class View:
    """One look at Redis.

    `leader_pid` is None while there is no leader or it is unknown. `roles` are the roles that the
    beats last reported, by process id.
    """

    now_us: int
    token: str
    leader_pid: int | None
    leader_since_us: int
    leader_cause: str
    dispatch: str
    roles: Mapping[int, str]
    enqueued: int
    runs: int
    repeated: int
    overall: Lateness
    by_entry: Mapping[str, Lateness]


class Watch:
    """Reads Redis and writes nothing."""

    def __init__(self, location: Location, entries: Sequence[str]) -> None:
        self._location = location
        self._entries = entries
        self._connections = Connections(
            redis_target(location.url, {}), socket_timeout_s=5, connect_timeout_s=5
        )
        self._inspection = Inspection(Caller(self._connections, Keys(location.prefix)))
        self._client = redis.Redis.from_url(location.url, socket_timeout=5)

    def now_us(self) -> int:
        """Redis' clock."""
        seconds, micros = self._client.time()
        return int(seconds) * 1_000_000 + int(micros)

    def look(self) -> View:
        """Everything that the screen shows."""
        facts = self._inspection.facts()
        counts = [int(count) for count in self._client.hvals(self._location.tally)]
        return View(
            now_us=facts.now_ms * 1_000,
            token=str(facts.holder) if facts.holder and facts.pttl_ms > 0 else "",
            leader_pid=_leader(facts).get("pid"),
            leader_since_us=facts.count("leader_since"),
            leader_cause=facts.meta.get("leader_cause", ""),
            dispatch=str(_leader(facts).get("dispatch", "")),
            roles={info.get("pid", 0): str(info.get("role")) for info in facts.replicas.values()},
            enqueued=facts.count("settled"),
            runs=sum(counts),
            repeated=sum(count - 1 for count in counts),
            overall=self._inspection.overall_lateness(),
            by_entry=self._inspection.lateness(self._entries),
        )

    def waiting_in_broker(self) -> int:
        """The number of messages that no worker has taken, or not finished yet."""
        prefix = self._location.broker_prefix
        queued: Any = self._client.llen(prefix + self._location.queue)
        taken: Any = self._client.hlen(prefix + "unacked")
        return int(queued) + int(taken)

    def runs_by_slot(self) -> dict[tuple[str, str], int]:
        """How often the worker ran each (entry, slot); a slot is in ISO 8601."""
        found: Any = self._client.hgetall(self._location.tally)
        counted = {}
        for field, count in found.items():
            slot, _, entry = field.decode().partition(" ")
            counted[entry, slot] = int(count)
        return counted

    def close(self) -> None:
        """Disconnect."""
        self._connections.close()
        self._client.close()


def _leader(facts: Facts) -> Mapping[str, Any]:
    return facts.replicas.get(facts.holder.nonce, {}) if facts.holder else {}
