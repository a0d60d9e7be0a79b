"""``migrate --to``: write the schedule into another beat's store, so that it goes on there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from habeat.cli.carried import rows_json, say_counts, say_rows
from habeat.cli.group import bad, client_app
from habeat.cli.printing import say, say_json
from habeat.client.calls import RetryingCalls
from habeat.migrate.going_back import GoingBack, Step, Target, gone_back
from habeat.migrate.sources.redbeat import settings_of
from habeat.migrate.targets.django import DjangoTarget
from habeat.migrate.targets.redbeat import RedBeatTarget
from habeat.migrate.targets.shelf import ShelfTarget
from habeat.schedules.schedule import moment


@dataclass(frozen=True, slots=True)
class Destination:
    """Where to: the app, its zone, and the path of celery beat's file."""

    app: Any
    zone: str
    path: Path


class _Closing(Target, Protocol):
    def close(self) -> None:
        """Disconnect."""


TARGETS: dict[str, Callable[[Destination], _Closing]] = {
    "redbeat": lambda to: RedBeatTarget(settings_of(to.app.conf), to.zone),
    "django": lambda to: DjangoTarget(to.app),
    "shelve": lambda to: ShelfTarget(to.path, to.app, to.zone),
}


def go_back(
    calls: RetryingCalls, target: str, path: Path, *, as_json: bool, **options: Any
) -> None:
    """Write the entries, or only show what would be written, and print what became of them.

    `options` are those of `gone_back`. Exits with status 1 if an entry is not carried or something
    is unfinished.
    """
    to = TARGETS[target](Destination(client_app(), calls.location.timezone, path))
    try:
        done = gone_back(calls, to, **options)
    finally:
        to.close()
    now = moment(calls.read(lambda session: session.inspection.now_ms()))
    if as_json:
        say_json(_as_json(done))
    else:
        _say(done, now)
    if done.warnings or any(row.action is Step.REFUSE for row in done.rows):
        bad()


_WORDS = {
    Step.WRITE: ("written", "green"),
    Step.LAST_RUN: ("last run", "green"),
    Step.DISABLE: ("disabled", "yellow"),
    Step.LEAVE: ("left", "yellow"),
    Step.SPENT: ("over", ""),
    Step.REFUSE: ("not carried", "red"),
}
_SUMMARY = {
    Step.WRITE: ("written", "would be written"),
    Step.LAST_RUN: (
        "of beat_schedule got the last run",
        "of beat_schedule would get the last run",
    ),
    Step.DISABLE: ("disabled there", "would be disabled there"),
    Step.LEAVE: ("that only the other beat has, left there",) * 2,
    Step.SPENT: ("without another slot, not carried",) * 2,
    Step.REFUSE: ("not carried", "cannot be carried"),
}


def _say(done: GoingBack, now: datetime) -> None:
    say(f"from the prefix {done.prefix}")
    say(f"to {done.target}")
    say_rows(done.rows, _WORDS, (Step.DISABLE, Step.REFUSE), now)
    say_counts(done.rows, _SUMMARY, written=done.written)
    for warning in done.warnings:
        say(warning, "yellow")
    if not done.written:
        say("nothing was written; to write, give --apply")


def _as_json(done: GoingBack) -> Mapping[str, Any]:
    return {
        "prefix": done.prefix,
        "target": done.target,
        "written": done.written,
        "warnings": done.warnings,
        "rows": rows_json(done.rows),
    }
