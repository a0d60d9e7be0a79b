"""Renders planned firings into claims, and handles entries whose messages cannot be built.

A failure to render concerns one entry (failures.py). An unavailable broker never counts as one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from habeat.core.entry import Delivery, Entry
from habeat.core.events import EventCode
from habeat.core.firing import Outcome
from habeat.engine.building import Building
from habeat.engine.circuits import Circuits
from habeat.engine.failures import Failed, Failures
from habeat.engine.fenced import Lead
from habeat.engine.planning import PlannedFiring
from habeat.engine.report import BeingBuilt, LoopReport
from habeat.log import log_event
from habeat.ports import (
    BrokerUnavailable,
    Claim,
    DispatchStore,
    Publisher,
    RenderBypassed,
    Rendered,
    RenderFailed,
)
from habeat.printable import redacted

#: After this many failed requests of one entry in a tick, its other requests wait for the next.
FAILED_REQUESTS = 3


class Renderer:
    """Turns planned firings into claims; defers or ends those that cannot be rendered."""

    def __init__(
        self,
        publisher: Publisher,
        store: DispatchStore,
        delivery: Delivery,
        circuits: Circuits,
        building: Building,
        report: LoopReport,
    ) -> None:
        self._circuits = circuits
        self._report = report
        self._building = building
        self._publisher = publisher
        self._store = store
        self._delivery = delivery
        self._failures = Failures()

    @property
    def atomic(self) -> bool:
        """Whether messages are sent by the claim itself."""
        return self._publisher.atomic

    @property
    def may_foresee(self) -> bool:
        """Whether prepared messages may still be sent."""
        return self._publisher.may_foresee()

    def claims(self, lead: Lead, firings: Iterable[PlannedFiring]) -> Iterator[Claim]:
        """The claims of all firings that can be rendered.

        After a failed slot, the entry's later slots are left out, and planned again. Requests do
        not wait for each other, but after `FAILED_REQUESTS` failures the entry's other requests
        wait for the next tick.
        """
        failed: Counter[str] = Counter()
        for planned in firings:
            name = planned.entry.name
            if failed[name] >= (FAILED_REQUESTS if planned.firing.request else 1):
                continue
            if self._circuits.gives_up(name) and not planned.firing.request:
                continue
            if self._circuits.waits(name):
                continue
            try:
                yield self._claim(lead, planned)
            except RenderBypassed as error:
                # It is unknown whether the message was sent, so the firing is not retried.
                failed[name] += 1
                log_event(EventCode.SLOT_AMBIGUOUS, "habeat: entry %r: %s", name, error, entry=name)
                why, outcome = str(error), Outcome.AMBIGUOUS
                self._failures.end(lead, Failed.of_plan(planned), outcome, why)
            except RenderFailed as error:
                failed[name] += 1
                self._circuits.refused(name, planned.firing.identity, str(error))
                self._failures.set_aside(lead, Failed.of_plan(planned), str(error))

    def prepared(self, lead: Lead, planned: PlannedFiring) -> Claim | None:
        """The claim of a firing that is not due yet; None if it cannot be prepared.

        Only messages from a template are prepared, because no other code sees them being built.
        """
        if self._failures.waits(planned.entry.name):
            return None
        began_us = lead.monotonic_us()
        rendered = self._publisher.foresee(
            planned.entry, planned.firing, lead.cluster, lead.token.epoch
        )
        if rendered is None:
            return None
        now_us = lead.monotonic_us()
        self._building.own(planned.entry.name, now_us - began_us, now_us)
        return self._store.ready(self._claim_of(planned, rendered))

    def _claim(self, lead: Lead, planned: PlannedFiring) -> Claim:
        token, began_us, firing = lead.token, lead.monotonic_us(), planned.firing
        digest = "" if firing.request else planned.due.digest
        self._report.building = BeingBuilt(planned.entry.name, digest, began_us)
        try:
            rendered = self._publisher.render(planned.entry, firing, lead.cluster, token.epoch)
        except BrokerUnavailable:
            raise
        except Exception as error:  # any other exception concerns this entry only
            raise without_arguments(error, planned.entry) from error
        finally:
            self._report.building = None
        self._failures.over(planned.entry.name)
        self._measure(planned, rendered, began_us, lead.monotonic_us())
        return self._claim_of(planned, rendered)

    def _measure(
        self, planned: PlannedFiring, rendered: Rendered, began_us: int, now_us: int
    ) -> None:
        name = planned.entry.name
        if rendered.code_us is not None:
            self._building.built(name, planned.firing.identity, rendered.code_us, now_us)
        elif rendered.repeatable:  # otherwise its code runs while it is sent: see Sender._measure
            self._building.own(name, now_us - began_us, now_us)

    def _claim_of(self, planned: PlannedFiring, rendered: Rendered) -> Claim:
        return Claim(
            firing=planned.firing,
            expected=planned.expected,
            next=planned.next,
            rendered=rendered,
            delivery=self._delivery_of(planned, rendered),
            remains=planned.remains,
        )

    def _delivery_of(self, planned: PlannedFiring, rendered: Rendered) -> str:
        if not rendered.repeatable:
            return Delivery.AT_MOST_ONCE
        return planned.entry.delivery or self._delivery


def without_arguments(error: Exception, entry: Entry) -> RenderFailed:
    """The failure as it may be logged and stored, without the arguments it may quote."""
    text = str(error) if isinstance(error, RenderFailed) else f"{type(error).__name__}: {error}"
    headers = entry.options.get("headers")
    text = redacted(text, args=entry.args, kwargs=entry.kwargs, headers=headers)
    return type(error)(text) if isinstance(error, RenderFailed) else RenderFailed(text)
