"""What is known about one slot when it is explained: values only, instants in Unix ms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from habeat.core.circuit import Circuit
from habeat.core.data_loss import NO_LOSS, Loss
from habeat.core.entry import Entry
from habeat.core.health import Finding
from habeat.core.holds import Held
from habeat.store.inspection import Record


@dataclass(frozen=True, slots=True)
class Leading:
    """The replica that holds the lease now. `where` is its host and process id."""

    epoch: int
    where: str
    since_ms: int | None
    dispatch: str


@dataclass(frozen=True, slots=True)
class InFlight:
    """The intent of the outbox for this slot: claimed, and not settled yet."""

    epoch: int
    attempts: int
    effective_ms: int | None


@dataclass(frozen=True, slots=True)
class QueueLook:
    """What the broker says about the queue of the entry now.

    `consumers` is None where the broker does not tell, and `problem` says why there is no answer.
    `is_missing` says that the broker has no queue of this name.
    """

    name: str
    messages: int | None = None
    consumers: int | None = None
    problem: str = ""
    is_missing: bool = False


@dataclass(frozen=True, slots=True)
class Facts:
    """What was read about the slot `slot_ms` of the entry `name`.

    `entry` is None if it does not exist any more. `record` is the outcome in the ledger; `others`
    are further records of the same slot. `slots` is how many slots the record covers. `given_up`
    says why the firing is in :dead, "" if it is not. `ledger_begins_ms` is when the oldest record
    was written, None if there is none. `usual_ms` is the p99 of the entry's lateness. `hosts` has
    the replicas that led, by lease epoch. `elected` says how the leader of the record came to lead,
    and `happened` what happened to Redis, the broker or the leader between the slot and its
    outcome. `changed` is the last change of the entry, and `finding` what `health` says of a slot
    that waits.
    """

    name: str
    now_ms: int
    slot_ms: int
    effective_ms: int | None
    entry: Entry | None
    cluster: str = ""
    record: Record | None = None
    others: Sequence[Record] = ()
    in_flight: InFlight | None = None
    given_up: str = ""
    leading: Leading | None = None
    standbys: int = 0
    circuit: Circuit | None = None
    loss: Loss = NO_LOSS
    ledger_begins_ms: int | None = None
    is_unregistered: bool = False
    usual_ms: int | None = None
    finding: Finding | None = None
    elected: str = ""
    happened: Sequence[str] = ()
    changed: str = ""
    #: The hold on a slot without an outcome (core/holds.py).
    held: Held | None = None
    queue: QueueLook | None = None
    hosts: Mapping[int, str] = field(default_factory=dict)
    #: The name that the entry had, or has, where it was renamed.
    renamed_from: str = ""
    renamed_to: str = ""
