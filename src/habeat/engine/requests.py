"""Carries out requests: extra firings made by a trigger or a backfill (core/request.py).

They are rendered, claimed and sent like the firings of the schedule, except that the claim advances
the stored request instead of a cursor. The store returns requests when they are due, alternating
between entries, so no request waits for those of another entry.

A request that cannot be carried out is dropped: its entry is gone or unreadable, its message cannot
be built, or a message of its entry has stopped a leader (core/circuit.py). It leaves a record in
the ledger and is kept in :dead.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence

from habeat.core.entry import Entry
from habeat.core.firing import Firing
from habeat.core.request import Request
from habeat.engine.circuits import Circuits
from habeat.engine.dispatch import Dispatch, Dispatched
from habeat.engine.fenced import Lead
from habeat.engine.planning import DefinitionSource, PlannedFiring, Planner
from habeat.errors import DefinitionError
from habeat.ports import DueEntry, Expected, Next, StoredRequest

REQUESTS_PER_TURN = 50
#: Requests are planned one by one while they are sent; after this, the tick plans no more.
TURN_MS = 500


class Requests:
    """Carries out due requests, a bounded number per tick."""

    def __init__(
        self,
        definitions: DefinitionSource,
        planner: Planner,
        dispatch: Dispatch,
        circuits: Circuits,
    ) -> None:
        self._circuits = circuits
        self._definitions = definitions
        self._planner = planner
        self._dispatch = dispatch

    def run(self, lead: Lead) -> Dispatched:
        """Send the requests that are due. `unfinished` means: look again at once.

        BrokerUnavailable.
        """
        found = lead.store.asked(REQUESTS_PER_TURN)
        readable = list(self._readable(lead, found.requests))
        parts = self._circuits.parted(readable, lambda each: each[1].entry)
        sent = self._dispatch.send(lead, *(self._planned_all(lead, part) for part in parts))
        return Dispatched(sent.count, sent.complete, sent.complete and bool(found.requests))

    def _planned_all(
        self, lead: Lead, requests: Sequence[tuple[StoredRequest, Request]]
    ) -> Iterator[PlannedFiring]:
        ends_ms = lead.now_ms() + TURN_MS
        entries = self._planner.find_all({request.entry for _, request in requests})
        for stored, request in requests:
            if lead.now_ms() >= ends_ms:
                return
            entry = entries[request.entry]
            try:
                if isinstance(entry, DefinitionError):
                    raise entry
                planned = self._planned(lead, stored, request, entry)
            except DefinitionError as error:
                self._drop(lead, stored, error)
            else:
                yield from planned

    def _readable(
        self, lead: Lead, found: Sequence[StoredRequest]
    ) -> Iterator[tuple[StoredRequest, Request]]:
        for stored in found:
            try:
                yield stored, self._definitions.decode_request(stored.raw)
            except DefinitionError as error:
                self._drop(lead, stored, error)

    def _planned(
        self, lead: Lead, stored: StoredRequest, request: Request, entry: Entry
    ) -> list[PlannedFiring]:
        if why := self._circuits.hung(entry.name):
            raise DefinitionError(entry.name, why)
        planned: list[PlannedFiring] = []
        digest = stored.digest
        entry = _applied(request, entry)
        for firing, left in self._firings(lead, stored, request, entry):
            remains = b"" if left is None else self._definitions.encode_request(left)
            again_ms = None if left is None else left.not_before_ms
            due = DueEntry(entry.name, 0, digest, 0)
            expected, after = Expected(digest, 0, 0), Next(None, again_ms)
            planned.append(
                PlannedFiring(
                    entry=entry,
                    due=due,
                    firing=firing,
                    expected=expected,
                    next=after,
                    remains=remains,
                )
            )
            # The claim of the next firing must find the request as this one leaves it.
            digest = hashlib.sha1(remains, usedforsecurity=False).hexdigest()
        if not planned:
            self._wait(lead, stored, request, entry)
        return planned

    def _firings(
        self, lead: Lead, stored: StoredRequest, request: Request, entry: Entry
    ) -> list[tuple[Firing, Request | None]]:
        try:
            return list(request.firings(entry, stored.identity, lead.now_ms()))
        except Exception as error:
            raise DefinitionError(request.entry, f"its schedule fails: {error!r}") from error

    def _wait(self, lead: Lead, stored: StoredRequest, request: Request, entry: Entry) -> None:
        """Defer a backfill that has nothing to send now; DefinitionError if it has no slot left."""
        if request.next_slot_ms(entry) is None:
            raise DefinitionError(request.entry, "it has no slots left")
        lead.store.put_off("requests", [stored.identity], request.not_before_ms)

    def _drop(self, lead: Lead, stored: StoredRequest, error: DefinitionError) -> None:
        lead.store.drop(stored, error.entry, lead.now_ms(), f"request: {error.why}")


def _applied(request: Request, entry: Entry) -> Entry:
    try:
        return request.applied(entry)
    except Exception as error:
        raise DefinitionError(request.entry, f"its arguments cannot be used: {error!r}") from error
