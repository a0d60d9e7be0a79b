"""Reports what happens to receivers of signals, in a thread of beat with a connection of its own.

What happened to slots is read from the ledger, where it is durable. The leader wrote it there, or a
command that paused an entry. So dispatch does nothing for it, and nothing is read while no receiver
is connected. The leader reports; where it stopped is kept in Redis, so the next
leader goes on there. The other events come from `habeat.log.log_event`, as they happen.

A reader that is always busy would compete with dispatch for Python's lock. So the thread rests
after each page for a multiple of the time that the page took, and it stops reading while the
receivers have not caught up.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from habeat import log, signals
from habeat.beat.events.promises import PromiseWatch
from habeat.beat.events.receivers import WAITING_MAX, Receivers
from habeat.beat.events.webhook import Pings, Webhook
from habeat.core.entry import instant
from habeat.core.events import EventCode
from habeat.core.firing import Firing, Outcome
from habeat.core.promises import BrokenPromise
from habeat.engine.trouble_log import TroubleLog
from habeat.ports import Clock, StoreUnavailable
from habeat.signals import EventSignal
from habeat.store.inspection import Record
from habeat.store.ledger_feed import LedgerFeed
from habeat.store.promises import PromiseStore

EVERY_S = 0.5
PAGE = 100
#: The thread rests this many times as long as a page took.
REST = 9

#: The signals that report the ledger's records.
OF_OUTCOME: Mapping[Outcome, EventSignal] = {
    Outcome.SENT: signals.slot_dispatched,
    Outcome.LATE: signals.slot_dispatched,
    Outcome.SKIPPED: signals.slot_skipped,
    Outcome.SUPPRESSED: signals.slot_skipped,
    Outcome.MISSED: signals.slot_missed,
    Outcome.FAILED: signals.slot_failed,
}
#: The signals of other events, and the facts that they carry.
OF_EVENT: Mapping[EventCode, tuple[EventSignal, tuple[str, ...]]] = {
    EventCode.LEADER_ACQUIRED: (
        signals.leader_acquired,
        ("lease_epoch", "cause", "previous", "gap_ms"),
    ),
    EventCode.LEADER_LOST: (signals.leader_lost, ("cause",)),
    EventCode.HANDING_OVER: (signals.leader_lost, ("cause",)),
    EventCode.ENTRY_QUARANTINED: (signals.entry_quarantined, ("entry", "cause")),
    EventCode.CIRCUIT_OPENED: (signals.circuit_opened, ("entry", "cause")),
    EventCode.CIRCUIT_CLOSED: (signals.circuit_closed, ("entry",)),
}


@dataclass(frozen=True, slots=True)
class Leading:
    """Whether this replica leads at present, or no replica does; and the id of the cluster, on
    which task ids depend."""

    leads: bool
    cluster: str
    leaderless: bool = False


class EventWatch:
    """The thread, and what it knows."""

    def __init__(
        self,
        *,
        feed: LedgerFeed,
        promises: PromiseStore | None,
        receivers: Receivers,
        webhook: Webhook | None,
        pings: Pings | None,
        leading: Callable[[], Leading],
        clock: Clock,
        replica: str,
        host: str,
        disconnect: Callable[[], None] = lambda: None,
    ) -> None:
        """`promises` is None in a shadow, which sends nothing. `disconnect` closes the connection
        of both; it is called at the end."""
        self._feed = feed
        self._promises = None if promises is None else PromiseWatch(promises, clock, self._broken)
        self._receivers = receivers
        self._webhook = webhook
        self._pings = pings
        self._leading = leading
        self._clock = clock
        self._whose = {"replica": replica, "host": host}
        self._disconnect = disconnect
        self._after: str | None = None
        self._over = threading.Event()
        self._thread: threading.Thread | None = None
        self._trouble = TroubleLog()

    def start(self) -> None:
        """Start the thread, at the first call; in the process that runs the loop."""
        if self._thread is None and not self._over.is_set():
            log.listeners.append(self._happened)
            self._thread = threading.Thread(target=self._run, name="habeat events", daemon=True)
            self._thread.start()

    def forget(self) -> None:
        """In a forked child: report nothing. The thread and its locks are the parent's."""
        if self._happened in log.listeners:
            log.listeners.remove(self._happened)

    def close(self) -> None:
        """Report what is left, for a second at most, and end the thread."""
        self.forget()
        self._over.set()
        for outlet in (self._receivers, self._webhook, self._pings):
            if outlet is not None:
                outlet.close()

    # -- events of this process ------------------------------------------------------------

    def _happened(self, event: log.Event) -> None:
        at = instant(self._clock.wall_ms())
        if self._webhook is not None:
            self._webhook.send(event, at)
        signal, names = OF_EVENT.get(event.code, (None, ()))
        if signal is not None and signal.receivers:
            known = {"entry": event.entry, **(event.facts or {})}
            facts = {name: known.get(name, "") for name in names}
            self._receivers.send(signal, {**facts, **self._whose, "at": at})

    # -- the thread -------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._over.wait(EVERY_S):
            try:
                self.round()
                self._trouble.over("events")
            except StoreUnavailable:
                self._after = None  # the loop logs it; the position is in Redis
                if self._promises is not None:
                    self._promises.rest()
            except Exception as error:
                self._after = None
                text = "habeat: reporting events failed (%r); dispatch continues"
                code = EventCode.PART_FAILED
                self._trouble.error("events", code, text, error, traceback=True)
        self._disconnect()

    def round(self) -> None:
        """One look at what has happened."""
        self._receivers.look()
        now = self._leading()
        if self._promises is not None and (now.leads or now.leaderless):
            self._promises.look(leads=now.leads)
        elif self._promises is not None:
            self._promises.rest()
        wanted = self._pings or any(signal.receivers for signal in OF_OUTCOME.values())
        if not now.leads or not wanted:
            self._after = None
            return
        if self._after is None:
            self._after = self._feed.position()
        while self._receivers.room > WAITING_MAX // 2 and not self._over.is_set():
            began_us = self._clock.monotonic_us()
            found = self._feed.read(self._after, PAGE)
            for record in found:
                self._tried(record, now.cluster)
            if found:
                self._after = found[-1].id
                self._feed.keep(self._after)
            if len(found) < PAGE or not self._leading().leads:
                return
            self._over.wait(REST * (self._clock.monotonic_us() - began_us) / 1_000_000)

    def _broken(self, broken: BrokenPromise) -> None:
        if self._pings is not None and broken.outcome is None:  # otherwise, the ledger has it
            self._pings.failed(broken.entry)
        facts = {
            "entry": broken.entry,
            "slot": instant(broken.slot_ms),
            "until": instant(broken.last_ms),
            "count": broken.count,
            "start_by": timedelta(milliseconds=broken.start_by_ms),
            "outcome": broken.outcome or "",
            "reason": broken.reason,
            "lateness_ms": broken.late_ms or None,
        }
        at = instant(self._clock.wall_ms())
        self._receivers.send(signals.slot_late, {**facts, **self._whose, "at": at})

    def _tried(self, record: Record, cluster: str) -> None:
        """Report a record; one that is damaged is left out, so that the others follow."""
        try:
            self._report(record, cluster)
        except Exception as error:
            text = "habeat: a record of the ledger cannot be reported (%r)"
            self._trouble.error("record", EventCode.PART_FAILED, text, error, traceback=True)

    def _report(self, record: Record, cluster: str) -> None:
        if self._pings is not None:
            self._pings.recorded(record)
        signal = OF_OUTCOME.get(record.outcome)
        if signal is not None and signal.receivers:
            self._receivers.send(signal, {**facts_of(record, cluster), **self._whose})


def facts_of(record: Record, cluster: str) -> dict[str, Any]:
    """What a signal says of a slot, or of a run of slots."""
    sent = record.outcome in (Outcome.SENT, Outcome.LATE)
    firing = Firing(record.entry, record.slot_ms, record.slot_ms, request=record.request)
    return {
        "entry": record.entry,
        "slot": instant(record.slot_ms),
        "until": instant(record.last_ms or record.slot_ms),
        "count": record.count,
        "outcome": str(record.outcome),
        "reason": record.reason,
        "lateness_ms": record.lateness_ms if sent else None,
        "attempt": record.attempt,
        "task_id": firing.task_id(cluster) if sent and cluster else None,
        "request_id": record.request or None,
        "at": instant(record.at_ms),
    }
