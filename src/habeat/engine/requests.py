"""Carrying out orders: extra firings that somebody asked for (core/order.py).

They go the same way as the schedule's own: rendered, claimed, sent. What differs is the claim,
which steps the stored order instead of a cursor. An order that cannot be carried out (its entry
is gone or unreadable, its message cannot be built) is put aside with a record.
"""

from __future__ import annotations

import hashlib

from habeat.core.entry import Entry
from habeat.core.firing import Firing
from habeat.core.order import Order
from habeat.engine.dispatch import Dispatch
from habeat.engine.lead import Lead
from habeat.engine.planning import Catalog, PlannedFiring, Planner
from habeat.errors import DefinitionError
from habeat.ports import DispatchStore, DueEntry, Request

ORDERS_PER_TICK = 50


class Requests:
    """Carries out what is in :requests, a bounded part of it each tick."""

    def __init__(
        self, store: DispatchStore, catalog: Catalog, planner: Planner, dispatch: Dispatch
    ) -> None:
        self._store = store
        self._catalog = catalog
        self._planner = planner
        self._dispatch = dispatch

    def run(self, lead: Lead) -> int | None:
        """Send what is to be sent now; the instant (Redis, ms) at which more will be."""
        firings: list[PlannedFiring] = []
        again: list[int] = []
        for request in self._store.requests(ORDERS_PER_TICK):
            try:
                order = self._catalog.decode_order(request.raw)
                entry = order.applied(self._planner.find(order.entry))
                firings += self._planned(lead, request, order, entry)
            except DefinitionError as error:
                self._drop(lead, request, error)
                continue
            if order.kind == "backfill":
                again.append(max(order.not_before_ms, lead.now_ms() + 100))
        self._dispatch.send(lead, firings)
        return min(again, default=None)

    def _planned(
        self, lead: Lead, request: Request, order: Order, entry: Entry
    ) -> list[PlannedFiring]:
        planned: list[PlannedFiring] = []
        digest = request.digest
        for firing, left in self._firings(lead, request, order, entry):
            remains = b"" if left is None else self._catalog.encode_order(left)
            due = DueEntry(entry.name, 0, digest, 0)
            planned.append(PlannedFiring(entry, due, firing, 0, 0, None, None, remains))
            digest = hashlib.sha1(remains, usedforsecurity=False).hexdigest()
        if not planned and order.kind == "backfill" and order.next_slot_ms(entry) is None:
            self._drop(lead, request, DefinitionError(order.entry, "it has no slots left"))
        return planned

    def _firings(
        self, lead: Lead, request: Request, order: Order, entry: Entry
    ) -> list[tuple[Firing, Order | None]]:
        try:
            return list(order.firings(entry, request.identity, lead.now_ms()))
        except Exception as error:
            raise DefinitionError(order.entry, f"its schedule fails: {error!r}") from error

    def _drop(self, lead: Lead, request: Request, error: DefinitionError) -> None:
        lead.call(
            lambda fence: self._store.drop(
                fence, request, error.entry, lead.now_ms(), f"request: {error.why}"
            )
        )
