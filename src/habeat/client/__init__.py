"""The Python API: `Client`, and what its methods return.

The names are loaded on first use, as those of `habeat` are: a probe only reads the status, and all
of this takes longer to import than its answer.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from habeat.client.adopting import Adoption
    from habeat.client.arguments import (
        DeliveryPolicy,
        EntryArguments,
        EntryChanges,
        MisfirePolicy,
        ScheduleLike,
    )
    from habeat.client.async_client import AsyncClient
    from habeat.client.by_hand import Backfill, RequestId
    from habeat.client.calendars import CalendarDays
    from habeat.client.change_records import ChangeRecord, FieldChange
    from habeat.client.client import Client
    from habeat.client.comparing import ComparedSlot, Diff
    from habeat.client.dead_letters import DeadLetter
    from habeat.client.drift import DriftPoint, DriftReport, DriftRow, LatenessFigures, Trend
    from habeat.client.events import Event, EventReplica
    from habeat.client.exchange import LoadReport
    from habeat.client.explanation.links import Explanation, Link
    from habeat.client.guard import Guard
    from habeat.client.history import Drift, LedgerRecord, OutcomeName
    from habeat.client.holding import SchedulePause
    from habeat.client.many import ManyChanged, ManyTriggered
    from habeat.client.preview import Instant
    from habeat.client.purging import Purge
    from habeat.client.replicas import Leader, Replica
    from habeat.client.restoring import RestoreReport
    from habeat.client.simulation import Load, Peak, Simulation
    from habeat.client.status import EntryCounts, Status
    from habeat.client.stepping_down import HandOver
    from habeat.client.syncing import SyncPlan
    from habeat.client.windows import Hold
    from habeat.core.change_record import Author, Way
    from habeat.core.circuit import Circuit
    from habeat.core.entry import Condition, Delivery, Entry, EntryState, Misfire, Owner, Policies
    from habeat.core.events import EventCode
    from habeat.core.health import Finding, Severity
    from habeat.core.other_schedulers import OtherScheduler
    from habeat.store.overview import Accounting

__all__ = [
    "Accounting",
    "Adoption",
    "AsyncClient",
    "Author",
    "Backfill",
    "CalendarDays",
    "ChangeRecord",
    "Circuit",
    "Client",
    "ComparedSlot",
    "Condition",
    "DeadLetter",
    "Delivery",
    "DeliveryPolicy",
    "Diff",
    "Drift",
    "DriftPoint",
    "DriftReport",
    "DriftRow",
    "Entry",
    "EntryArguments",
    "EntryChanges",
    "EntryCounts",
    "EntryState",
    "Event",
    "EventCode",
    "EventReplica",
    "Explanation",
    "FieldChange",
    "Finding",
    "Guard",
    "HandOver",
    "Hold",
    "Instant",
    "LatenessFigures",
    "Leader",
    "LedgerRecord",
    "Link",
    "Load",
    "LoadReport",
    "ManyChanged",
    "ManyTriggered",
    "Misfire",
    "MisfirePolicy",
    "OtherScheduler",
    "OutcomeName",
    "Owner",
    "Peak",
    "Policies",
    "Purge",
    "Replica",
    "RequestId",
    "RestoreReport",
    "ScheduleLike",
    "SchedulePause",
    "Severity",
    "Simulation",
    "Status",
    "SyncPlan",
    "Trend",
    "Way",
]

_NAMES = {
    "habeat.client.adopting": ("Adoption",),
    "habeat.client.arguments": (
        "DeliveryPolicy",
        "EntryArguments",
        "EntryChanges",
        "MisfirePolicy",
        "ScheduleLike",
    ),
    "habeat.client.async_client": ("AsyncClient",),
    "habeat.client.by_hand": ("Backfill", "RequestId"),
    "habeat.client.calendars": ("CalendarDays",),
    "habeat.client.change_records": ("ChangeRecord", "FieldChange"),
    "habeat.client.client": ("Client",),
    "habeat.client.comparing": ("ComparedSlot", "Diff"),
    "habeat.client.dead_letters": ("DeadLetter",),
    "habeat.client.drift": ("DriftPoint", "DriftReport", "DriftRow", "LatenessFigures", "Trend"),
    "habeat.client.events": ("Event", "EventReplica"),
    "habeat.client.exchange": ("LoadReport",),
    "habeat.client.explanation.links": ("Explanation", "Link"),
    "habeat.client.guard": ("Guard",),
    "habeat.client.history": ("Drift", "LedgerRecord", "OutcomeName"),
    "habeat.client.holding": ("SchedulePause",),
    "habeat.client.many": ("ManyChanged", "ManyTriggered"),
    "habeat.client.preview": ("Instant",),
    "habeat.client.purging": ("Purge",),
    "habeat.client.replicas": ("Leader", "Replica"),
    "habeat.client.restoring": ("RestoreReport",),
    "habeat.client.simulation": ("Load", "Peak", "Simulation"),
    "habeat.client.status": ("EntryCounts", "Status"),
    "habeat.client.stepping_down": ("HandOver",),
    "habeat.client.syncing": ("SyncPlan",),
    "habeat.client.windows": ("Hold",),
    "habeat.core.change_record": ("Author", "Way"),
    "habeat.core.circuit": ("Circuit",),
    "habeat.core.entry": (
        "Condition",
        "Delivery",
        "Entry",
        "EntryState",
        "Misfire",
        "Owner",
        "Policies",
    ),
    "habeat.core.events": ("EventCode",),
    "habeat.core.health": ("Finding", "Severity"),
    "habeat.core.other_schedulers": ("OtherScheduler",),
    "habeat.store.overview": ("Accounting",),
}
_HOMES = {name: home for home, names in _NAMES.items() for name in names}


if not TYPE_CHECKING:  # with it, a type checker would take any name for one that exists

    def __getattr__(name: str) -> object:
        home = _HOMES.get(name)
        if home is None:
            raise AttributeError(f"module 'habeat.client' has no attribute {name!r}")
        return getattr(import_module(home), name)


def __dir__() -> list[str]:
    return sorted(__all__)
