"""The Python API: `Client`, and what its methods return."""

from habeat.client.client import Client
from habeat.client.dead import DeadLetter
from habeat.client.exchange import LoadReport
from habeat.client.guard import Guard
from habeat.client.instants import Instant
from habeat.client.lookback import Drift, LedgerRecord
from habeat.client.orders import Backfill, RequestId
from habeat.client.replicas import Leader, Replica
from habeat.client.simulation import Load, Peak, Simulation
from habeat.client.status import Accounting, EntryCounts, Status

__all__ = [
    "Accounting",
    "Backfill",
    "Client",
    "DeadLetter",
    "Drift",
    "EntryCounts",
    "Guard",
    "Instant",
    "Leader",
    "LedgerRecord",
    "Load",
    "LoadReport",
    "Peak",
    "Replica",
    "RequestId",
    "Simulation",
    "Status",
]
