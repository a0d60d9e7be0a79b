"""Outages of Redis and of the broker, as this replica sees them: when each began and ended.

An outage of Redis can be stored only when it is over. Every replica sees it, and the store keeps
the first report. An outage of the broker is reported by leaders: when it begins, and when the first
message is accepted again. If the leader changes meanwhile, the next one reports the end. So each
new leader reports once that the broker works, and the store knows whether that ends anything.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from habeat.core.events import EventCode
from habeat.errors import BrokerUnavailable, StoreUnavailable
from habeat.log import log_event
from habeat.ports.events import EventLog, Happening, Report

#: Events that wait for Redis; of more, the oldest are dropped.
WAITING_AT_MOST = 20
#: Faults for which repeating a call is useless.
_LASTING = ("denied", "other")
REDIS, BROKER = "redis", "broker"


@dataclass(frozen=True, slots=True)
class _Outage:
    began_us: int
    cause: str
    detail: str


class Outages:
    """Notes outages, and stores them when Redis can be reached. Times are monotonic, in µs."""

    def __init__(self, event_log: EventLog) -> None:
        self._log = event_log
        self._redis: _Outage | None = None
        #: The lease epochs under which the broker was last reported to fail, and to work.
        self._failed_under: int | None = None
        self._worked_under: int | None = None
        self._waiting: deque[Happening] = deque(maxlen=WAITING_AT_MOST)

    def redis_failed(self, error: StoreUnavailable, began_us: int) -> None:
        """A tick that began at `began_us` failed, because Redis does not answer."""
        if self._redis is None:
            self._redis = _Outage(began_us, error.fault, str(error))

    def redis_answers(self, now_us: int, server_ms: int) -> None:
        """Redis answers; by its clock it is `server_ms`."""
        outage, self._redis = self._redis, None
        if outage is None:
            return
        lasted_ms = max(0, now_us - outage.began_us) // 1_000
        self._waiting.append(
            Happening(
                EventCode.REDIS_UNAVAILABLE,
                since_ms=max(0, server_ms - lasted_ms),
                until_ms=server_ms,
                cause=outage.cause,
                detail=outage.detail,
                report=Report.SEEN,
                subject=REDIS,
            )
        )

    def broker_failed(self, error: BrokerUnavailable, epoch: int, server_ms: int) -> None:
        """This leader's broker takes no messages."""
        if self._failed_under == epoch:
            return
        self._failed_under, self._worked_under = epoch, None
        self._waiting.append(
            Happening(
                EventCode.BROKER_UNAVAILABLE,
                server_ms,
                detail=str(error),
                report=Report.BEGIN,
                subject=BROKER,
                lease_epoch=epoch,
            )
        )

    def broker_works(self, epoch: int, server_ms: int) -> None:
        """The broker has accepted messages of this leader, or there is nothing that it refused."""
        if self._worked_under == epoch:
            return
        self._failed_under, self._worked_under = None, epoch
        self._waiting.append(
            Happening(
                EventCode.BROKER_AVAILABLE,
                server_ms,
                server_ms,
                report=Report.END,
                subject=BROKER,
                lease_epoch=epoch,
            )
        )

    def store(self) -> None:
        """Store what waits, if Redis takes it; a failure here never costs a tick."""
        while self._waiting:
            try:
                self._log.add(self._waiting[0])
            except StoreUnavailable as error:
                if error.fault not in _LASTING:
                    return
                log_event(
                    EventCode.PART_FAILED, "habeat: an event is left out of the history: %s", error
                )
            self._waiting.popleft()
