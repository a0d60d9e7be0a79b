"""Signals of habeat, as Celery has them: beat calls what is connected when something happens.

.. code-block:: python

    from habeat.signals import slot_missed

    @slot_missed.connect
    def page(entry, slot, reason, **_):
        ...

They are sent in the beat process, after the fact is stored in Redis, by a thread of their own. So a
receiver that hangs or raises holds up nothing but itself; the log names it once. The sender is the
Celery app. Each receiver gets `at` (an aware datetime), and `replica` and `host`, besides what is
listed below, and must accept other keywords: later releases add some.

Around a change of leader, a slot can be reported twice.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from celery.utils.dispatch import Signal

_ALWAYS = ("at", "replica", "host")
#: What is known of a slot, or of a run of `count` slots from `slot` to `until`.
_SLOT = (
    *("entry", "slot", "until", "count", "outcome", "reason", "lateness_ms", "attempt"),
    *("task_id", "request_id"),
)


class EventSignal(Signal):  # type: ignore[misc]
    """A signal of habeat; `connect` and `disconnect` are Celery's own."""

    def __init__(self, name: str, *arguments: str) -> None:
        super().__init__(name=name, providing_args={*_ALWAYS, *arguments})

    def live(self, sender: object) -> Sequence[Callable[..., Any]]:
        """The receivers that are connected for this sender at present."""
        found: Sequence[Callable[..., Any]] = self._live_receivers(sender)
        return found


#: This replica leads from now on. `cause`: why the lead changed; `gap_ms`: for how long none led.
leader_acquired = EventSignal("leader_acquired", "lease_epoch", "cause", "previous", "gap_ms")
#: This replica no longer leads. `cause` is "stop", "step-down", "broker", "failures" or a sentence.
leader_lost = EventSignal("leader_lost", "cause")
#: The message of a slot, or of a trigger or backfill (`request_id`), is in the broker.
slot_dispatched = EventSignal("slot_dispatched", *_SLOT)
#: Slots were skipped: their entry was paused, disabled or changed, the message had expired, or the
#: task declined to send it.
slot_skipped = EventSignal("slot_skipped", *_SLOT)
#: Slots were found too late, or lost with Redis' data, and do not fire.
slot_missed = EventSignal("slot_missed", *_SLOT)
#: The message of slots could not be built or was refused, and they do not fire.
slot_failed = EventSignal("slot_failed", *_SLOT)
#: A slot was not sent within its entry's `start_by`, a timedelta. `outcome` is "" while it waits.
slot_late = EventSignal(
    "slot_late",
    *("entry", "slot", "until", "count", "start_by", "outcome", "reason", "lateness_ms"),
)
#: An entry cannot be read or planned, and does not fire. `cause` says why.
entry_quarantined = EventSignal("entry_quarantined", "entry", "cause")
#: An entry failed repeatedly, and is only tried now and then. `cause` says why.
circuit_opened = EventSignal("circuit_opened", "entry", "cause")
#: An entry whose circuit was open is sent again.
circuit_closed = EventSignal("circuit_closed", "entry")

__all__ = [
    "circuit_closed",
    "circuit_opened",
    "entry_quarantined",
    "leader_acquired",
    "leader_lost",
    "slot_dispatched",
    "slot_failed",
    "slot_late",
    "slot_missed",
    "slot_skipped",
]
