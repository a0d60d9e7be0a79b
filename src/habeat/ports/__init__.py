"""What the engine needs from outside: a clock, a store, a publisher, a wake channel.

The engine uses only these protocols, so it runs the same over Redis and over a simulator. Every
call may raise `StoreUnavailable`: its effect is then unknown, and every call may be repeated. A
fenced call returns `Lost` instead of a result if another token holds the lease, and `Behind` if
Redis has lost data.
"""

from habeat.core.controls import StoredControls as StoredControls
from habeat.core.data_loss import Known as Known
from habeat.errors import BrokerUnavailable as BrokerUnavailable
from habeat.errors import PublishRefused as PublishRefused
from habeat.errors import PublishUnknown as PublishUnknown
from habeat.errors import RenderBypassed as RenderBypassed
from habeat.errors import RenderFailed as RenderFailed
from habeat.errors import StoreUnavailable as StoreUnavailable
from habeat.ports.custom_schedules import ScheduleAnswer as ScheduleAnswer
from habeat.ports.custom_schedules import ScheduleAsker as ScheduleAsker
from habeat.ports.dispatch import Beaten as Beaten
from habeat.ports.dispatch import Claim as Claim
from habeat.ports.dispatch import Departed as Departed
from habeat.ports.dispatch import DispatchStore as DispatchStore
from habeat.ports.dispatch import DueEntry as DueEntry
from habeat.ports.dispatch import DueRequests as DueRequests
from habeat.ports.dispatch import Expected as Expected
from habeat.ports.dispatch import Intent as Intent
from habeat.ports.dispatch import Marked as Marked
from habeat.ports.dispatch import Next as Next
from habeat.ports.dispatch import Queue as Queue
from habeat.ports.dispatch import Recovered as Recovered
from habeat.ports.dispatch import Skip as Skip
from habeat.ports.dispatch import Statuses as Statuses
from habeat.ports.dispatch import StoredRequest as StoredRequest
from habeat.ports.dispatch import Tick as Tick
from habeat.ports.host import Clock as Clock
from habeat.ports.host import PendingCall as PendingCall
from habeat.ports.host import WakeChannel as WakeChannel
from habeat.ports.lease import Behind as Behind
from habeat.ports.lease import ElectionStore as ElectionStore
from habeat.ports.lease import LeaderChange as LeaderChange
from habeat.ports.lease import Look as Look
from habeat.ports.lease import Lost as Lost
from habeat.ports.lease import Refused as Refused
from habeat.ports.lease import Registration as Registration
from habeat.ports.lease import Unfenced as Unfenced
from habeat.ports.lease import Won as Won
from habeat.ports.publisher import Answered as Answered
from habeat.ports.publisher import Handed as Handed
from habeat.ports.publisher import Parcel as Parcel
from habeat.ports.publisher import Publisher as Publisher
from habeat.ports.publisher import Rendered as Rendered
from habeat.ports.publisher import Unsent as Unsent
