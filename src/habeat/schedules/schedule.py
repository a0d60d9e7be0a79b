"""The interface of every kind of schedule.

A schedule is a pure calculator of slots and never reads a clock. A slot is an instant in whole Unix
milliseconds, UTC. The basic operation returns the first slot strictly after an instant, or None if
there is no later one.

Inside habeat, instants are integers (`next_after_ms`, `count_between`). For people there are aware
datetimes (`next_after`, `between`); naive ones are refused, because they are ambiguous.
"""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any, ClassVar, Literal, Self, cast

from habeat.errors import ValidationError

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MS = timedelta(milliseconds=1)

# A slot is shown in UTC and in the schedule's own zone, so both must fit into a datetime. Stopping
# a day before a datetime's limits leaves room for any offset. After LAST_MS there are no slots.
FIRST_MS = (datetime(1, 1, 3, tzinfo=UTC) - _EPOCH) // _MS
LAST_MS = (datetime(9999, 12, 31, tzinfo=UTC) - _EPOCH) // _MS - 1

Remark = Literal["", "gap", "fold first", "fold second"]


@dataclass(frozen=True, slots=True)
class Run:
    """Consecutive slots of one schedule: their number, the first and the last."""

    count: int
    first_ms: int
    last_ms: int


def check_limit(limit: int | None) -> None:
    """Raise ValidationError unless `limit` is a positive count or None."""
    if limit is not None and limit < 1:
        raise ValidationError("limit", limit, "a whole number, 1 or more, or None")


class Schedule(ABC):
    """A rule that yields slots. Kinds are frozen dataclasses, equal if their fields are equal."""

    kind: ClassVar[str]

    #: Whether `count_between` computes its answer instead of walking the slots.
    arithmetic: ClassVar[bool] = False

    @abstractmethod
    def next_after_ms(self, after_ms: int) -> int | None:
        """The first slot strictly after `after_ms`; None if there is no later one.

        Both are Unix milliseconds, UTC.
        """

    @abstractmethod
    def describe(self) -> str:
        """The rule in words, e.g. ``every 5 minutes``."""

    def remark(self, slot_ms: int) -> Remark:
        """How a clock change affects a slot, to explain its local time to people.

        "gap": it replaces a local time that a clock change skips. "fold first" and "fold second":
        its local time occurs twice, and this is the first or the second pass. The answer is
        meaningful for slots only.
        """
        return ""

    def bound(self, name: str, timezone: str) -> Schedule:
        """The same rule with everything explicit that depends on the entry.

        `name` is the entry's name, `timezone` the IANA name to use if the rule has no zone.
        Returns self if there is nothing to fill in.
        """
        return self

    def next_after(self, instant: datetime) -> datetime | None:
        """The first slot strictly after an aware datetime; None if there is no later one.

        The result is in the schedule's zone if it has one, else in UTC. Raises ValidationError for
        a naive datetime.
        """
        slot_ms = self.next_after_ms(to_ms("instant", instant))
        return None if slot_ms is None else self._shown(slot_ms)

    def between(self, start: datetime, end: datetime) -> Iterator[datetime]:
        """The slots in ``start < slot <= end``, half-open like `next_after`.

        So the ranges (a, b] and (b, c] share no slot and lose none. Raises ValidationError for a
        naive datetime at the call, not at the first iteration.
        """
        return self._between_ms(to_ms("start", start), to_ms("end", end))

    def count_between(self, after_ms: int, until_ms: int, limit: int | None = None) -> Run | None:
        """The slots in ``after_ms < slot <= until_ms`` as one run; None if there are none.

        With a `limit` the run ends after that many slots; call again with `after_ms=run.last_ms`
        to continue. The limit bounds the work of a kind that has to enumerate its slots.
        """
        check_limit(limit)
        count, first_ms, last_ms = 0, 0, after_ms
        while limit is None or count < limit:
            slot_ms = self.next_after_ms(last_ms)
            if slot_ms is None or slot_ms > until_ms:
                break
            if not count:
                first_ms = slot_ms
            count, last_ms = count + 1, slot_ms
        return Run(count, first_ms, last_ms) if count else None

    def to_json(self) -> dict[str, Any]:
        """The definition as JSON types: the kind and every field."""
        return {"kind": self.kind, **self._fields()}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """The schedule that `to_json` returned.

        Raises ValidationError for unknown or missing keys and for values that the constructor
        refuses.
        """
        if not isinstance(data, Mapping):
            raise ValidationError("schedule", data, "an object with a kind")
        given = dict(data)
        if given.pop("kind", cls.kind) != cls.kind:
            raise ValidationError("kind", data["kind"], repr(cls.kind))
        known = dataclasses.fields(cast(Any, cls))
        names = [field.name for field in known]
        for key in given:
            if key not in names:
                raise ValidationError(
                    str(key),
                    given[key],
                    "only " + ", ".join(names),
                    problem=f"unknown key {str(key)!r} of a {cls.kind} schedule",
                )
        for field in known:
            if field.name not in given and field.default is dataclasses.MISSING:
                raise ValidationError(
                    field.name,
                    None,
                    f"a value, because {cls.kind} schedules require it",
                    problem=f"{field.name} is missing",
                )
        return cls(**given)

    def __repr__(self) -> str:
        """The call that makes it, without arguments that equal their defaults."""
        given = ", ".join(
            f"{field.name}={getattr(self, field.name)!r}"
            for field in dataclasses.fields(cast(Any, self))
            if field.default is dataclasses.MISSING or getattr(self, field.name) != field.default
        )
        return f"{type(self).__name__}({given})"

    def __reduce__(self) -> tuple[type[Self], tuple[Any, ...]]:
        # Copies and pickles do not include derived attributes; the constructor derives them again.
        return type(self), tuple(self._fields().values())

    def _fields(self) -> dict[str, Any]:
        fields = dataclasses.fields(cast(Any, self))
        return {field.name: getattr(self, field.name) for field in fields}

    def _tzinfo(self) -> tzinfo:
        return UTC

    def _shown(self, slot_ms: int) -> datetime:
        return (_EPOCH + slot_ms * _MS).astimezone(self._tzinfo())

    def _between_ms(self, after_ms: int, until_ms: int) -> Iterator[datetime]:
        slot_ms = self.next_after_ms(after_ms)
        while slot_ms is not None and slot_ms <= until_ms:
            yield self._shown(slot_ms)
            slot_ms = self.next_after_ms(slot_ms)


def moment(at_ms: int) -> datetime:
    """An instant as an aware datetime, clamped to what a datetime can represent."""
    return _EPOCH + min(max(at_ms, FIRST_MS), LAST_MS) * _MS


def to_ms(field: str, instant: object) -> int:
    """Unix milliseconds, rounded down; ValidationError unless `instant` is an aware datetime."""
    if not isinstance(instant, datetime) or instant.utcoffset() is None:
        raise ValidationError(field, instant, "a datetime with a timezone")
    return (instant - _EPOCH) // _MS
