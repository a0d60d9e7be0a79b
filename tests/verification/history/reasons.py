"""The ledger's reason why a slot did not fire must agree with the history.

Every record of unclaimed slots is judged when it is written, by what is known then: the
definition in force, the server's clock, pauses, losses, earlier claims. What a record says must be
so; an unknown reason is wrong. (That there was a fault at all, where one is needed, and
that nothing took too long, is looked at when all is known: misses.py, waiting.py.)

history lost      data had been lost, and the slot is not later than that loss, by the clock as it
                  was before it was set back
history uncertain the same, of an entry that may be sent at most once
misfire: …        its grace was over; skip, latest, limit or window is what the entry asks for, and
                  what it keeps is still to come (the newest, the newest so many)
expired           its deadline, or `expires`, was over, counted from its effective time
edited, disabled  the same script writes a definition with other slots, or one that is (was) off
paused: all, maintenance: …   the schedule was paused, or the entry in a window (holding.py)
paused            the entry was paused; a pause that has ended by itself takes no slot after its end
quarantined       it was set aside, or could not be read
removed, pruned   the same script removes it
suppressed        the same (entry, slot) was claimed before
circuit open      a circuit of the entry was, and its next probe was not due; or it was, and a
                  newer slot is due, which is the probe
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from habeat.core.entry import Entry, Misfire
from tests.verification.history.bounds import READS_US
from tests.verification.history.case import ANCHORED_US, Case
from tests.verification.history.cursors import Cursors, Life, Record
from tests.verification.history.holding import Holding
from tests.verification.history.standing import Standing

_SUFFIXES = ("; slots not counted", "; at least this many")
_DEFAULT_LIMIT = 1_000


class Reasons:
    """Judges each record as it is written."""

    def __init__(self, case: Case, cursors: Cursors, standing: Standing, holding: Holding) -> None:
        self._holding = holding
        self._case = case
        self._cursors = cursors
        self._standing = standing
        #: Said to be removed in the script that runs, and still there.
        self._leaving: dict[str, Record] = {}
        self._known: dict[str, Callable[[Life, Record], str]] = {
            "history lost": self._history_lost,
            "expired": self._expired,
            "edited": self._edited,
            "disabled": self._disabled,
            "paused": self._paused,
            "quarantined": self._quarantined,
            "its definition was missing": self._gone,
            "removed": self._removed,
            "pruned": self._removed,
            "fired before": self._suppressed,
        }

    def check(self, life: Life, record: Record, *, fenced: bool) -> None:
        """A record of slots that were not claimed."""
        reason = record.reason
        for suffix in _SUFFIXES:
            reason = reason.removesuffix(suffix)
        self._fenced = fenced
        problem = ""
        if reason.startswith("misfire: ") and record.outcome == "missed":
            problem = self._misfire(life, record, reason.removeprefix("misfire: "))
        elif record.reason == "history uncertain":
            problem = self._uncertain(life, record)
        elif record.outcome == "failed" and record.reason.startswith("circuit open: "):
            problem = self._circuit_open(life, record)
        elif reason == "paused: all" or reason.startswith("maintenance: "):
            problem = self._holding.why_not_skipped(life.entry, record.last_ms, reason)
        elif record.outcome in ("missed", "skipped", "suppressed"):
            problem = self._known.get(reason, self._unknown)(life, record)
        if problem:
            self._wrong(life, record, problem)

    def _wrong(self, life: Life, record: Record, problem: str) -> None:
        said = f"recorded as {record.outcome} ({record.reason}), {problem}"
        self._case.wrong("ledger", said, life.entry, str(record.last_ms))

    def _unknown(self, life: Life, record: Record) -> str:
        return "which is no reason that a slot is lost for"

    # -- losses -------------------------------------------------------------------------------

    def _history_lost(self, life: Life, record: Record) -> str:
        case = self._case
        if case.gaps and any(gap.end_us <= case.at_us for gap in case.gaps):
            return ""  # it may have been lost in a gap of the recorder
        if not case.losses:
            return "and nothing had been lost"
        if record.count == 0:
            return ""  # a sign that an entry was created again, of no slots
        # A slot that was due before the clock was set back may have been claimed before the loss.
        bound_ms = max(loss.server_ms + case.set_back_before_ms(loss.at_us) for loss in case.losses)
        late_ms = case.effective_ms(life.entry, record.last_ms) - bound_ms
        if late_ms > 0:
            return f"and it is {late_ms} ms later than the loss"
        return ""

    def _uncertain(self, life: Life, record: Record) -> str:
        """It is unknown whether it was claimed: only an at-most-once slot is given up for that."""
        case = self._case
        if not case.losses and not case.gaps:
            return "and nothing had been lost"
        if record.outcome != "ambiguous" or not case.is_once(life.entry, str(record.last_ms)):
            return "and it may be sent again"
        return ""

    def _suppressed(self, life: Life, record: Record) -> str:
        for known in self._case.firings.get((life.entry, str(record.first_ms)), _NONE).claims:
            if known.at_us <= self._case.at_us:
                return ""
        return "and nobody had claimed it before"

    def _circuit_open(self, life: Life, record: Record) -> str:
        """What opened it is looked for in misses.py, from when it was opened."""
        found = self._standing.circuits.get(life.entry)
        if found is None:
            return "" if self._case.gaps else "and its circuit was closed"
        record.circuit_us = found.since_us
        overdue_us = self._case.server_us - found.probe_ms * 1_000
        if overdue_us <= ANCHORED_US or self._is_newer_due(life, record):
            return ""
        return "and a probe had been due"

    def _is_newer_due(self, life: Life, record: Record) -> bool:
        """Whether a newer slot was due too: the newest is the probe, and all older ones fail."""
        entry = self._case.definitions.get(life.entry)
        newer_ms = None if entry is None else entry.next_slot_ms(record.last_ms)
        if entry is None or newer_ms is None:
            return False
        return entry.effective_ms(newer_ms) * 1_000 <= self._case.server_us

    # -- policies -----------------------------------------------------------------------------

    def _misfire(self, life: Life, record: Record, how: str) -> str:
        entry = self._case.definitions.get(life.entry)
        if entry is None:
            return ""
        # A leader reckons from its last look: what the clock was put back since is not in that.
        case = self._case
        now_ms = (case.server_us + case.set_back_us()) // 1_000 + 1
        grace_ms = case.grace_ms(life.entry)
        if grace_ms is None:
            grace_ms = 0
        late_ms = now_ms - entry.effective_ms(record.last_ms)
        if late_ms <= grace_ms:
            return f"{late_ms} ms late, and its grace is {grace_ms} ms"
        policy = entry.misfire or Misfire.LATEST
        over_ms = now_ms - grace_ms
        match how:
            case "skip":
                return "" if policy is Misfire.SKIP else f"and its policy is {policy}"
            case "window":
                window_ms = entry.misfire_window_ms
                if window_ms is None:
                    return "and it has no window"
                return "" if late_ms > window_ms else f"{late_ms} ms late, in its window"
            case "latest":
                return _latest(entry, policy, record.last_ms, over_ms)
            case "limit":
                return _limit(entry, policy, record.last_ms, over_ms)
        return "which is no policy"

    def _expired(self, life: Life, record: Record) -> str:
        entry = self._case.definitions.get(life.entry)
        if entry is None:
            return ""
        case = self._case
        now_ms = (case.server_us + case.set_back_us()) // 1_000 + 1
        effective_ms = entry.effective_ms(record.last_ms)
        ends_ms = _ends_ms(entry, effective_ms)
        if ends_ms is None:
            return "and it has no deadline"
        return "" if ends_ms <= now_ms else f"{ends_ms - now_ms} ms before its deadline"

    # -- edits --------------------------------------------------------------------------------

    def _past(self, record: Record) -> str:
        """Slots that an edit takes away are due; later ones follow the new definition."""
        back_us = sum(by for at, by in self._case.setbacks)
        early_ms = record.last_ms - (self._case.server_us + back_us + READS_US) // 1_000
        return f"{early_ms} ms before its time" if early_ms > 0 else ""

    def _edited(self, life: Life, record: Record) -> str:
        new = self._case.definitions.get(life.entry)
        if not life.redefined:
            return "and nobody wrote its definition"
        old = life.old
        if old is None or new is None or not _same_slots(old, new):
            return self._past(record)
        return "and what was written has the same slots"

    def _disabled(self, life: Life, record: Record) -> str:
        new = self._case.definitions.get(life.entry)
        old = life.old if life.redefined else new
        if old is None or new is None or not (old.enabled and new.enabled):
            return self._past(record)
        return "and it is enabled"

    def _paused(self, life: Life, record: Record) -> str:
        pause = self._standing.pause_of(life.entry)
        if pause is None:
            return "and it was not paused"
        if self._fenced and pause.until_ms is not None and record.last_ms > pause.until_ms:
            return f"and its pause had been over for {record.last_ms - pause.until_ms} ms"
        return self._past(record)

    def _quarantined(self, life: Life, record: Record) -> str:
        now = self._case.definitions.get(life.entry)
        if now is None or life.was_unreadable or self._standing.was_aside(life.entry):
            return self._past(record)
        return "and it was not set aside"

    def _gone(self, life: Life, record: Record) -> str:
        return "" if life.was_gone or self._case.gaps else "and it was there"

    # -- removals -----------------------------------------------------------------------------

    def _removed(self, life: Life, record: Record) -> str:
        self._leaving[life.entry] = record
        return self._past(record)

    def undefined(self, entry: str) -> None:
        """HDEL entries."""
        self._leaving.pop(entry, None)

    def script_ended(self) -> None:
        if self._leaving:
            for entry, record in self._leaving.items():
                self._wrong(self._cursors.lived(entry), record, "and it is still there")
            self._leaving.clear()


def _latest(entry: Entry, policy: Misfire, last_ms: int, over_ms: int) -> str:
    if policy is not Misfire.LATEST:
        return f"and its policy is {policy}"
    following_ms = entry.next_slot_ms(last_ms)
    if following_ms is None or entry.effective_ms(following_ms) > over_ms:
        return "and it is the newest of the slots beyond the grace"
    return ""


def _limit(entry: Entry, policy: Misfire, last_ms: int, over_ms: int) -> str:
    if policy is not Misfire.ALL:
        return f"and its policy is {policy}"
    wanted = _DEFAULT_LIMIT if entry.misfire_limit is None else entry.misfire_limit
    slot_ms: int | None = last_ms
    for newer in range(wanted):
        slot_ms = entry.next_slot_ms(slot_ms)
        if slot_ms is None or entry.effective_ms(slot_ms) > over_ms:
            return f"and only {newer} slots beyond the grace are newer; {wanted} shall fire"
    return ""


def _same_slots(old: Entry, new: Entry) -> bool:
    return (old.schedule.to_json(), old.start_ms, old.end_ms, old.max_runs) == (
        new.schedule.to_json(),
        new.start_ms,
        new.end_ms,
        new.max_runs,
    )


def can_expire(entry: Entry) -> bool:
    """Whether a message of this entry has an expiry."""
    return _ends_ms(entry, 0) is not None


def _ends_ms(entry: Entry, effective_ms: int) -> float | None:
    """When its message expires."""
    found: list[float] = []
    if entry.deadline_ms is not None:
        found.append(effective_ms + entry.deadline_ms)
    expires = entry.options.get("expires")
    if isinstance(expires, timedelta):
        expires = expires.total_seconds()
    if isinstance(expires, datetime):
        found.append(expires.timestamp() * 1_000)
    elif isinstance(expires, (int, float)) and not isinstance(expires, bool):
        found.append(effective_ms + expires * 1_000)
    return min(found, default=None)


class _None:
    claims: tuple[()] = ()


_NONE = _None()
