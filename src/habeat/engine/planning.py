"""Turns what a tick found due into a plan: which slots fire and which do not.

For every due entry, the planner reads the definition and applies catch-up. The result is two lists:
runs of slots that will not fire, and firings to render and claim. Definitions come from a bounded
cache, keyed by the digest of the stored text, so an edit is never missed. Within one entry, skips
come before firings, because slots that are lost, beyond their grace or expired are older than those
that fire.

No entry holds up the others. One that cannot be read is quarantined. One that needs code this
replica lacks waits. One whose planning takes too long is only counted the first time, because the
process may have been suspended meanwhile; from the second time on it waits, each time longer, and
after `SLOW_TRIES` times it is quarantined. Entries known to be costly are planned last, and the
tick stops planning when they have used up their share of it.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from habeat.core.catchup import Effort, Step, plan, waits_until_ms
from habeat.core.data_loss import Loss
from habeat.core.entry import Entry, Policies
from habeat.core.firing import Firing, Outcome, SkippedRun
from habeat.core.holds import Holds
from habeat.core.limits import too_large
from habeat.core.request import Request
from habeat.engine.custom_schedules import as_of_ms, out_of_bounds, verdict
from habeat.engine.patience import COSTLY_MS, SLOW_MS, SLOW_TRIES, Slowness, Tries, pause_ms
from habeat.engine.plan import CalendarCheck, add_step, due_after
from habeat.engine.plan import Plan as Plan
from habeat.engine.plan import PlannedFiring as PlannedFiring
from habeat.entries.changes import POSITION_GONE
from habeat.errors import DefinitionError
from habeat.ports import DueEntry, Expected, Next, ScheduleAsker
from habeat.schedules.custom import Code, LiveCode

#: The cache holds as many definitions as the lookahead covers, so those of a burst are read once,
#: a second before it.
CACHED_DEFINITIONS = LOOKED_AT_MOST = 10_000
#: When to look again at an entry that is disabled but still indexed as due.
LOOK_AGAIN_MS = 30_000
#: Slots enumerated in one tick. The rest waits for the next tick, which renews the lease first.
SLOTS_PER_TICK = 20_000

MISSING_CODE = (
    "it has parts that only code can express, and this replica's beat_schedule lacks them"
)


class DefinitionSource(Protocol):
    """Where definitions come from: the stored text, and the parts that only code can express."""

    def decode(self, name: str, stored: bytes) -> Entry:
        """The entry that `stored` describes; DefinitionError if it cannot be read."""
        ...

    def resolve(self, entry: Entry) -> Entry | None:
        """The entry, completed with the parts from code; None if this replica's code lacks them."""
        ...

    def decode_request(self, stored: bytes) -> Request:
        """The request that `stored` describes; DefinitionError if it cannot be read."""
        ...

    def encode_request(self, request: Request) -> bytes:
        """The request in its stored form."""
        ...


class Planner:
    """Plans ticks; caches definitions, and remembers which entries failed or were slow."""

    def __init__(
        self,
        definitions: DefinitionSource,
        defaults: Policies,
        fetch: Callable[[Sequence[str]], Sequence[bytes | None]],
        asker: ScheduleAsker,
        monotonic_us: Callable[[], int] = lambda: 0,
        between: Callable[[], None] = lambda: None,
    ) -> None:
        """`between` is called between two entries; it renews the lease if necessary."""
        self._asker = asker
        self._monotonic_us = monotonic_us
        self._between = between
        self._tries = Tries()
        self._slowness = Slowness()
        #: How long it took to decode each definition that this page had to fetch.
        self._read_us: dict[str, int] = {}
        self._definitions = definitions
        self._defaults = defaults
        self._fetch = fetch
        self._cache: OrderedDict[tuple[str, str], Entry | DefinitionError] = OrderedDict()
        self._effort = Effort()
        self._holds = Holds()

    def plan(
        self,
        due: Sequence[DueEntry],
        *,
        now_ms: int,
        loss: Loss,
        limit: int,
        holds: Holds | None = None,
    ) -> Plan:
        """The plan for `due` at `now_ms` (Redis time), with at most `limit` firings."""
        self._holds = holds or Holds()
        self._read_us = {}
        self._load(due)
        result = Plan()
        self._effort = Effort()
        self._slowness.begin()
        for item in self._slowness.costly_last(due):
            ahead = item.due_ms > now_ms
            if self._slowness.is_spent or (ahead and self._slowness.is_costly(item)):
                result.note_again(max(item.due_ms, now_ms))  # plan it when it is due
                continue
            began_us = self._monotonic_us()
            mine = Plan()
            self._plan_item(mine, item, now_ms, loss, limit - len(result.firings))
            took_us = self._monotonic_us() - began_us + self._read_us.pop(item.name, 0)
            result.add(self._measured(mine, item, took_us))
            self._between()
        return result

    def _plan_item(self, result: Plan, item: DueEntry, now_ms: int, loss: Loss, room: int) -> None:
        found = self._entry(item)
        if isinstance(found, DefinitionError):
            if item.due_ms > now_ms:
                result.note_again(item.due_ms)
            else:
                result.unreadable.append((item, found.why))
        elif item.due_ms > now_ms:
            self._plan_ahead(result, found, item, loss)
        elif room > 0 and self._effort.slots < SLOTS_PER_TICK:
            self._plan_found(result, found, item=item, now_ms=now_ms, loss=loss, room=room)
        else:
            result.note_next(item.due_ms)

    def _measured(self, mine: Plan, item: DueEntry, took_us: int) -> Plan:
        """The entry's plan; or one that defers or quarantines it, if planning took too long."""
        tries = self._slowness.measured(item, took_us)
        if tries < 2:  # once may be an accident: the process may have been suspended meanwhile
            return mine
        why = f"planning it takes longer than {SLOW_MS} ms"
        if tries >= SLOW_TRIES:
            took = f"{tries} times in a row; the last time, it took {took_us // 1_000} ms"
            return Plan(unreadable=[(item, f"{why}: {took}")])
        return Plan(failing=[(item, why, pause_ms(tries - 1))])

    def _plan_ahead(self, result: Plan, found: Entry, item: DueEntry, loss: Loss) -> None:
        """Plan an entry as of the instant at which it will be due, if it will simply fire once.

        An entry that failed before, skips slots or has several firings is planned when it is due.
        """
        then = Plan()
        # A schedule of code answers for the present, so it can only be asked when it is due.
        waits = item in self._tries or isinstance(found.schedule, Code)
        if not waits:
            with contextlib.suppress(Exception):  # fails again when it is due, and is logged then
                self._plan_resolved(then, found, item=item, now_ms=item.due_ms, loss=loss, room=2)
        if len(then.firings) == 1 and not then.skips:
            result.ahead += then.firings
            result.calendars += then.calendars
            result.note_next(then.next_due_ms)
        else:
            result.note_again(item.due_ms)

    def _plan_found(
        self, result: Plan, found: Entry, item: DueEntry, now_ms: int, loss: Loss, room: int
    ) -> None:
        """Plan one entry; any exception of its schedule makes only this entry fail."""
        try:
            well = self._plan_resolved(
                result, found, item=item, now_ms=now_ms, loss=loss, room=room
            )
        except Exception as error:
            self._fails(result, item, f"its schedule fails: {error!r}")
            return
        if well and self._tries.over(item):
            result.recovered.append(item.name)

    def _fails(self, result: Plan, item: DueEntry, why: str) -> None:
        result.failing.append((item, why, pause_ms(self._tries.another(item))))

    def _plan_resolved(
        self, result: Plan, found: Entry, item: DueEntry, now_ms: int, loss: Loss, room: int
    ) -> bool:
        """Plan one entry; True if its schedule worked as it should."""
        entry = self._definitions.resolve(found)
        if entry is None:
            result.unresolved.append((item, MISSING_CODE))
            return False
        if isinstance(entry.schedule, LiveCode) and entry.enabled:
            return self._plan_asked(result, entry, entry.schedule, item, now_ms)
        self._plan_entry(result, entry, item=item, now_ms=now_ms, loss=loss, room=room)
        return True

    def _plan_asked(
        self, result: Plan, entry: Entry, schedule: LiveCode, item: DueEntry, now_ms: int
    ) -> bool:
        """Ask a schedule of code whether it is due (custom_schedules.py)."""
        found = out_of_bounds(entry, item, now_ms)
        if found is None:
            answer = self._asker.ask(item, schedule, as_of_ms(item, now_ms))
            found = verdict(entry, item, answer, now_ms)
        if found.failed:
            self._fails(result, item, found.failed)
        elif found.look_ms is not None:
            result.note_again(found.look_ms)
        elif found.firing is None:
            result.note_next(found.due_ms)
            result.misplaced.append((item, found.due_ms))
        else:
            what = self._unless_held(entry, found.firing, now_ms)
            step = Step(what, found.firing.slot_ms, found.due_ms)
            expected = Expected(item.digest, item.due_ms, item.cursor_ms or 0)
            after = Next(found.due_ms, found.due_ms)
            add_step(result, entry, item, step=step, expected=expected, after=after, now_ms=now_ms)
            result.note_next(found.due_ms)
        return not (found.failed or found.waits)

    def _unless_held(self, entry: Entry, firing: Firing, now_ms: int) -> Firing | SkippedRun:
        """The firing of a schedule of code; skipped if a hold is on: it cannot be asked again."""
        held = self._holds.of(entry).held(firing.slot_ms, firing.effective_ms, now_ms)
        if held is None:
            return firing
        return SkippedRun(firing.slot_ms, firing.slot_ms, 1, Outcome.SKIPPED, held.reason)

    def find_all(self, names: Iterable[str]) -> dict[str, Entry | DefinitionError]:
        """The entries of these names as stored now, or the error that makes one unusable."""
        wanted = sorted(names)
        stored = self._fetch(wanted) if wanted else []
        return {name: self._found(name, raw) for name, raw in zip(wanted, stored, strict=True)}

    def _found(self, name: str, stored: bytes | None) -> Entry | DefinitionError:
        if stored is None:
            return DefinitionError(name, "there is none")
        found = self._decoded(name, stored)
        try:
            entry = (
                found if isinstance(found, DefinitionError) else self._definitions.resolve(found)
            )
        except Exception as error:
            return DefinitionError(name, f"its schedule fails: {error!r}")
        return DefinitionError(name, MISSING_CODE) if entry is None else entry

    def _load(self, due: Sequence[DueEntry]) -> None:
        missing: list[DueEntry] = []
        for item in due:
            if _key(item) in self._cache:
                self._cache.move_to_end(_key(item))  # never evict an entry of this page
            elif item.digest and not item.large_bytes:
                missing.append(item)
        if not missing:
            return
        for item, stored in zip(missing, self._fetch([item.name for item in missing]), strict=True):
            if stored is not None:
                # It may have changed since the tick, so it is cached under its own digest.
                digest = hashlib.sha1(stored, usedforsecurity=False).hexdigest()
                began_us = self._monotonic_us()
                self._cache[item.name, digest] = self._decoded(item.name, stored)
                self._read_us[item.name] = self._monotonic_us() - began_us
                self._between()
        while len(self._cache) > max(CACHED_DEFINITIONS, len(due)):
            self._cache.popitem(last=False)

    def _decoded(self, name: str, stored: bytes) -> Entry | DefinitionError:
        try:
            return self._definitions.decode(name, stored)
        except DefinitionError as error:
            return error
        except Exception as error:  # any exception concerns this entry only
            return DefinitionError(name, type(error).__name__)

    def _entry(self, item: DueEntry) -> Entry | DefinitionError:
        if not item.digest:
            return DefinitionError(item.name, "there is none: it was evicted or deleted by hand")
        if item.large_bytes:
            return too_large(item.name, item.large_bytes)
        if item.cursor_ms is None:
            return DefinitionError(item.name, POSITION_GONE)
        found = self._cache.get(_key(item))
        return found or DefinitionError(item.name, "it changed while it was read")

    def _plan_entry(
        self, result: Plan, entry: Entry, item: DueEntry, now_ms: int, loss: Loss, room: int
    ) -> None:
        assert item.cursor_ms is not None
        if not entry.enabled:  # changed by hand in Redis: habeat's own edits also unindex the entry
            result.misplaced.append((item, now_ms + LOOK_AGAIN_MS))
            return
        policies, began_us = entry.policies(self._defaults), self._monotonic_us()
        holds = self._holds.of(entry)
        if entry.calendar:
            missing, ended = self._holds.missing(entry), self._holds.ended(entry, now_ms)
            check = CalendarCheck(entry.name, "".join(missing[:1]), "".join(ended[:1]))
            result.calendars.append(check)
        steps = plan(
            entry,
            policies,
            cursor_ms=item.cursor_ms,
            now_ms=now_ms,
            loss=loss,
            fired=item.fired,
            limit=room,
            holds=holds,
            effort=self._effort,
            enough=lambda: self._monotonic_us() - began_us > COSTLY_MS * 1_000,
        )
        expected = Expected(item.digest, item.due_ms, item.cursor_ms)
        for step in steps:
            after = Next(step.next_slot_ms, due_after(entry, step))
            add_step(result, entry, item, step=step, expected=expected, after=after, now_ms=now_ms)
            due_ms = expected.due_ms if after.due_ms is None else after.due_ms
            expected = Expected(item.digest, due_ms, step.cursor_ms)
        if steps:
            result.note_next(after.due_ms)
            return
        # Nothing to do although the entry is indexed as due: correct its due time.
        spent = entry.runs_left(item.fired) == 0
        following_ms = None if spent else entry.next_slot_ms(item.cursor_ms)
        right_due_ms = None if following_ms is None else entry.effective_ms(following_ms)
        if following_ms is not None and right_due_ms is not None and right_due_ms <= now_ms:
            right_due_ms = waits_until_ms(entry, following_ms, now_ms, holds) or right_due_ms
        result.note_next(right_due_ms)
        result.misplaced.append((item, right_due_ms))


def _key(item: DueEntry) -> tuple[str, str]:
    return item.name, item.digest
