"""Catch-up: which slots of an entry fire now, which never will, and where the cursor goes.

One pure function, `plan`. It walks the slots after the cursor and looks at a bounded number of
them, so a leader can renew its lease between slices; what one slice decides is persisted by
moving the cursor, and the next slice goes on from there by the same rules. Runs of slots that
will not fire are counted by the schedule (arithmetically where it can), never kept one by one.

The rules (design §6), in the order in which they apply:

1. A slot at or before `history_lost_ms` belongs to a history that Redis lost: missed.
2. A slot whose effective time is within the grace fires.
3. Beyond the grace it is a misfire: ``skip`` misses it; ``latest`` fires the newest such slot
   and misses the others; ``all`` fires the newest `misfire_limit` and misses the older ones.
"""

from __future__ import annotations

from dataclasses import dataclass

from habeat.core.entry import Entry, Misfire, Policies
from habeat.core.firing import Firing, Outcome, SkippedRun
from habeat.core.schedule.base import Run

SLICE = 1_000

HISTORY_LOST = "history lost"


@dataclass(frozen=True, slots=True)
class Step:
    """One move of the cursor: a firing, or a run of slots that will not fire.

    `next_slot_ms` is the first slot after it, None when the schedule is exhausted.
    """

    what: Firing | SkippedRun
    cursor_ms: int
    next_slot_ms: int | None


def plan(
    entry: Entry,
    policies: Policies,
    *,
    cursor_ms: int,
    now_ms: int,
    history_lost_ms: int = 0,
    limit: int = SLICE,
) -> list[Step]:
    """What becomes of the entry's slots that are due at `now_ms`, oldest first.

    At most `limit` steps; the caller plans again from the last step's cursor.
    """
    planner = _Planner(entry, policies, now_ms, history_lost_ms)
    steps: list[Step] = []
    slot_ms = entry.next_slot_ms(cursor_ms)
    while slot_ms is not None and entry.effective_ms(slot_ms) <= now_ms and len(steps) < limit:
        step = planner.step(cursor_ms, slot_ms)
        steps.append(step)
        cursor_ms, slot_ms = step.cursor_ms, step.next_slot_ms
    return steps


class _Planner:
    """Decides one step at a time; remembers only that the rest of a backlog may fire."""

    def __init__(self, entry: Entry, policies: Policies, now_ms: int, history_lost_ms: int) -> None:
        self._entry = entry
        self._policies = policies
        self._history_ends_ms = min(history_lost_ms, now_ms)
        #: The last instant that lies beyond the grace.
        self._last_misfire_ms = now_ms - policies.misfire_grace_ms - 1
        self._rest_fires = False

    def step(self, cursor_ms: int, slot_ms: int) -> Step:
        """What becomes of `slot_ms`, the first slot after the cursor; it is due."""
        if slot_ms <= self._history_ends_ms:
            return self._missed(self._count(cursor_ms, self._history_ends_ms), HISTORY_LOST)
        if self._entry.effective_ms(slot_ms) > self._last_misfire_ms:
            return self._firing(slot_ms)
        match self._policies.misfire:
            case Misfire.SKIP:
                return self._missed(self._misfires(cursor_ms), "misfire: skip")
            case Misfire.LATEST:
                return self._latest(cursor_ms)
            case Misfire.ALL:
                return self._all(cursor_ms, slot_ms)

    def _latest(self, cursor_ms: int) -> Step:
        """Miss what is not the newest misfire; a single one left is the newest, and fires."""
        run = self._misfires(cursor_ms)
        following_ms = self._entry.next_slot_ms(run.last_ms)
        if following_ms is not None and following_ms <= self._last_misfire_ms:
            return self._missed(run, "misfire: latest")
        if run.count == 1:
            return self._firing(run.last_ms, "latest")
        return self._missed(self._count(cursor_ms, run.last_ms - 1), "misfire: latest")

    def _all(self, cursor_ms: int, slot_ms: int) -> Step:
        """Miss what is older than the newest `misfire_limit` misfires; fire the rest."""
        keep = self._policies.misfire_limit
        if not self._rest_fires:
            excess = self._misfires(cursor_ms, beyond=keep).count - keep
            if excess > 0:
                run = self._entry.schedule.count_between(cursor_ms, self._last_misfire_ms, excess)
                assert run is not None
                return self._missed(run, "misfire: limit")
            self._rest_fires = True
        return self._firing(slot_ms, "all")

    def _misfires(self, cursor_ms: int, beyond: int = 0) -> Run:
        return self._count(cursor_ms, self._last_misfire_ms, beyond)

    def _count(self, cursor_ms: int, until_ms: int, beyond: int = 0) -> Run:
        """The run of slots in (cursor, until]; who must enumerate stops after a slice."""
        schedule = self._entry.schedule
        limit = None if schedule.arithmetic else SLICE + beyond
        run = schedule.count_between(cursor_ms, until_ms, limit)
        assert run is not None, "the caller has seen a slot in this span"
        return run

    def _firing(self, slot_ms: int, misfire: str = "") -> Step:
        firing = Firing(self._entry.name, slot_ms, self._entry.effective_ms(slot_ms), misfire)
        return self._step(firing, slot_ms)

    def _missed(self, run: Run, reason: str) -> Step:
        what = SkippedRun(run.first_ms, run.last_ms, run.count, Outcome.MISSED, reason)
        return self._step(what, run.last_ms)

    def _step(self, what: Firing | SkippedRun, cursor_ms: int) -> Step:
        return Step(what, cursor_ms, self._entry.next_slot_ms(cursor_ms))
