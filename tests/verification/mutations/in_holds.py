"""The devices of holds: what keeps slots from firing, and lets each have one outcome."""

from __future__ import annotations

from tests.verification.mutations.device import (
    CALENDARS,
    HOLDING,
    HOLDS,
    PAUSE_ALL,
    PAUSING,
    Device,
)

_HOLDS = "core/holds.py"
_CATCHUP = "core/catchup.py"
_HOLDING = "client/holding.py"

ALL = [
    Device(
        "hold: while it is on",
        "A slot that was due before a hold is not sent in the middle of it",
        _HOLDS,
        "found = [*self.due_in(effective_ms), *self._on(now_ms)]",
        "found = [*self.due_in(effective_ms)]",
        HOLDS,
    ),
    Device(
        "hold: however late it is found",
        "What fell due in a hold does not fire after it",
        _HOLDS,
        "found = [*self.due_in(effective_ms), *self._on(now_ms)]",
        "found = [*self._on(now_ms)]",
        HOLDS,
    ),
    Device(
        "hold: what skips comes first",
        "A pause is not got around by a window that fires later",
        _HOLDS,
        "key=lambda held: (not held.latest, held.until_ms)",
        "key=lambda held: held.until_ms",
        HOLDS,
    ),
    Device(
        "hold: the end is exclusive",
        "The slot at the end of a hold fires",
        _CATCHUP,
        "last_ms = min(self._now_ms, held.until_ms - 1)",
        "last_ms = min(self._now_ms, held.until_ms)",
        HOLDS,
    ),
    Device(
        "hold: the newest waits",
        "With latest, nothing fires before the end of the hold",
        _CATCHUP,
        "waits = self._now_ms < held.until_ms",
        "waits = False",
        HOLDS,
    ),
    Device(
        "hold: the newest one only",
        "With latest, one slot of the hold fires, not all",
        _CATCHUP,
        "        if run.count == 1 and not self._is_due(",
        "        if not self._is_due(",
        HOLDS,
    ),
    Device(
        "hold: the newest misfire is not held",
        "A slot in a hold does not take the place of the misfire that fires",
        _CATCHUP,
        "        following_ms = self._next_unheld_ms(run.last_ms)\n",
        "        following_ms = self._entry.next_slot_ms(run.last_ms)\n",
        HOLDS,
    ),
    Device(
        "hold: a run ends where it begins",
        "Each slot has the reason that applies to it",
        _CATCHUP,
        "return self._until(cursor_ms, self._unheld(slot_ms, self._last_misfire_ms))",
        "return self._until(cursor_ms, self._last_misfire_ms)",
        HOLDS,
    ),
    Device(
        "calendar: the day of the slot",
        "A day is local to the zone of the entry's schedule",
        "core/calendars.py",
        "        where = _zone(zone or self.zone)\n        day = local_date(slot_ms, where)\n",
        "        where = _zone(self.zone)\n        day = local_date(slot_ms, where)\n",
        CALENDARS,
    ),
    Device(
        "calendar: ends at midnight",
        "The first slot after a day off fires",
        _CATCHUP,
        "min(due.last_ms, held.until_ms - 1)",
        "due.last_ms",
        CALENDARS,
    ),
    Device(
        "calendar: not for tenants",
        "No tenant stops the entries of all",
        "client/calendars.py",
        "    if calls.guard is not NO_GUARD:\n",
        "    if False:\n",
        CALENDARS,
    ),
    Device(
        "hold: a tenant's own scope",
        "No tenant holds the entries of another",
        "client/windows.py",
        "    if not _is_in(scope, window):\n",
        "    if False:\n",
        HOLDING,
    ),
    Device(
        "hold: a tenant replaces its own only",
        "No tenant ends a hold that is not its own",
        "client/windows.py",
        "    if not scope.has_name(name) or not known or (before and not found):\n",
        "    if False:\n",
        HOLDING,
    ),
    Device(
        "controls: a damaged one",
        "A stored value that cannot be read stops no leader",
        "core/controls.py",
        "        except Exception:  # whatever is stored there, the leader goes on without it\n",
        "        except ZeroDivisionError:\n",
        HOLDS,
    ),
    Device(
        "controls: adopted at the start of a tick only",
        "What was planned before a pause is not claimed under it",
        "engine/election.py",
        "        if isinstance(reply, Beaten) and reply.heartbeat:\n",
        "        if isinstance(reply, Tick):\n            self.heed(reply)\n"
        "        if isinstance(reply, Beaten) and reply.heartbeat:\n",
        PAUSE_ALL,
    ),
    Device(
        "pause all: requests wait",
        "Nothing is claimed while the schedule is paused",
        "engine/loop.py",
        "            planned.note_again(pause.until_ms)\n            return Dispatched()\n",
        "            planned.note_again(pause.until_ms)\n",
        PAUSE_ALL,
    ),
    Device(
        "pause all: not for tenants",
        "No tenant stops the schedule of all",
        _HOLDING,
        "if calls.guard is not NO_GUARD:\n        raise NotAllowed",
        "if False:\n        raise NotAllowed",
        PAUSING,
    ),
    Device(
        "pause all: nothing by hand",
        "Who pauses everything means everything",
        _HOLDING,
        "if found.pauses and found.pause_at(session.inspection.now_us() // 1_000):",
        "if False:",
        PAUSING,
    ),
]
