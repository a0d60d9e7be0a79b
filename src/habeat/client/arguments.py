"""The types of the arguments of Client calls, so that a type checker finds misspelt values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Literal, TypedDict

from habeat.core.entry import Delivery, Misfire
from habeat.schedules import Schedule

ScheduleLike = Schedule | float | timedelta
#: What `add` and `update` take; `Entry.misfire` and `Entry.delivery` are among the values.
MisfirePolicy = Misfire | Literal["latest", "all", "skip"]
DeliveryPolicy = Delivery | Literal["at_least_once", "at_most_once"]


class _Fields(TypedDict, total=False):
    """The fields that an entry may have, named as the arguments of `add`."""

    args: Sequence[Any]
    kwargs: Mapping[str, Any] | None
    options: Mapping[str, Any] | None
    enabled: bool
    tags: Iterable[str]
    description: str
    calendar: str | Iterable[str] | None
    start: datetime | None
    end: datetime | None
    max_runs: int | None
    jitter: float | timedelta
    spread: float | timedelta
    deadline: float | timedelta | None
    start_by: float | timedelta | None
    misfire: MisfirePolicy | None
    misfire_grace: float | timedelta | None
    misfire_limit: int | None
    misfire_window: float | timedelta | None
    misfire_pace: float | None
    delivery: DeliveryPolicy | None


class EntryChanges(_Fields, total=False):
    """The fields that `update` can change, named as the arguments of `add`.

    A policy of None follows the app's setting again.
    """

    task: Any
    schedule: ScheduleLike


class EntryArguments(_Fields):
    """One of the entries given to `add_many` or `sync`: the arguments of `add`."""

    name: str
    task: Any
    schedule: ScheduleLike
