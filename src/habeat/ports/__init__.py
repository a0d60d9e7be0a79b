"""What the engine needs of the world: a clock, a store, a publisher, a line to hear by.

The protocol is written against these and runs the same over Redis and over a simulator. Every
call may raise `StoreUnavailable` (the effect is unknown; every call may be repeated), and a
fenced call answers `Lost` instead of a result when another token holds the lease.
"""

from habeat.core.history import Known as Known
from habeat.errors import BrokerUnavailable as BrokerUnavailable
from habeat.errors import PublishRefused as PublishRefused
from habeat.errors import PublishUnknown as PublishUnknown
from habeat.errors import RenderBypassed as RenderBypassed
from habeat.errors import RenderFailed as RenderFailed
from habeat.errors import StoreUnavailable as StoreUnavailable
from habeat.ports.protocols import Clock as Clock
from habeat.ports.protocols import DispatchStore as DispatchStore
from habeat.ports.protocols import ElectionStore as ElectionStore
from habeat.ports.protocols import Handed as Handed
from habeat.ports.protocols import Line as Line
from habeat.ports.protocols import Publisher as Publisher
from habeat.ports.protocols import Queue as Queue
from habeat.ports.protocols import ScheduleAsker as ScheduleAsker
from habeat.ports.protocols import Sent as Sent
from habeat.ports.values import Answered as Answered
from habeat.ports.values import Beaten as Beaten
from habeat.ports.values import Behind as Behind
from habeat.ports.values import Claim as Claim
from habeat.ports.values import Departed as Departed
from habeat.ports.values import DueEntry as DueEntry
from habeat.ports.values import DueRequests as DueRequests
from habeat.ports.values import Intent as Intent
from habeat.ports.values import Look as Look
from habeat.ports.values import Lost as Lost
from habeat.ports.values import Marked as Marked
from habeat.ports.values import Parcel as Parcel
from habeat.ports.values import Recovered as Recovered
from habeat.ports.values import Refused as Refused
from habeat.ports.values import Registration as Registration
from habeat.ports.values import Rendered as Rendered
from habeat.ports.values import Request as Request
from habeat.ports.values import ScheduleAnswer as ScheduleAnswer
from habeat.ports.values import Skip as Skip
from habeat.ports.values import Statuses as Statuses
from habeat.ports.values import Tick as Tick
from habeat.ports.values import Unfenced as Unfenced
from habeat.ports.values import Won as Won
