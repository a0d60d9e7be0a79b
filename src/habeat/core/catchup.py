"""Catch-up: which slots of an entry fire now, which never will, and where the cursor goes.

One pure function, `plan`. It walks the slots after the cursor and examines a bounded number of
them, so that a leader can renew its lease between slices. Moving the cursor persists what a slice
decided, and the next slice continues from there by the same rules. Runs of slots that will not fire
are counted by the schedule (by arithmetic where it can), never listed one by one.

The rules, in the order in which they apply:

1. A slot that fell due up to `Loss.until_ms` belongs to a timeline that Redis lost: missed.
2. For a slot that fell due after that, up to `Loss.declared_ms`, it is unknown whether it was
   claimed (core/data_loss.py). With at_most_once delivery it is ambiguous; otherwise the rules
   below apply.
3. A slot that is held (core/holds.py) is skipped; or waits for the end of the hold, and fires then
   if it is the newest one.
4. A slot whose effective time is within the grace fires.
5. Beyond the grace it is a misfire. Beyond the misfire window, if there is one, it is missed.
6. ``skip`` misses it; ``latest`` fires the newest misfire and misses the others; ``all`` fires
   the newest `misfire_limit` at `misfire_pace` per second and misses the older ones.

A run of misfires ends where a hold begins, so that each slot has the reason that applies to it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from habeat.core.data_loss import NO_LOSS, Loss
from habeat.core.entry import Delivery, Entry, Misfire, Policies
from habeat.core.expiry import has_expired
from habeat.core.firing import Firing, Outcome, SkippedRun
from habeat.core.holds import NO_HOLDS, EntryHolds, Held
from habeat.schedules import in_words
from habeat.schedules.schedule import Run

SLICE = 1_000
#: At most this many holds are skipped to find out whether a misfire is the newest one.
HOLDS_PASSED = 50

#: Under ``all``, at most this many misfires fire if the slots of the kind must be enumerated.
ENUMERATED_AT_MOST = 10_000

HISTORY_LOST = "history lost"
HISTORY_UNCERTAIN = "history uncertain"


@dataclass(slots=True)
class Effort:
    """The number of slots that were enumerated, over several plans."""

    slots: int = 0


#: A backlog is sent in bursts, each a tenth of a second's worth of its pace.
BURSTS_PER_SECOND = 10


@dataclass(frozen=True, slots=True)
class Step:
    """One move of the cursor: a firing, or a run of slots that will not fire.

    `next_slot_ms` is the first slot after it, None if there is none; the rest of a backlog must
    not fire before `not_before_ms`, which enforces its pace.
    """

    what: Firing | SkippedRun
    cursor_ms: int
    next_slot_ms: int | None
    not_before_ms: int = 0


def plan(
    entry: Entry,
    policies: Policies,
    *,
    cursor_ms: int,
    now_ms: int,
    loss: Loss = NO_LOSS,
    fired: int = 0,
    limit: int = SLICE,
    holds: EntryHolds = NO_HOLDS,
    effort: Effort | None = None,
    enough: Callable[[], bool] = lambda: False,
) -> list[Step]:
    """The steps for the entry's slots that are due at `now_ms`, oldest first.

    `fired` is how often the entry has fired before. Planning stops after `limit` steps, after a
    slice of enumerated slots, or when `enough` returns true because the time is used up; the caller
    plans again from the last step's cursor.
    """
    planner = _Planner(entry, policies, now_ms=now_ms, loss=loss, fired=fired, holds=holds)
    steps: list[Step] = []
    slot_ms = planner.next_slot_ms(cursor_ms)
    while slot_ms is not None and entry.effective_ms(slot_ms) <= now_ms:
        if len(steps) >= limit or planner.looked_at >= SLICE:
            break
        step = planner.step(cursor_ms, slot_ms)
        if step is None or (steps and _skips_after_a_firing(steps[-1], step)):
            break
        steps.append(step)
        cursor_ms, slot_ms = step.cursor_ms, step.next_slot_ms
        if step.not_before_ms > now_ms or enough():
            break
    if effort is not None:
        effort.slots += planner.looked_at
    return steps


def _skips_after_a_firing(before: Step, step: Step) -> bool:
    """Whether a step has to wait for the claim of the one before it.

    A leader writes the skips of a plan before it claims its firings, so none may follow a firing.
    """
    return isinstance(before.what, Firing) and isinstance(step.what, SkippedRun)


def waits_until_ms(entry: Entry, slot_ms: int, now_ms: int, holds: EntryHolds) -> int | None:
    """When to plan a slot again that is due and waits for the end of a hold; None if none does.

    That is the end of the hold or, if earlier, when the next slot is due, which then takes its
    place.
    """
    held = holds.held(slot_ms, entry.effective_ms(slot_ms), now_ms) if holds else None
    if held is None or not held.latest or held.until_ms <= now_ms:
        return None
    following_ms = entry.next_slot_ms(slot_ms)
    if following_ms is None:
        return held.until_ms
    return min(held.until_ms, entry.effective_ms(following_ms))


def promise(policies: Policies) -> str:
    """The rules above in one sentence, for an entry's policies."""
    grace_ms, window_ms = policies.misfire_grace_ms, policies.misfire_window_ms
    late = f"fires slots up to {in_words.duration(grace_ms)} late"
    if window_ms is not None and window_ms <= grace_ms:
        return f"{late}, and no older ones"
    match policies.misfire:
        case Misfire.LATEST:
            older = "and the newest of the older ones"
        case Misfire.ALL:
            older = (
                f"and the newest {policies.misfire_limit} of the older ones, "
                f"{policies.misfire_pace:g} per second"
            )
        case Misfire.SKIP:
            older = "and no older ones"
    if window_ms is None or policies.misfire is Misfire.SKIP:
        return f"{late}, {older}"
    return f"{late}, {older}, but none older than {in_words.duration(window_ms)}"


class _Planner:
    """Decides one step at a time; keeps track of the burst and of the runs left."""

    def __init__(
        self,
        entry: Entry,
        policies: Policies,
        now_ms: int,
        loss: Loss,
        fired: int,
        holds: EntryHolds,
    ) -> None:
        self._entry = entry
        self._holds = holds
        self._policies = policies
        self._now_ms = now_ms
        self._lost_until_ms = min(loss.until_ms, now_ms)
        once = policies.delivery is Delivery.AT_MOST_ONCE
        self._uncertain_until_ms = min(loss.declared_ms, now_ms) if once else 0
        #: The last instant beyond the grace: a slot due up to here is a misfire.
        self._last_misfire_ms = now_ms - policies.misfire_grace_ms - 1
        window_ms = policies.misfire_window_ms
        # A slot within the grace fires even if the misfire window is shorter than the grace.
        self._window_begins_ms = (
            0 if window_ms is None else min(now_ms - window_ms, self._last_misfire_ms + 1)
        )
        self._rest_fires = False
        self._burst = max(1, round(policies.misfire_pace / BURSTS_PER_SECOND))
        self._in_burst = 0
        self._runs_left = entry.runs_left(fired)
        #: The number of slots enumerated so far.
        self.looked_at = 0

    def next_slot_ms(self, after_ms: int) -> int | None:
        """The next slot; None if `max_runs` is used up."""
        return None if self._runs_left == 0 else self._entry.next_slot_ms(after_ms)

    def step(self, cursor_ms: int, slot_ms: int) -> Step | None:
        """The step for `slot_ms`, the first slot after the cursor, which is due.

        None if it waits for the end of a hold.
        """
        effective_ms = self._entry.effective_ms(slot_ms)
        # Rule 1: it may have been claimed in the lost timeline.
        if effective_ms <= self._lost_until_ms:
            return self._missed(self._until(cursor_ms, self._lost_until_ms), HISTORY_LOST)
        # Rule 2: unknown whether it was claimed.
        if effective_ms <= self._uncertain_until_ms:
            run = self._until(cursor_ms, self._uncertain_until_ms)
            return self._missed(run, HISTORY_UNCERTAIN, Outcome.AMBIGUOUS)
        # Rule 3: held.
        held = self._holds.held(slot_ms, effective_ms, self._now_ms) if self._holds else None
        if held is not None and not (held.latest and effective_ms < self._window_begins_ms):
            return self._held(cursor_ms, slot_ms, held)
        # Rule 4: within the grace.
        if effective_ms > self._last_misfire_ms:
            return self._firing(slot_ms)
        # Rule 5: a misfire, and too old for the misfire window.
        if effective_ms < self._window_begins_ms:
            run = self._until(cursor_ms, self._unheld(slot_ms, self._window_begins_ms - 1))
            return self._missed(run, "misfire: window")
        # Rule 6: the policy decides.
        match self._policies.misfire:
            case Misfire.SKIP:
                return self._missed(self._misfires(cursor_ms, slot_ms), "misfire: skip")
            case Misfire.LATEST:
                return self._latest(cursor_ms, slot_ms)
            case Misfire.ALL:
                return self._all(cursor_ms, slot_ms)

    def _held(self, cursor_ms: int, slot_ms: int, held: Held) -> Step | None:
        """Skip the due slots of a hold; or all but the newest, which waits and fires at its end."""
        if held.by_slot:
            due = self._until(cursor_ms, self._now_ms)
            return self._skipped(self._count(cursor_ms, min(due.last_ms, held.until_ms - 1)), held)
        last_ms = min(self._now_ms, held.until_ms - 1)
        run = self._until(cursor_ms, last_ms)
        if not held.latest:
            return self._skipped(run, held)
        if run.count == 1 and not self._is_due(self._entry.next_slot_ms(run.last_ms), last_ms):
            waits = self._now_ms < held.until_ms
            return None if waits else self._firing(slot_ms, "latest")
        if not self._is_due(self._entry.next_slot_ms(run.last_ms), last_ms):
            run = self._count(cursor_ms, run.last_ms - 1)
        step = self._skipped(run, held)
        if step.next_slot_ms is None:
            return step
        again_ms = waits_until_ms(self._entry, step.next_slot_ms, self._now_ms, self._holds)
        return step if again_ms is None else replace(step, not_before_ms=again_ms)

    def _skipped(self, run: Run, held: Held) -> Step:
        return self._missed(run, held.reason, Outcome.SKIPPED)

    def _is_due(self, slot_ms: int | None, until_ms: int) -> bool:
        return slot_ms is not None and self._entry.effective_ms(slot_ms) <= until_ms

    def _unheld(self, slot_ms: int, until_ms: int) -> int:
        """The instant `until_ms`, or the last one before the next hold if that is earlier."""
        begins_ms = self._holds.next_begin_ms(slot_ms) if self._holds else None
        return until_ms if begins_ms is None else max(slot_ms, min(until_ms, begins_ms - 1))

    def _next_unheld_ms(self, after_ms: int) -> int | None:
        """The next misfire that no hold skips; gives up after a few holds."""
        slot_ms = self._entry.next_slot_ms(after_ms)
        for _ in range(HOLDS_PASSED if self._holds else 0):
            if slot_ms is None or not self._is_misfire(slot_ms):
                break
            held = self._holds.held(slot_ms, self._entry.effective_ms(slot_ms), self._now_ms)
            if held is None or held.latest:
                break
            slot_ms = self._entry.next_slot_ms(max(slot_ms, held.until_ms - 1))
        return slot_ms

    def _latest(self, cursor_ms: int, slot_ms: int) -> Step:
        """Miss all but the newest misfire; the only one left is the newest, and fires."""
        run = self._misfires(cursor_ms, slot_ms)
        following_ms = self._next_unheld_ms(run.last_ms)
        # A run that ends early, after a slice, is followed by another misfire: all of it is missed.
        if following_ms is not None and (
            self._entry.effective_ms(following_ms) <= self._last_misfire_ms
        ):
            return self._missed(run, "misfire: latest")
        if run.count == 1:
            return self._firing(run.last_ms, "latest")
        return self._missed(self._count(cursor_ms, run.last_ms - 1), "misfire: latest")

    def _all(self, cursor_ms: int, slot_ms: int) -> Step:
        """Miss all but the newest `misfire_limit` misfires; fire those at the policy's pace."""
        keep = self._policies.misfire_limit
        if not self._entry.schedule.arithmetic:
            keep = min(keep, ENUMERATED_AT_MOST)
        if not self._rest_fires:
            first = self._misfires(cursor_ms, slot_ms, keep)
            excess = self._excess(first, keep)
            if excess > 0:
                run = self._entry.count_between(cursor_ms, first.last_ms, excess)
                assert run is not None
                return self._missed(run, "misfire: limit")
            self._rest_fires = True
        self._in_burst += 1
        step = self._firing(slot_ms, "all")
        if self._in_burst < self._burst or not self._is_misfire(step.next_slot_ms):
            return step
        pause_ms = round(self._burst * 1_000 / self._policies.misfire_pace)
        return replace(step, not_before_ms=self._now_ms + pause_ms)

    def _excess(self, first: Run, keep: int) -> int:
        """How many of the first misfires to miss, so that the newest `keep` are left.

        Held slots do not count. Beyond a limited number of holds, all slots do.
        """
        count, slot_ms = first.count, self._entry.next_slot_ms(first.last_ms)
        for _ in range(HOLDS_PASSED if self._holds else 0):
            if slot_ms is None or not self._is_misfire(slot_ms) or count >= keep + first.count:
                return min(first.count, count - keep)
            held = self._holds.held(slot_ms, self._entry.effective_ms(slot_ms), self._now_ms)
            if held is not None:
                slot_ms = self._entry.next_slot_ms(max(slot_ms, held.until_ms - 1))
                continue
            run = self._misfires(slot_ms - 1, slot_ms, keep)
            count, slot_ms = count + run.count, self._entry.next_slot_ms(run.last_ms)
        if self._holds and slot_ms is not None and self._is_misfire(slot_ms):
            count += self._until(slot_ms - 1, self._last_misfire_ms, keep).count
        return min(first.count, count - keep)

    def _is_misfire(self, slot_ms: int | None) -> bool:
        return slot_ms is not None and (self._entry.effective_ms(slot_ms) <= self._last_misfire_ms)

    def _misfires(self, cursor_ms: int, slot_ms: int, beyond: int = 0) -> Run:
        return self._until(cursor_ms, self._unheld(slot_ms, self._last_misfire_ms), beyond)

    def _until(self, cursor_ms: int, effective_until_ms: int, beyond: int = 0) -> Run:
        """The run of slots whose *effective* times are not after an instant.

        Effective times keep the order of slots and are before the next slot, so at most the last
        slot of the run has to be left out.
        """
        run = self._count(cursor_ms, effective_until_ms, beyond)
        if run.count > 1 and self._entry.effective_ms(run.last_ms) > effective_until_ms:
            return self._count(cursor_ms, run.last_ms - 1, beyond)
        return run

    def _count(self, cursor_ms: int, until_ms: int, beyond: int = 0) -> Run:
        """The run of slots in (cursor, until]; kinds that must enumerate stop after a slice."""
        limit = None if self._entry.schedule.arithmetic else SLICE + beyond
        run = self._entry.count_between(cursor_ms, until_ms, limit)
        assert run is not None, "the caller has found a slot in this span"
        self.looked_at += 0 if self._entry.schedule.arithmetic else run.count
        return run

    def _firing(self, slot_ms: int, misfire: str = "") -> Step:
        firing = Firing(self._entry.name, slot_ms, self._entry.effective_ms(slot_ms), misfire)
        # An expired firing is not sent, so it does not count towards max_runs.
        if self._runs_left is not None and not has_expired(self._entry, firing, self._now_ms):
            self._runs_left -= 1
        return self._step(firing, slot_ms)

    def _missed(self, run: Run, reason: str, outcome: Outcome = Outcome.MISSED) -> Step:
        what = SkippedRun(run.first_ms, run.last_ms, run.count, outcome, reason)
        return self._step(what, run.last_ms)

    def _step(self, what: Firing | SkippedRun, cursor_ms: int) -> Step:
        return Step(what, cursor_ms, self.next_slot_ms(cursor_ms))
