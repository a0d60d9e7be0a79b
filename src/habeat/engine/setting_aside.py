"""Due entries that cannot fire now: they are quarantined, or they wait.

An entry is quarantined if it cannot be read or if planning it repeatedly takes too long. An entry
that fails waits, each time longer. One that needs another deploy's code waits a fixed time. A wait
is logged once when it starts and once when it ends.
"""

from __future__ import annotations

from habeat.core.events import EventCode
from habeat.engine.fenced import Lead
from habeat.engine.plan import Plan
from habeat.engine.trouble_log import TroubleLog
from habeat.log import log_event
from habeat.ports import DueEntry

UNRESOLVED_WAIT_MS = 30_000


class SettingAside:
    """Carries out the part of a plan that concerns entries that do not fire."""

    def __init__(self, trouble: TroubleLog) -> None:
        self._trouble = trouble

    def run(self, lead: Lead, planned: Plan) -> None:
        """Quarantine or defer the entries. LeaseLost, StoreUnavailable."""
        for due, why in planned.unreadable:
            self._quarantine(lead, due, why)
        for due, why in planned.unresolved:
            self._wait(lead, due, why, UNRESOLVED_WAIT_MS)
        for due, why, pause_ms in planned.failing:
            self._wait(lead, due, why, pause_ms)
        for name in planned.recovered:
            self._trouble.over(f"plan {name}", "habeat: entry %r works again", name)
            lead.waits.over(name)
        for due, right_due_ms in planned.misplaced:
            self._defer(lead, due, right_due_ms)

    def _wait(self, lead: Lead, due: DueEntry, why: str, pause_ms: int) -> None:
        self._trouble.error(
            f"plan {due.name}",
            EventCode.ENTRY_WAITS,
            "habeat: entry %r waits: %s",
            due.name,
            why,
            entry=due.name,
        )
        now_ms = lead.now_ms()
        lead.waits.note(due.name, why, now_ms, now_ms + pause_ms)
        self._defer(lead, due, now_ms + pause_ms)

    def _quarantine(self, lead: Lead, due: DueEntry, why: str) -> None:
        reply = lead.store.quarantine(due, why)
        if reply.words[0] == "ok":
            lead.waits.over(due.name)
            log_event(
                EventCode.ENTRY_QUARANTINED,
                "habeat: entry %r is quarantined: %s",
                due.name,
                why,
                entry=due.name,
                cause=why,
            )

    def _defer(self, lead: Lead, due: DueEntry, until_ms: int | None) -> None:
        lead.store.defer(due, until_ms)
