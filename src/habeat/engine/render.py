"""Rendering firings, and what to do about an entry whose message cannot be built.

A failure to render is the entry's own: the entry waits a little longer each time, and after
`ATTEMPTS` tries its slot ends in the ledger as ``failed``. A failure of the broker never
counts here. The tries are remembered by this process only: another leader tries afresh.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from habeat.core.entry import Delivery
from habeat.core.firing import Outcome
from habeat.engine.lead import Lead
from habeat.engine.planning import PlannedFiring
from habeat.ports import (
    BrokerUnavailable,
    Claim,
    DispatchStore,
    Publisher,
    RenderBypassed,
    Rendered,
    RenderFailed,
    Request,
    Skip,
)

log = logging.getLogger("habeat")

ATTEMPTS = 3
WAIT_MS = (1_000, 4_000)


@dataclass(frozen=True, slots=True)
class _Tries:
    slot_ms: int
    count: int


class Renderer:
    """Turns planned firings into claims; sets aside what cannot be rendered."""

    def __init__(self, publisher: Publisher, store: DispatchStore, delivery: Delivery) -> None:
        self._publisher = publisher
        self._store = store
        self._delivery = delivery
        self._tries: dict[str, _Tries] = {}

    @property
    def atomic(self) -> bool:
        """Whether messages leave with the claim."""
        return self._publisher.atomic

    def claims(self, lead: Lead, firings: Iterable[PlannedFiring]) -> Iterator[Claim]:
        """The claims of all that can be rendered; a failed one holds up its entry's later ones."""
        failed: set[str] = set()
        for planned in firings:
            if planned.entry.name in failed:
                continue
            try:
                yield self._claim(lead, planned)
            except RenderBypassed as error:
                failed.add(planned.entry.name)
                log.error("habeat: entry %r: %s", planned.entry.name, error)
                self._end(lead, planned, Outcome.AMBIGUOUS, str(error))
            except RenderFailed as error:
                failed.add(planned.entry.name)
                self._set_aside(lead, planned, error)

    def prepared(self, lead: Lead, planned: PlannedFiring) -> Claim | None:
        """The claim of a firing that is not due yet, if its message can be made unseen."""
        if planned.entry.name in self._tries:
            return None
        rendered = self._publisher.foresee(
            planned.entry, planned.firing, lead.cluster, lead.token.epoch
        )
        return None if rendered is None else self._store.ready(self._claim_of(planned, rendered))

    def _claim(self, lead: Lead, planned: PlannedFiring) -> Claim:
        token = lead.token
        try:
            rendered = self._publisher.render(
                planned.entry, planned.firing, lead.cluster, token.epoch
            )
        except (RenderFailed, BrokerUnavailable):
            raise
        except Exception as error:  # whatever it is, it is this entry's own trouble
            raise RenderFailed(f"{type(error).__name__}: {error}") from error
        self._tries.pop(planned.entry.name, None)
        return self._claim_of(planned, rendered)

    def _claim_of(self, planned: PlannedFiring, rendered: Rendered) -> Claim:
        return Claim(
            planned.firing,
            planned.due.digest,
            planned.planned_due_ms,
            planned.cursor_ms,
            planned.next_slot_ms,
            planned.next_due_ms,
            rendered,
            self._delivery_of(planned, rendered),
            planned.remains,
        )

    def _delivery_of(self, planned: PlannedFiring, rendered: Rendered) -> str:
        if not rendered.repeatable:
            return Delivery.AT_MOST_ONCE
        return planned.entry.delivery or self._delivery

    def _set_aside(self, lead: Lead, planned: PlannedFiring, error: RenderFailed) -> None:
        if planned.firing.request:
            log.error("habeat: a request for %r cannot be sent: %s", planned.entry.name, error)
            self._drop(lead, planned, str(error))
            return
        name, slot_ms = planned.entry.name, planned.firing.slot_ms
        before = self._tries.get(name)
        count = before.count + 1 if before and before.slot_ms == slot_ms else 1
        self._tries[name] = _Tries(slot_ms, count)
        if count == 1:
            log.error("habeat: entry %r cannot be sent: %s", name, error)
        if count >= ATTEMPTS:
            self._tries.pop(name, None)
            self._end(lead, planned, Outcome.FAILED, str(error))
        elif planned.planned_due_ms == planned.due.due_ms:
            until_ms = lead.now_ms() + WAIT_MS[count - 1]
            lead.call(lambda token, ttl: self._store.defer(token, ttl, planned.due, until_ms))

    def _drop(self, lead: Lead, planned: PlannedFiring, why: str) -> None:
        request = Request(planned.firing.request, planned.due.digest, b"")
        name, slot_ms = planned.entry.name, planned.firing.slot_ms
        lead.call(lambda token, ttl: self._store.drop(token, ttl, request, name, slot_ms, why))

    def _end(self, lead: Lead, planned: PlannedFiring, outcome: Outcome, why: str) -> None:
        if planned.firing.request:
            self._drop(lead, planned, why)
            return
        skip = Skip(
            planned.entry.name,
            planned.due.digest,
            planned.planned_due_ms,
            planned.cursor_ms,
            planned.firing.slot_ms,
            planned.next_slot_ms,
            planned.next_due_ms,
            outcome.value,
            why,
            planned.firing.slot_ms,
            1,
        )
        lead.call(lambda token, ttl: self._store.skip(token, ttl, [skip]))
