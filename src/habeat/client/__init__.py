"""The Python API: `Client`, and what its methods return."""

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
