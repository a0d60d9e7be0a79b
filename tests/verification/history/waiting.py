"""No due slot waits for long while nothing disturbs: lateness, and slots that came to nothing.

For each slot there is a moment from which it could have been dealt with (it was due, its entry was
last changed, the one before it in a paced backlog had left) and one at which it was: its first
message was in the broker, or its record was written, or the history ended. Of the time between,
what was not disturbed (bounds.py) may be `prompt_us`, and no more.

A slot of an entry that is to fire, due when the history ends and neither claimed nor recorded, is
lost: that is found here, too, whatever the index of what is due says.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from habeat.core.entry import Entry, Misfire
from tests.verification.history.bounds import (
    HARMLESS,
    NEIGHBOUR_US,
    NO_HINDRANCE,
    RENEW_US,
    felt_us,
    hinders_us,
)
from tests.verification.history.case import Case
from tests.verification.history.cursors import Cursors, Life
from tests.verification.history.events import Expectation, Fault, Kind
from tests.verification.history.holding import Holding
from tests.verification.history.leases import Leases
from tests.verification.history.standing import Standing

Interval = tuple[int, int]
_LEDGER = "ledger"
NOTHING: Mapping[str, Sequence[Interval]] = MappingProxyType({})
#: How many slots leave in a burst, a second: `core.catchup.BURSTS_PER_SECOND`; and the usual pace.
_BURSTS, _PACE = 10, 50.0


@dataclass(slots=True)
class _Step:
    """One slot (or the first of a run), from when it could be dealt with, and when it was."""

    slot_ms: int
    due_us: int
    done_us: int
    moved_us: int
    how: str


class Disturbances:
    """The times when something delayed all entries, or one, as merged intervals."""

    def __init__(
        self,
        case: Case,
        harmless: Collection[Kind] = HARMLESS,
        lasts_us: Callable[[Fault, Expectation], int] = felt_us,
        own: Mapping[str, Sequence[Interval]] = NOTHING,
    ) -> None:
        """`own` has what delays single entries besides faults, and their neighbours not at all."""
        general: list[Interval] = []
        self._own: dict[str, list[Interval]] = {}
        for fault in case.faults:
            if fault.kind in harmless:
                continue
            span = fault.start_us, fault.end_us + lasts_us(fault, case.expectation)
            (self._own.setdefault(fault.entry, []) if fault.entry else general).append(span)
        for gap in case.gaps:
            general.append((gap.start_us, gap.end_us + 2 * case.expectation.ttl_us))
        for loss in case.losses:
            general.append((loss.at_us, loss.at_us + 2 * case.expectation.ttl_us))
        self._general = _merged(general)
        self._others = {entry: list(spans) for entry, spans in self._own.items()}
        for entry in {*self._own, *own}:
            spans = [*self._own.get(entry, ()), *own.get(entry, ())]
            self._own[entry] = _merged([*spans, *self._general])

    def neighbours(self, entry: str, from_us: int, to_us: int) -> bool:
        """Whether something was at work then that concerns another entry only."""
        return any(
            start_us < to_us and end_us > from_us
            for other, spans in self._others.items()
            if other != entry
            for start_us, end_us in spans
        )

    def calm_us(self, entry: str, from_us: int, to_us: int) -> int:
        """How much of that time was undisturbed."""
        left_us = to_us - from_us
        for start_us, end_us in self._own.get(entry, self._general):
            if start_us >= to_us:
                break
            left_us -= max(0, min(end_us, to_us) - max(start_us, from_us))
        return left_us


def _merged(spans: list[Interval]) -> list[Interval]:
    found: list[Interval] = []
    for start_us, end_us in sorted(spans):
        if found and start_us <= found[-1][1]:
            found[-1] = found[-1][0], max(found[-1][1], end_us)
        else:
            found.append((start_us, end_us))
    return found


class Waiting:
    """Judges how long each slot waited, when the walk is over."""

    def __init__(
        self, case: Case, leases: Leases, cursors: Cursors, standing: Standing, holding: Holding
    ) -> None:
        self._case = case
        self._holding = holding
        self._leases = leases
        self._cursors = cursors
        self._standing = standing
        self._prompt_us = case.expectation.prompt_us + case.expectation.slack_us

    def close(self, reported: Collection[tuple[str, str]] = ()) -> None:
        """Look at every slot of every entry, except those reported already."""
        self._reported = reported
        if not self._case.expectation.misses or not self._leases.first_us:
            return
        known = {name: entry for name, entry in self._case.definitions.items() if entry}
        held = {
            name: spans for name, entry in known.items() if (spans := self._holding.waits(entry))
        }
        self._calm = Disturbances(self._case, own=held)
        self._check_handovers()
        for entry, over_us, lifted_us in self._standing.over:
            self._check_pause(entry, over_us, lifted_us, "lifted")
        for life in self._cursors.lives:
            self._check(life)
        if self._case.expectation.complete:
            for entry, life in self._cursors.now.items():
                self._check_end(entry, life)

    def _check_handovers(self) -> None:
        """A released lease is taken at once by any replica that is there."""
        allowed_us = self._case.expectation.handover_us
        if allowed_us is None:
            return
        calm = Disturbances(self._case, NO_HINDRANCE, hinders_us)
        for free_us, taken_us in self._leases.handovers:
            waited_us = calm.calm_us("", free_us, taken_us)
            if waited_us > allowed_us:
                self._case.at_us = taken_us
                problem = f"a lease that was given back lay free for {waited_us / 1e3:g} ms"
                self._case.wrong("TAKEOVER", problem)

    def _check_pause(self, entry: str, over_us: int, done_us: int, how: str) -> None:
        from_us = max(self._due_us(over_us, 0, done_us), self._leases.first_us) + RENEW_US
        waited_us = self._calm.calm_us(entry, from_us, max(from_us, done_us))
        if waited_us > self._prompt_us:
            self._case.at_us = done_us
            said = f"its pause was {how} {(done_us - over_us) / 1e3:g} ms after its end"
            self._case.wrong(_LEDGER, said, entry)

    # -- what came to something ---------------------------------------------------------------

    def _check(self, life: Life) -> None:
        before: _Step | None = None
        for step in sorted(self._steps(life), key=lambda step: step.slot_ms):
            paced_us = self._paced_us(life, before, step) if before is not None else 0
            from_us = max(step.due_us, paced_us, self._leases.first_us)
            if step.done_us - from_us > self._prompt_us:
                waited_us = self._calm.calm_us(life.entry, from_us, step.done_us)
                if waited_us > self._allowed_us(life.entry, from_us, step.done_us):
                    self._wrong(life.entry, step, waited_us)
            before = step

    def _allowed_us(self, entry: str, from_us: int, to_us: int) -> int:
        near = self._calm.neighbours(entry, from_us, to_us)
        return self._prompt_us + (NEIGHBOUR_US if near else 0)

    def _wrong(self, entry: str, step: _Step, waited_us: int) -> None:
        if (entry, str(step.slot_ms)) in self._reported:
            return
        self._case.at_us = step.done_us
        problem = (
            f"{step.how} {(step.done_us - step.due_us) / 1e3:g} ms after it was due, and for "
            f"{waited_us / 1e3:g} ms of that nothing disturbed"
        )
        self._case.wrong(_LEDGER, problem, entry, str(step.slot_ms))

    def _steps(self, life: Life) -> Iterator[_Step]:
        case = self._case
        for slot_ms in life.claims:
            firing = case.firings[life.entry, str(slot_ms)]
            for claim in firing.claims:
                if claim.life is not life or not claim.effective_us:
                    continue
                came_us = min((c.at_us for c in firing.copies), default=claim.at_us)
                due_us = self._due_us(
                    claim.effective_us - (claim.server_us - claim.at_us),
                    claim.touched_us,
                    claim.at_us,
                )
                done_us = max(came_us, claim.at_us)
                if firing.claims[0] is not claim:
                    done_us = claim.at_us
                yield _Step(slot_ms, due_us, done_us, claim.at_us, "fired")
        for record in life.records:
            if record.count and record.outcome != "skipped" and record.reason != "fired before":
                due_us = self._due_us(record.since_us, record.touched_us, record.at_us)
                problem = f"recorded as {record.outcome} ({record.reason})"
                yield _Step(record.first_ms, due_us, record.at_us, record.at_us, problem)

    def _due_us(self, due_us: int, touched_us: int, done_us: int) -> int:
        """From when it could be dealt with, by the clock of `at_us`."""
        case = self._case
        due_us = max(due_us, touched_us)
        for at_us, _ in case.leaps:  # by the server's clock it was due all at once
            if due_us < at_us <= done_us:
                due_us = at_us
        for loss in case.losses:
            if due_us < loss.at_us <= done_us:
                due_us = loss.at_us
        return due_us

    def _paced_us(self, life: Life, before: _Step, step: _Step) -> int:
        """When its turn came, after the slots before it in a paced backlog."""
        entry = self._entry_of(life)
        if entry is None or entry.misfire is not Misfire.ALL or before.moved_us <= step.due_us:
            return 0
        pace = entry.misfire_pace or _PACE
        burst = max(1, round(pace / _BURSTS))
        return before.moved_us + round(burst * 1_000_000 / pace)

    def _entry_of(self, life: Life) -> Entry | None:
        spans = [span for span in life.spans if span.definition is not None]
        return spans[-1].definition if spans else self._case.definitions.get(life.entry)

    # -- what came to nothing -----------------------------------------------------------------

    def _check_end(self, entry: str, life: Life) -> None:
        case = self._case
        definition = case.definitions.get(entry)
        if definition is None or life.cursor_ms is None or not self._is_to_fire(entry, life):
            return
        slot_ms = definition.next_slot_ms(life.cursor_ms)
        if slot_ms is None:
            return
        ends_us = case.ends_us
        offset_us = case.server_us - case.walked_us
        due_us = definition.effective_ms(slot_ms) * 1_000 - offset_us
        from_us = self._due_us(due_us, self._standing.touched_us.get(entry, 0), ends_us)
        moved_us = life.moved_us
        if definition.misfire is Misfire.ALL and moved_us > from_us:
            pace = definition.misfire_pace or _PACE
            from_us = moved_us + round(max(1, round(pace / _BURSTS)) * 1_000_000 / pace)
        from_us = max(from_us, self._leases.first_us)
        if ends_us - from_us > self._prompt_us:
            waited_us = self._calm.calm_us(entry, from_us, ends_us)
            if waited_us > self._allowed_us(entry, from_us, ends_us):
                step = _Step(slot_ms, due_us, ends_us, 0, "neither claimed nor recorded")
                self._wrong(entry, step, waited_us)

    def _is_to_fire(self, entry: str, life: Life) -> bool:
        definition = self._case.definitions[entry]
        assert definition is not None
        pause = self._standing.paused.get(entry)
        if pause is not None:
            over_us = self._standing.ended_us(pause)
            if over_us is not None:
                self._check_pause(entry, over_us, self._case.ends_us, "not lifted")
            return False
        return (
            definition.enabled
            and entry not in self._standing.aside
            and definition.runs_left(life.fired_count) != 0
            and entry in self._cursors.there
        )
