"""Rendering firings, and what to do about an entry whose message cannot be built.

A failure to render is the entry's own: the entry waits a little longer each time, and after
`ATTEMPTS` tries its slot ends in the ledger as ``failed``. A failure of the broker never
counts here. The tries are remembered by this process only: another leader tries afresh.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from habeat.core.firing import Outcome
from habeat.engine.lead import Lead
from habeat.engine.planning import PlannedFiring
from habeat.ports import Claim, DispatchStore, Publisher, RenderFailed, Skip

log = logging.getLogger("habeat")

ATTEMPTS = 3
WAIT_MS = (1_000, 4_000)


@dataclass(frozen=True, slots=True)
class _Tries:
    slot_ms: int
    count: int


class Renderer:
    """Turns planned firings into claims; sets aside what cannot be rendered."""

    def __init__(self, publisher: Publisher, store: DispatchStore, delivery: str) -> None:
        self._publisher = publisher
        self._store = store
        self._delivery = delivery
        self._tries: dict[str, _Tries] = {}

    def claims(self, lead: Lead, firings: Iterable[PlannedFiring]) -> Iterator[Claim]:
        """The claims of all that can be rendered; an entry's later firings wait for a failed one."""
        failed: set[str] = set()
        for planned in firings:
            if planned.entry.name in failed:
                continue
            try:
                yield self._claim(lead, planned)
            except RenderFailed as error:
                failed.add(planned.entry.name)
                self._set_aside(lead, planned, error)

    def _claim(self, lead: Lead, planned: PlannedFiring) -> Claim:
        rendered = self._publisher.render(
            planned.entry, planned.firing, lead.cluster, lead.token.epoch
        )
        self._tries.pop(planned.entry.name, None)
        return Claim(
            planned.firing,
            planned.due.digest,
            planned.planned_due_ms,
            planned.cursor_ms,
            planned.next_slot_ms,
            planned.next_due_ms,
            rendered,
            str(planned.entry.delivery or self._delivery),
        )

    def _set_aside(self, lead: Lead, planned: PlannedFiring, error: RenderFailed) -> None:
        name, slot_ms = planned.entry.name, planned.firing.slot_ms
        before = self._tries.get(name)
        count = before.count + 1 if before and before.slot_ms == slot_ms else 1
        self._tries[name] = _Tries(slot_ms, count)
        if count == 1:
            log.error("habeat: entry %r cannot be sent: %s", name, error)
        if count >= ATTEMPTS:
            self._give_up(lead, planned, error)
        elif planned.planned_due_ms == planned.due.due_ms:
            until_ms = lead.now_ms() + WAIT_MS[count - 1]
            lead.call(
                lambda token, ttl: self._store.defer(token, ttl, planned.due, until_ms)
            )

    def _give_up(self, lead: Lead, planned: PlannedFiring, error: RenderFailed) -> None:
        self._tries.pop(planned.entry.name, None)
        skip = Skip(
            planned.entry.name,
            planned.due.digest,
            planned.planned_due_ms,
            planned.cursor_ms,
            planned.firing.slot_ms,
            planned.next_slot_ms,
            planned.next_due_ms,
            Outcome.FAILED.value,
            str(error)[:200],
            planned.firing.slot_ms,
            1,
        )
        lead.call(lambda token, ttl: self._store.skip(token, ttl, [skip]))
