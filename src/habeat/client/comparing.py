"""What a shadow would have sent, slot by slot, beside what another beat sent: `client.diff`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal, cast, get_args

from habeat.client.calls import RetryingCalls, Session
from habeat.client.history import past_ms
from habeat.core.comparison import (
    DIFFERENT,
    REACH_MS,
    TOLERANCE_MS,
    Message,
    Pair,
    Slot,
    Terms,
    Verdict,
    Watched,
    compare,
)
from habeat.core.shadow import SUFFIX, shadow_prefix
from habeat.errors import EntryNotFound, ValidationError
from habeat.printable import plural
from habeat.schedules.schedule import moment

VerdictName = Literal["same", "shifted", "missing", "extra", "ambiguous", "unknown"]
VERDICTS: tuple[VerdictName, ...] = get_args(VerdictName)

DAY = timedelta(days=1)
TOLERANCE = timedelta(milliseconds=TOLERANCE_MS)
#: More records of a period would take more memory than a client may use.
RECORDS_MOST = 1_000_000
#: They are read in this share of the call's time, because pairing them takes twice as long.
READING = 0.25
CHECK_EVERY = 5_000
MAX_TOLERANCE = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class ComparedSlot:
    """What the comparison says about one slot, or about a message without a slot.

    `entries` is one name, or several that cannot be told apart; none for a message of a task that
    no entry has. `slot` is when habeat would have sent it, `sent` when the other beat did; None for
    neither. `shift_ms` is how much later that was; for an interval, later than the message before
    it suggests. `why` explains it where more can be said.
    """

    verdict: VerdictName
    entries: tuple[str, ...]
    slot: datetime | None
    sent: datetime | None
    shift_ms: int
    task: str
    queue: str
    task_id: str | None
    sender: str
    why: str


@dataclass(frozen=True, slots=True)
class Diff:
    """A shadow beside another beat, from `start` to `end`.

    `slots` has all verdicts in order of time, `counts` how many there are of each. `watched` is for
    how long the other beat's messages were watched, `gaps` when they were not. `messages` counts
    those that were seen, `beats` are the processes that sent them, and `others` counts messages of
    scheduled tasks that other processes sent. `blind` says why nothing could be compared; "" if
    something could. `cut` says why the comparison ends before the period does, at `end`; "" if it
    does not.
    """

    start: datetime
    end: datetime
    slots: tuple[ComparedSlot, ...]
    counts: Mapping[VerdictName, int]
    watched: timedelta
    gaps: tuple[tuple[datetime, datetime], ...]
    messages: int
    beats: tuple[str, ...] = ()
    others: Mapping[str, int] = field(default_factory=dict)
    blind: str = ""
    cut: str = ""

    @property
    def differences(self) -> tuple[ComparedSlot, ...]:
        """The slots and messages that make the two schedules differ."""
        return tuple(each for each in self.slots if each.verdict in DIFFERENT)

    @property
    def agrees(self) -> bool:
        """Whether the whole period was compared and nothing differs; unknown slots do not count."""
        return not self.blind and not self.cut and not self.differences


@dataclass(frozen=True, slots=True)
class Period:
    """What to compare: from when to when, and how far apart is the same. ValidationError."""

    since: datetime | timedelta
    until: datetime | timedelta | None
    tolerance: timedelta

    @property
    def tolerance_ms(self) -> int:
        if not timedelta(0) < self.tolerance <= MAX_TOLERANCE:
            raise ValidationError("tolerance", self.tolerance, "more than 0, and at most an hour")
        return self.tolerance // timedelta(milliseconds=1)

    def bounds_ms(self, now_ms: int) -> tuple[int, int]:
        """Its start and its end, which may be later than now."""
        since_ms = max(0, past_ms("since", self.since, now_ms))
        until_ms = now_ms if self.until is None else max(0, past_ms("until", self.until, now_ms))
        # A period that begins now is empty, which is not an error.
        if until_ms < since_ms or (until_ms == since_ms and self.until is not None):
            raise ValidationError("until", self.until, "a time after `since`")
        return since_ms, until_ms


def compared(calls: RetryingCalls, names: Sequence[str], period: Period) -> Diff:
    """Compare; ValidationError, EntryNotFound for a name that has no slot and no message."""
    own = calls.location.prefix.endswith(SUFFIX)
    if own:
        return _compared(calls, names, period)
    shadow = calls.under(shadow_prefix(calls.location.prefix))
    try:
        return _compared(shadow, names, period)
    finally:
        shadow.close()


def _compared(calls: RetryingCalls, names: Sequence[str], period: Period) -> Diff:
    tolerance_ms = period.tolerance_ms
    now_ms, periods = calls.read(_times)
    from_ms, to_ms = period.bounds_ms(now_ms)
    all_watched = Watched.of(periods, join_ms=JOIN_MS)
    # What is due now may be sent a little late: that is for the next comparison.
    settled_ms = max(tolerance_ms, TOLERANCE_MS)
    seen_ms = max((end for _, end in all_watched.periods), default=now_ms)
    until_ms = min(to_ms, seen_ms - settled_ms)
    last_ms = min(now_ms, until_ms + REACH_MS)
    slots, messages, read_ms, cut = _records(calls, from_ms, last_ms)
    if cut:
        until_ms, last_ms = min(until_ms, read_ms - REACH_MS), read_ms
        if until_ms <= from_ms:
            allowed = "a later time, or an earlier `until`: " + cut
            raise ValidationError("since", moment(from_ms), allowed)
    slots = [slot for slot in slots if slot.at_ms <= until_ms]
    watched = all_watched.within(from_ms, last_ms)
    blind = _why_blind(slots, messages, watched)
    terms = Terms(Watched() if blind else watched, from_ms, until_ms, tolerance_ms)
    calls.check(f"{len(slots) + len(messages)} records were read, and are being compared")
    found = compare(slots, messages, terms, calls.check)
    chosen = [pair for pair in found.pairs if not names or set(pair.entries) & set(names)]
    _check_names(names, found.pairs)
    counts = Counter(pair.verdict for pair in chosen)
    seen = [
        message
        for message in messages
        if message.at_ms <= until_ms and (not found.beats or message.sender in found.beats)
    ]
    return Diff(
        start=moment(from_ms),
        end=moment(max(from_ms, until_ms)),
        slots=tuple(map(_readable, chosen)),
        counts={name: counts[Verdict(name)] for name in VERDICTS},
        watched=timedelta(milliseconds=watched.within(from_ms, until_ms).total_ms),
        gaps=tuple(_gaps(watched, from_ms, until_ms)),
        messages=len(seen),
        beats=found.beats,
        others=found.others,
        blind=blind,
        cut=cut,
    )


#: The watcher stores how far it watched every second.
JOIN_MS = 50


def _times(session: Session) -> tuple[int, list[tuple[int, int]]]:
    return session.shadow.now_ms(), session.shadow.periods()


def _records(
    calls: RetryingCalls, from_ms: int, last_ms: int
) -> tuple[list[Slot], list[Message], int, str]:
    """The slots and the messages of a period; a message that was recorded twice counts once.

    With them, up to when they were read, and why no further ("" if all were read).
    """

    def read(session: Session) -> tuple[list[Slot], list[Message], int, str]:
        slots: list[Slot] = []
        messages: dict[str, Message] = {}
        cut, read_ms = "", last_ms
        for count, each in enumerate(session.shadow.between(from_ms, last_ms), 1):
            if cut := _why_cut(calls, count):
                read_ms = each.at_ms - 1
                break
            if isinstance(each, Slot):
                slots.append(each)
            else:
                messages.setdefault(each.id, each)
        return slots, list(messages.values()), read_ms, cut

    return calls.read(read)


def _why_cut(calls: RetryingCalls, count: int) -> str:
    """Why this record is not read any more; "" if it is."""
    if count > RECORDS_MOST:
        return f"it has over {RECORDS_MOST:,} records"
    if count % CHECK_EVERY == 0:
        calls.check(f"{count} records were read")
        if calls.is_past(READING):
            return f"{count} records took {READING:.0%} of the time of a call to read"
    return ""


def _why_blind(slots: Sequence[Slot], messages: Sequence[Message], watched: Watched) -> str:
    """Why nothing can be compared; "" if something can."""
    if not slots and not watched.periods:
        return (
            "no shadow ran in that time: set habeat_shadow = True and start "
            "`celery -A proj beat -S habeat.Scheduler` beside your beat"
        )
    if not watched.periods:
        return "no messages were watched in that time: see the shadow's log for the reason"
    if not messages:
        return (
            "no message of a scheduled task was seen: set task_send_sent_event = True for the "
            "other beat, restart it, and check that both use the same broker"
        )
    if not slots:
        return "the shadow had nothing to send in that time: it has no entries, or none was due"
    return ""


def _check_names(names: Sequence[str], pairs: Sequence[Pair]) -> None:
    known = {name for pair in pairs for name in pair.entries}
    for name in names:
        if name not in known:
            raise EntryNotFound(name)


def _gaps(watched: Watched, from_ms: int, until_ms: int) -> Iterator[tuple[datetime, datetime]]:
    at_ms = from_ms
    for start_ms, end_ms in (*watched.periods, (until_ms, until_ms)):
        if start_ms > at_ms:
            yield moment(at_ms), moment(start_ms)
        at_ms = max(at_ms, end_ms)


def _readable(pair: Pair) -> ComparedSlot:
    about = pair.slot or pair.message
    assert about is not None
    message = pair.message
    return ComparedSlot(
        verdict=cast(VerdictName, str(pair.verdict)),
        entries=pair.entries,
        slot=None if pair.slot is None else moment(pair.slot.at_ms),
        sent=None if message is None else moment(message.at_ms),
        shift_ms=pair.shift_ms,
        task=about.kind.task,
        queue=about.kind.queue,
        task_id=None if message is None else message.id,
        sender="" if message is None else message.sender,
        why=pair.why,
    )


def summary(diff: Diff) -> str:
    """The counts in words: "2873 same, 3 missing"; zeros are left out."""
    parts = [f"{diff.counts[name]} {name}" for name in VERDICTS if diff.counts[name]]
    return ", ".join(parts) or plural(0, "slot")
