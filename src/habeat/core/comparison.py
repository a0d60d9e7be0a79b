"""Compare what a shadow would have sent with what another beat was seen to send.

Slots and messages meet in groups: those with the same task, queue and arguments. What is in one
group cannot be told apart, so the rule for a group depends on the entries that it has:

- Entries with times of their own. In order of time, each slot takes a message within the tolerance,
  which is at most half of the time between two slots. A message that is left over is a shifted one
  if the slot nearest to it has no message and is at most `REACH_MS` away; otherwise it is one too
  many. At an instant with slots of several entries but too few messages, nothing shows whose is
  missing, and the difference names them all.
- One interval. It has no times of its own: beats count it from whenever they began. So the first
  message sets the phase, and each later one is compared with the message before it. A phase that
  moves step by step is the other beat's delay, which adds up; once it amounts to a period, one
  message is missing.
- Several entries, at least one an interval. Only their numbers are compared. If these differ, the
  difference is ambiguous.

A slot whose message cannot have been seen, because nothing watched at the time, is unknown: never
missing. Web processes send tasks, too. Those messages do not come at slots, so a process most of
whose messages have no slot is not the other beat, and its messages do not count. The process with
most messages that have one is the other beat in any case.

Times are Unix milliseconds, UTC.
"""

from __future__ import annotations

import enum
from bisect import bisect_left, bisect_right
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

UNFORESEEN = "a workflow: its messages cannot be foreseen"
#: The furthest that a message may be from its slot and count as shifted: more than a clock change.
REACH_MS = 5_400_000
TOLERANCE_MS = 5_000
LEAST_TOLERANCE_MS = 50
#: How many verdicts of a group are found between two checks of the time.
CHECK_EVERY = 5_000


class Verdict(enum.StrEnum):
    """What the comparison says about a slot, or about a message without one."""

    SAME = "same"
    SHIFTED = "shifted"
    MISSING = "missing"
    EXTRA = "extra"
    AMBIGUOUS = "ambiguous"
    UNKNOWN = "unknown"


#: The verdicts that make two schedules differ.
DIFFERENT = (Verdict.SHIFTED, Verdict.MISSING, Verdict.EXTRA, Verdict.AMBIGUOUS)


@dataclass(frozen=True, slots=True, order=True)
class Kind:
    """What can be told from a message: its task, its queue, and a digest of its arguments.

    `arguments` is "" for an entry whose arguments are computed for each message.
    """

    task: str
    queue: str
    arguments: str

    @property
    def is_unforeseen(self) -> bool:
        """Whether it describes no message: a workflow sends whatever Celery makes of it."""
        return not (self.queue or self.arguments)


@dataclass(frozen=True, slots=True)
class Slot:
    """A firing that the shadow would have sent at `at_ms`; `period_ms` if it is of an interval."""

    entry: str
    at_ms: int
    kind: Kind
    period_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Message:
    """A message that another beat sent, and the process that did."""

    id: str
    at_ms: int
    kind: Kind
    sender: str = ""


@dataclass(frozen=True, slots=True)
class Pair:
    """One verdict: about a slot, a message, or both.

    `entries` has one name, or several that cannot be told apart; none for a message of a task that
    no entry has. `shift_ms` is how much later the other beat was.
    """

    verdict: Verdict
    entries: tuple[str, ...]
    slot: Slot | None = None
    message: Message | None = None
    shift_ms: int = 0
    why: str = ""

    @property
    def at_ms(self) -> int:
        """When it was due, or without a slot, when it was sent."""
        found = self.slot or self.message
        assert found is not None
        return found.at_ms


@dataclass(frozen=True, slots=True)
class Watched:
    """When messages were watched: periods, sorted, that do not overlap."""

    periods: tuple[tuple[int, int], ...] = ()
    _starts: tuple[int, ...] = field(default=(), repr=False)

    @classmethod
    def of(cls, found: Iterable[tuple[int, int]], join_ms: int = 0) -> Watched:
        """The union of these periods; gaps of at most `join_ms` are closed."""
        merged: list[tuple[int, int]] = []
        for start_ms, end_ms in sorted(found):
            if merged and start_ms <= merged[-1][1] + join_ms:
                merged[-1] = (merged[-1][0], max(end_ms, merged[-1][1]))
            else:
                merged.append((start_ms, end_ms))
        return cls(tuple(merged), tuple(start for start, _ in merged))

    def has(self, from_ms: int, to_ms: int) -> bool:
        """Whether all of this period was watched."""
        at = bisect_right(self._starts, from_ms) - 1
        return at >= 0 and to_ms <= self.periods[at][1]

    def within(self, from_ms: int, to_ms: int) -> Watched:
        """The parts of it in this period."""
        cut = ((max(start, from_ms), min(end, to_ms)) for start, end in self.periods)
        return Watched.of(each for each in cut if each[0] < each[1])

    @property
    def total_ms(self) -> int:
        return sum(end_ms - start_ms for start_ms, end_ms in self.periods)


@dataclass(frozen=True, slots=True)
class Comparison:
    """The verdicts in order of time, and whose messages were compared.

    `beats` are the processes taken for the other beat. `others` counts the messages of scheduled
    tasks that other processes sent, by process.
    """

    pairs: Sequence[Pair]
    beats: tuple[str, ...]
    others: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Terms:
    """The basis of a comparison: when messages were watched, from when to when, how exactly."""

    watched: Watched
    from_ms: int
    until_ms: int
    tolerance_ms: int = TOLERANCE_MS


def compare(
    slots: Sequence[Slot],
    messages: Sequence[Message],
    terms: Terms,
    check: Callable[[], None] = lambda: None,
) -> Comparison:
    """A verdict for each slot up to `until_ms`, and for each message that no slot has.

    `check` is called now and then; it may raise to end the comparison.
    """
    pairs = _pairs(slots, messages, terms, check)
    beats = _beats(pairs)
    theirs = [message for message in messages if message.sender in beats] if beats else messages
    if len(theirs) < len(messages):
        pairs = _pairs(slots, theirs, terms, check)
    others = Counter(each.sender for each in messages if beats and each.sender not in beats)
    ordered = sorted(_hinted(pairs), key=lambda pair: (pair.at_ms, pair.entries))
    return Comparison(ordered, tuple(sorted(beats)), dict(sorted(others.items())))


def _hinted(pairs: Sequence[Pair]) -> Iterator[Pair]:
    """The pairs; of what is missing, where its task was sent in another way."""
    sent = _Sent(
        pair.message.kind
        for pair in pairs
        if pair.verdict is Verdict.EXTRA and pair.message is not None
    )
    for pair in pairs:
        hint = ""
        if pair.verdict is Verdict.MISSING and pair.slot is not None and not pair.why:
            hint = sent.hint(pair.slot.kind)
        yield replace(pair, why=hint) if hint else pair


class _Sent:
    """The queues and arguments of messages without a slot, to explain what is missing."""

    def __init__(self, kinds: Iterable[Kind]) -> None:
        self._queues: dict[tuple[str, str], set[str]] = {}
        self._arguments: dict[tuple[str, str], set[str]] = {}
        for kind in kinds:
            self._queues.setdefault((kind.task, kind.arguments), set()).add(kind.queue)
            self._arguments.setdefault((kind.task, kind.queue), set()).add(kind.arguments)

    def hint(self, kind: Kind) -> str:
        """How else the task of a missing message was sent; "" if it was not sent."""
        queues = self._queues.get((kind.task, kind.arguments), set())
        if queues and kind.queue not in queues:
            return f"its task was sent to queue {min(queues) or '?'} instead of {kind.queue}"
        arguments = self._arguments.get((kind.task, kind.queue), set())
        if arguments and arguments != {kind.arguments}:
            return "its task was sent with other arguments"
        return ""


def _beats(pairs: Iterable[Pair]) -> Collection[str]:
    """The process most of whose messages have a slot, and others whose messages mostly have one."""
    met: Counter[str] = Counter()
    extra: Counter[str] = Counter()
    for pair in pairs:
        if pair.message is not None and pair.verdict is not Verdict.UNKNOWN:
            (extra if pair.slot is None else met)[pair.message.sender] += 1
    most = {sender for sender, _ in met.most_common(1)}
    return most | {sender for sender in met if met[sender] >= extra[sender]}


def _pairs(
    slots: Sequence[Slot], messages: Sequence[Message], terms: Terms, check: Callable[[], None]
) -> list[Pair]:
    found: list[Pair] = []
    for group in _Groups(slots, messages).all():
        for count, pair in enumerate(_compared(group, terms)):
            if count % CHECK_EVERY == 0:
                check()
            if _is_over(pair, terms):
                found.append(pair)
    return found


def _is_over(pair: Pair, terms: Terms) -> bool:
    """Whether a message without a slot counts; at the very end, its slot may still follow."""
    return pair.slot is not None or pair.at_ms <= terms.until_ms


@dataclass
class _Group:
    slots: list[Slot]
    messages: list[Message]

    def __post_init__(self) -> None:
        self.slots.sort(key=lambda slot: (slot.at_ms, slot.entry))
        self.messages.sort(key=lambda message: message.at_ms)
        self.times = [slot.at_ms for slot in self.slots]

    @property
    def entries(self) -> tuple[str, ...]:
        return tuple(sorted({slot.entry for slot in self.slots}))

    def nearest_ms(self, at_ms: int) -> int | None:
        """The time of the slot that is nearest to this one."""
        at = bisect_left(self.times, at_ms)
        return min(
            self.times[max(0, at - 1) : at + 1], key=lambda ms: abs(ms - at_ms), default=None
        )


class _Groups:
    """Sorts slots and messages into groups.

    Slots whose arguments are computed for each message get the messages of their task and queue
    that no other group wants.
    """

    def __init__(self, slots: Sequence[Slot], messages: Sequence[Message]) -> None:
        self._slots: dict[Kind, list[Slot]] = {}
        self._messages: dict[Kind, list[Message]] = {}
        for slot in slots:
            self._slots.setdefault(slot.kind, []).append(slot)
        for message in messages:
            self._messages.setdefault(self._kind_of(message), []).append(message)

    def _kind_of(self, message: Message) -> Kind:
        kind = message.kind
        computed = replace(kind, arguments="")
        return computed if kind not in self._slots and computed in self._slots else kind

    def all(self) -> Iterator[_Group]:
        for kind in sorted({*self._slots, *self._messages}):
            yield _Group(self._slots.get(kind, []), self._messages.get(kind, []))


def _compared(group: _Group, terms: Terms) -> Iterable[Pair]:
    if any(slot.kind.is_unforeseen for slot in group.slots):
        return [replace(_unknown(slot), why=UNFORESEEN) for slot in group.slots]
    periods = {slot.entry: slot.period_ms for slot in group.slots}
    intervals = [period for period in periods.values() if period]
    if not intervals:
        return _Timed(group, terms).pairs()
    if len(periods) == 1:
        return _Paced(group, terms, intervals[0]).pairs()
    return _counted(group, terms)


class _Timed:
    """A group of entries that have times of their own."""

    def __init__(self, group: _Group, terms: Terms) -> None:
        self._group, self._terms = group, terms
        steps = (
            later - earlier for earlier, later in zip(group.times, group.times[1:], strict=False)
        )
        least_ms = min((step for step in steps if step), default=terms.tolerance_ms * 2)
        self._tolerance_ms = max(LEAST_TOLERANCE_MS, min(terms.tolerance_ms, least_ms // 2))
        self._free: list[Message] = []
        self._open: dict[int, deque[Slot]] = {}

    def pairs(self) -> Iterator[Pair]:
        yield from self._near()
        for message in self._free:
            yield self._left_over(message)
        for slots in self._open.values():
            yield from map(self._missing, slots)

    def _near(self) -> Iterator[Pair]:
        """The slots that have a message within the tolerance."""
        messages = deque(self._group.messages)
        for slot in self._group.slots:
            while messages and messages[0].at_ms < slot.at_ms - self._tolerance_ms:
                self._free.append(messages.popleft())
            if messages and messages[0].at_ms <= slot.at_ms + self._tolerance_ms:
                yield _paired(Verdict.SAME, slot, messages.popleft())
            else:
                self._open.setdefault(slot.at_ms, deque()).append(slot)
        self._free += messages

    def _left_over(self, message: Message) -> Pair:
        nearest_ms = self._group.nearest_ms(message.at_ms)
        if nearest_ms is None or abs(message.at_ms - nearest_ms) > REACH_MS:
            return _extra(message, self._group.entries, self._terms.watched)
        slots = self._open.get(nearest_ms)
        if not slots:
            return _extra(message, self._group.entries, self._terms.watched)
        return _paired(Verdict.SHIFTED, slots.popleft(), message)

    def _missing(self, slot: Slot) -> Pair:
        from_ms, to_ms = slot.at_ms - self._tolerance_ms, slot.at_ms + self._tolerance_ms
        if not self._terms.watched.has(from_ms, to_ms):
            return _unknown(slot)
        times = self._group.times
        near = self._group.slots[bisect_left(times, from_ms) : bisect_right(times, to_ms)]
        names = tuple(sorted({each.entry for each in near}))
        if len(names) == 1:
            return Pair(Verdict.MISSING, names, slot)
        return Pair(
            Verdict.AMBIGUOUS, names, slot, why="of one of these: their messages look alike"
        )


class _Paced:
    """A group of one interval: each message is compared with the one before it."""

    def __init__(self, group: _Group, terms: Terms, period_ms: int) -> None:
        self._group, self._terms, self._period_ms = group, terms, period_ms
        self._slots, self._messages = deque(group.slots), deque(group.messages)
        self._tolerance_ms = min(terms.tolerance_ms, period_ms // 3)
        self._phase_ms = self._first_phase_ms()

    def _first_phase_ms(self) -> int:
        """How much later than a slot the first message was: at most half a period."""
        if not self._messages:
            return 0
        away_ms = self._messages[0].at_ms - self._slots[0].at_ms
        half_ms = self._period_ms // 2
        return (away_ms + half_ms) % self._period_ms - half_ms

    def pairs(self) -> Iterator[Pair]:
        first_ms = self._slots[0].at_ms
        if self._messages and self._half_a_period_before(self._messages[0].at_ms):
            self._slots.popleft()  # the message of this first slot may have been before it
        while self._slots:
            expected_ms = self._slots[0].at_ms + self._phase_ms
            if self._phase_ms >= self._period_ms:
                yield from self._missing(expected_ms, "the other beat's delays add up to a period")
                self._phase_ms -= self._period_ms
                continue
            off_ms = self._messages[0].at_ms - expected_ms if self._messages else self._period_ms
            if off_ms >= self._period_ms // 2:
                yield from self._missing(expected_ms)
            elif off_ms < -self._period_ms // 2 or self._next_is_nearer(expected_ms, off_ms):
                yield from self._too_many(self._messages.popleft(), first_ms)
            else:
                yield self._met(off_ms)
        for message in self._messages:
            if message.at_ms < self._terms.until_ms - self._period_ms:
                yield from self._too_many(message, first_ms)

    def _half_a_period_before(self, message_ms: int) -> bool:
        """Whether the first message is of the second slot, not a whole period after the first."""
        away_ms = message_ms - self._slots[0].at_ms
        return self._phase_ms < 0 < away_ms < self._period_ms

    def _next_is_nearer(self, expected_ms: int, off_ms: int) -> bool:
        following = self._messages[1].at_ms if len(self._messages) > 1 else None
        return following is not None and abs(following - expected_ms) < abs(off_ms)

    def _met(self, off_ms: int) -> Pair:
        slot, message = self._slots.popleft(), self._messages.popleft()
        self._phase_ms += off_ms
        if abs(off_ms) <= self._tolerance_ms:
            return Pair(Verdict.SAME, (slot.entry,), slot, message, off_ms)
        why = "measured from its previous message"
        return Pair(Verdict.SHIFTED, (slot.entry,), slot, message, shift_ms=off_ms, why=why)

    def _too_many(self, message: Message, first_ms: int) -> Iterator[Pair]:
        if message.at_ms >= first_ms:  # otherwise its slot may have been before the time to compare
            yield _extra(message, self._group.entries, self._terms.watched)

    def _missing(self, expected_ms: int, why: str = "") -> Iterator[Pair]:
        slot = self._slots.popleft()
        from_ms, to_ms = expected_ms - self._tolerance_ms, expected_ms + self._tolerance_ms
        if not self._terms.from_ms <= expected_ms <= self._terms.until_ms:
            return
        if self._terms.watched.has(from_ms, to_ms):
            yield Pair(Verdict.MISSING, (slot.entry,), slot, why=why)
        else:
            yield _unknown(slot)


def _counted(group: _Group, terms: Terms) -> Iterator[Pair]:
    """A group with an interval beside other entries: only the numbers are compared."""
    watched, why = terms.watched, "only the numbers can be compared: their messages look alike"
    seen = [slot for slot in group.slots if watched.has(slot.at_ms, slot.at_ms)]
    yield from (_unknown(slot) for slot in group.slots if not watched.has(slot.at_ms, slot.at_ms))
    count = min(len(seen), len(group.messages))
    for slot, message in zip(seen, group.messages, strict=False):
        yield Pair(Verdict.SAME, (slot.entry,), slot, message, why="counted with others like it")
    # At the end of each watched period, an entry may have a slot whose message follows.
    edges = 2 * len(watched.periods) * len(group.entries)
    surplus = len(seen) - len(group.messages)
    verdict = Verdict.AMBIGUOUS if abs(surplus) > edges else Verdict.UNKNOWN
    for slot in seen[count:]:
        yield Pair(verdict, group.entries, slot, why=why)
    for message in group.messages[count:]:
        yield Pair(verdict, group.entries, None, message, why=why)


def _paired(verdict: Verdict, slot: Slot, message: Message) -> Pair:
    return Pair(verdict, (slot.entry,), slot, message, message.at_ms - slot.at_ms)


def _extra(message: Message, entries: tuple[str, ...], watched: Watched) -> Pair:
    """A message without a slot; outside of what was watched, the shadow may not have run."""
    if not watched.has(message.at_ms, message.at_ms):
        return Pair(Verdict.UNKNOWN, entries, None, message, why="the shadow did not run")
    return Pair(Verdict.EXTRA, entries, None, message)


def _unknown(slot: Slot) -> Pair:
    return Pair(Verdict.UNKNOWN, (slot.entry,), slot, why="nothing watched at that time")
