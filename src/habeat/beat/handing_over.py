"""What a leader that is stopped hands over, and to whom: one line in its log.

Nothing is lost by a stop. Messages in flight have their intents in Redis, and the next leader sends
them if need be. Messages that were prepared before their slots were due are built again.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from threading import Event

from habeat.core.events import EventCode
from habeat.core.leadership import where
from habeat.log import log_event
from habeat.ports import Clock
from habeat.printable import plural, printable
from habeat.store.calling import Caller
from habeat.store.events import Events, Party

#: How long a stop looks for its successor, and the pause between two looks. A standby takes a
#: released lease within a few milliseconds.
LOOKS_FOR_MS, PAUSE_S = 100, 0.01


@dataclass(frozen=True, slots=True)
class HandedOver:
    """What was handed over at a stop; `failed` names the error if the lease was not released."""

    lease_epoch: int
    prepared: int
    #: None if it is not known.
    in_flight: int | None = None
    to: str = ""
    took_ms: int = 0
    failed: str = ""

    def completed(self, caller: Caller, clock: Clock) -> HandedOver:
        """The same with what Redis knows, once the lease is released. StoreUnavailable."""
        began_us, pause = clock.monotonic_us(), Event()
        in_flight: int = caller.do(lambda client: client.hlen(caller.keys.inflight))
        known = replace(self, in_flight=int(in_flight))
        while True:
            heir = Events(caller).leading()
            took_ms = (clock.monotonic_us() - began_us) // 1_000
            if heir.is_known and heir.lease_epoch != self.lease_epoch:
                return replace(known, to=_named(heir), took_ms=took_ms)
            if took_ms >= LOOKS_FOR_MS:
                return known
            pause.wait(PAUSE_S)

    def log(self) -> None:
        """Log it."""
        in_flight, prepared = "; nothing in flight", ""
        if self.in_flight:
            in_flight = f"; {plural(self.in_flight, 'message')} in flight left to the next leader"
        if self.prepared:
            prepared = f"; {plural(self.prepared, 'prepared message')} discarded, to be built again"
        log_event(
            EventCode.HANDING_OVER,
            "habeat: stopped leading (lease epoch %d): %s%s%s",
            self.lease_epoch,
            self._lease(),
            "" if self.in_flight is None else in_flight,
            prepared,
            cause="stop",
            lease_epoch=self.lease_epoch,
        )

    def _lease(self) -> str:
        if self.failed:
            return f"the lease could not be released ({self.failed}), and expires"
        if self.to:
            return f"{self.to} leads after {self.took_ms} ms"
        return "the lease is released, and no replica has taken it yet"


def _named(heir: Party) -> str:
    return printable(where(heir.host, heir.pid, heir.replica))
