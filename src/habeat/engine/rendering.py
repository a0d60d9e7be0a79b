"""Rendering firings, and what to do about an entry whose message cannot be built.

A failure to render is the entry's own (failures.py). A failure of the broker never counts here.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Iterator

from habeat.core.entry import Delivery, Entry
from habeat.core.firing import Outcome
from habeat.engine.building import Building
from habeat.engine.circuits import Circuits
from habeat.engine.failures import Failed, Failures
from habeat.engine.fenced import Lead
from habeat.engine.planning import PlannedFiring
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

log = logging.getLogger("habeat")

#: So many requests of one entry may fail in a turn; its others are left for the next.
FAILED_REQUESTS = 3


class Renderer:
    """Turns planned firings into claims; sets aside what cannot be rendered."""

    def __init__(
        self,
        publisher: Publisher,
        store: DispatchStore,
        delivery: Delivery,
        circuits: Circuits,
        building: Building,
    ) -> None:
        self._circuits = circuits
        self._building = building
        self._publisher = publisher
        self._store = store
        self._delivery = delivery
        self._failures = Failures()

    @property
    def atomic(self) -> bool:
        """Whether messages leave with the claim."""
        return self._publisher.atomic

    def claims(self, lead: Lead, firings: Iterable[PlannedFiring]) -> Iterator[Claim]:
        """The claims of all that can be rendered.

        A failed slot holds up its entry's later ones, which are planned again. Requests do not
        wait for each other, but those of one entry may not spend the turn on failing.
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
                failed[name] += 1
                log.error("habeat: entry %r: %s", name, error)
                why, outcome = str(error), Outcome.AMBIGUOUS
                self._failures.end(lead, Failed.of_plan(planned), outcome, why)
            except RenderFailed as error:
                failed[name] += 1
                self._circuits.refused(name, planned.firing.identity, str(error))
                self._failures.set_aside(lead, Failed.of_plan(planned), str(error))

    def prepared(self, lead: Lead, planned: PlannedFiring) -> Claim | None:
        """The claim of a firing that is not due yet, if its message can be made unseen."""
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
        token, began_us = lead.token, lead.monotonic_us()
        try:
            rendered = self._publisher.render(
                planned.entry, planned.firing, lead.cluster, token.epoch
            )
        except BrokerUnavailable:
            raise
        except Exception as error:  # whatever it is, it is this entry's own trouble
            raise without_arguments(error, planned.entry) from error
        self._failures.over(planned.entry.name)
        self._measure(planned, rendered, began_us, lead.monotonic_us())
        return self._claim_of(planned, rendered)

    def _measure(
        self, planned: PlannedFiring, rendered: Rendered, began_us: int, now_us: int
    ) -> None:
        name = planned.entry.name
        if rendered.code_us is not None:
            self._building.built(name, planned.firing.identity, rendered.code_us, now_us)
        elif rendered.repeatable:  # else its code has yet to run: see Sender
            self._building.own(name, now_us - began_us, now_us)

    def _claim_of(self, planned: PlannedFiring, rendered: Rendered) -> Claim:
        return Claim(
            planned.firing,
            planned.expected,
            planned.next,
            rendered,
            self._delivery_of(planned, rendered),
            planned.remains,
        )

    def _delivery_of(self, planned: PlannedFiring, rendered: Rendered) -> str:
        if not rendered.repeatable:
            return Delivery.AT_MOST_ONCE
        return planned.entry.delivery or self._delivery


def without_arguments(error: Exception, entry: Entry) -> RenderFailed:
    """The failure in words to log and to store: code of others quotes what it was given."""
    text = str(error) if isinstance(error, RenderFailed) else f"{type(error).__name__}: {error}"
    headers = entry.options.get("headers")
    text = redacted(text, args=entry.args, kwargs=entry.kwargs, headers=headers)
    return type(error)(text) if isinstance(error, RenderFailed) else RenderFailed(text)
