"""What each path answers.

`/healthz` says whether this process ticks, and asks nothing else: a beat whose Redis is away must
not be restarted. `/readyz` says whether it could lead: a standby is as ready as the leader.
`/metrics` needs the token if there is one. The two probes never do, because those who probe cannot
always send it; their answers say nothing about the schedule.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain

from habeat.beat.http.message import Answer, Request, plain
from habeat.errors import MissingPackage
from habeat.metrics.prometheus import written
from habeat.metrics.samples import Sample
from habeat.metrics.source import Source
from habeat.metrics.table import BY_NAME
from habeat.ports import Clock

#: A tick ends within a second or, if a dependency hangs, within the lease.
STALE_AFTER_MS = 60_000
HEALTHZ, READYZ, METRICS = "/healthz", "/readyz", "/metrics"


@dataclass(frozen=True, slots=True)
class State:
    """What the process says about itself; `inert` is why it can never lead, "" if it can."""

    inert: str
    leads: bool


class Answers:
    """The answers of one process. `ticked` is called by the loop, the rest by other threads."""

    def __init__(
        self, source: Source, clock: Clock, token: str | None, state: Callable[[], State]
    ) -> None:
        self._source = source
        self._clock = clock
        self._token = token
        self._state = state
        self.ticked()

    def ticked(self) -> None:
        """Note that a tick begins."""
        self._ticked_ms, self._ticked_wall_ms = self._now_ms(), self._clock.wall_ms()

    def health(self) -> Answer:
        """Whether this process ticks. Without I/O, so it is answered at once."""
        age_ms = self._now_ms() - self._ticked_ms
        if age_ms > STALE_AFTER_MS:
            return plain(503, f"the last tick began {age_ms // 1_000} s ago")
        return plain(200, "ok")

    def readiness(self) -> Answer:
        """Whether this process could lead. It asks Redis."""
        if self._state().inert:
            return plain(503, "inert: this beat can never lead; its log says why")
        health = self.health()
        if health.status != 200:
            return health
        if not self._source.answers():
            return plain(503, "Redis is unavailable")
        return plain(200, "ok")

    def metrics(self, accept: str) -> Answer:
        """All metrics, as read from Redis now, and those of this process."""
        try:
            body, content_type = written(chain(self._source.samples(), self._own()), accept)
        except MissingPackage as error:
            return plain(501, str(error))
        return Answer(200, body, content_type)

    def may_read(self, request: Request) -> bool:
        """Whether the request has the token, or none is needed."""
        if self._token is None:
            return True
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        same = hmac.compare_digest(given.strip().encode(), self._token.encode())
        return same and scheme.lower() == "bearer"

    def close(self) -> None:
        """Disconnect from Redis."""
        self._source.close()

    def _own(self) -> Iterator[Sample]:
        ticked_s = self._ticked_wall_ms / 1_000
        yield Sample(BY_NAME["habeat_last_tick_timestamp_seconds"], (), ticked_s)
        yield Sample(BY_NAME["habeat_this_replica_leads"], (), int(self._state().leads))

    def _now_ms(self) -> int:
        return self._clock.monotonic_us() // 1_000
