"""`ports.Publisher` for a shadow: it describes messages, and sends none.

There is no broker here, so nothing could be sent. The project's own code that runs on Celery's send
path does not run here either: no receiver of a signal, no task class with an `apply_async` of its
own, no lazy argument, no Sentry check-in. A message is described by its task, its queue and a
digest of its arguments, because another beat's message of the same entry can be recognised by
these.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from celery import Celery

from habeat.beat.shadow.description import CodeParts, Describer
from habeat.core.entry import Entry
from habeat.core.firing import Firing
from habeat.engine.report import BeingBuilt
from habeat.ports import Answered, Parcel, PublishRefused, Rendered

REFUSED = "a shadow sends nothing: send it from a beat without habeat_shadow"


class ShadowPublisher:
    """Describes what would be sent."""

    dispatch = "shadow"
    atomic = True
    decided = True
    why = "habeat_shadow is set: everything is decided and recorded, and nothing is sent"
    packets = 1

    #: A shadow runs no code that sends.
    own_sending: BeingBuilt | None = None

    def __init__(
        self, app: Celery, code_parts: CodeParts, decided: Callable[[], None] = lambda: None
    ) -> None:
        """`decided` is called for each firing that is described."""
        self._describer = Describer(app, code_parts)
        self._decided = decided

    def has_task(self, task: str) -> bool:
        """Whether a firing with this task has been described, lately."""
        return self._describer.has_task(task)

    def prepare(self, timeout_ms: int) -> None:
        """Nothing has to be found out."""

    def render(self, entry: Entry, firing: Firing, cluster: str, epoch: int) -> Rendered:
        envelope = self._describer.describe(entry, firing)
        self._decided()
        return Rendered(envelope=envelope, unsent=True)

    def foresee(self, entry: Entry, firing: Firing, cluster: str, epoch: int) -> Rendered | None:
        """None: the project's routers are asked when the firing is due."""

    def may_foresee(self) -> bool:
        return True

    def refused_push(self, commands: Sequence[Sequence[bytes | str | int]], why: str) -> bool:
        return False

    def connect(self, timeout_ms: int) -> None:
        """There is nothing to connect to."""

    def publish(self, parcels: Sequence[Parcel], timeout_ms: int) -> Refusing:
        return Refusing(len(parcels))


class Refusing:
    """`ports.Handed` for messages that were not sent."""

    code_us = None

    def __init__(self, count: int) -> None:
        self._count = count

    def answers(self, timeout_ms: int) -> Sequence[Answered]:
        return [PublishRefused(REFUSED)] * self._count


class NoBroker:
    """In place of a `Broker`: a shadow has none."""

    def probe(self, timeout_s: float) -> None:
        """There is nothing to reach."""

    def discard(self) -> None:
        """There is nothing to close."""

    forget = discard
