"""Write last runs into the file of celery's own beat, `celerybeat-schedule`.

At its start, celery's beat takes all definitions from beat_schedule, keeps the last runs of those
that it knows, and drops every other entry. So the file can only say when each entry ran last. An
entry that was made through the API has to be written into beat_schedule; then its last run is
already here.

The file is new. The old one is replaced when the new one is complete, with the same owner and mode.
"""

from __future__ import annotations

import contextlib
import os
import shelve
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import celery
from celery import schedules
from celery.beat import ScheduleEntry

from habeat.errors import HabeatError
from habeat.migrate.found import EveryName, SourceEntry, SourceUnreadable
from habeat.migrate.returning import Abilities, Returned
from habeat.migrate.sources.shelf import SUFFIXES, living, read
from habeat.schedules import Crontab, Interval, Schedule, Solar

NAME = "celery's beat"
_CRONTAB = ("minute", "hour", "day_of_week", "day_of_month", "month_of_year")
_ENTRY = ("task", "args", "kwargs", "options", "total_run_count")


class ShelfTarget:
    """The file of celery's beat. `zone` is the app's."""

    def __init__(self, path: Path, app: Any, zone: str) -> None:
        self._path, self._app = path, app
        self.place = f"{NAME} in {path}"
        self.abilities = Abilities(
            name=NAME,
            kinds=("interval", "crontab", "solar"),
            zone=zone,
            switches=False,
            keeps=False,
        )

    def enabled(self) -> Mapping[str, bool]:
        """Nothing: the file is replaced."""
        return {}

    def last_runs(self) -> Mapping[str, datetime]:
        """When each entry of the old file ran last; nothing if it cannot be read."""
        try:
            found = read(self._path, EveryName())
        except SourceUnreadable:
            return {}
        return {each.name: each.last_run_at for each in found.entries if each.last_run_at}

    def others(self, names: Sequence[str], now: datetime) -> Sequence[SourceEntry]:
        """Nothing."""
        return ()

    def disable(self, names: Sequence[str]) -> None:
        """Nothing: `enabled` has none."""

    def write(self, entries: Sequence[Returned]) -> Mapping[str, str]:
        """Write a new file with these entries; HabeatError if it cannot be written."""
        found = living(self._path)
        if found.alive:
            raise HabeatError(f"{self._path} is in use: {found.evidence}; stop that beat first")
        conf = self._app.conf
        contents = {
            "entries": {each.name: self._entry(each) for each in entries},
            "__version__": celery.__version__,
            "tz": conf.timezone,
            "utc_enabled": conf.enable_utc,
        }
        try:
            replace_shelf(self._path, contents)
        except OSError as error:
            raise HabeatError(f"{self._path} cannot be written: {error.strerror}") from error
        return {}

    def close(self) -> None:
        """Nothing is open."""

    def _entry(self, entry: Returned) -> ScheduleEntry:
        """The entry as celery's beat pickles it.

        Its last run is in the app's zone, because Celery before 5.7 counts a crontab's fields in
        the zone of the last run.
        """
        return ScheduleEntry(
            name=entry.name,
            schedule=celerys(entry.schedule),
            last_run_at=entry.last_run.astimezone(self._app.timezone),
            app=self._app,
            **{name: getattr(entry, name) for name in _ENTRY},
        )


def celerys(schedule: Schedule | None) -> Any:
    """Celery's own schedule; the definitions in beat_schedule replace it when beat starts."""
    match schedule:
        case Interval():
            return schedules.schedule(timedelta(milliseconds=schedule.every_ms))
        case Crontab():
            return schedules.crontab(**{name: getattr(schedule, name) for name in _CRONTAB})
        case Solar():
            return schedules.solar(schedule.event, schedule.lat, schedule.lon)
    return schedules.schedule(timedelta(days=1))


def replace_shelf(path: Path, contents: Mapping[str, Any]) -> None:
    """Write a shelf beside `path` and move it there; OSError."""
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".celerybeat-") as folder:
        with shelve.open(str(Path(folder) / path.name), protocol=4) as shelf:
            shelf.update(contents)
        made = sorted(Path(folder).iterdir())
        for each in made:
            _like(each, _old_files(path))
        for each in made:
            os.replace(each, path.parent / each.name)
        new = {each.name for each in made}
        for old in list(_old_files(path)):
            if old.name not in new:
                old.unlink()


def _old_files(path: Path) -> Iterator[Path]:
    named = (path.with_name(f"{path.name}{suffix}") for suffix in SUFFIXES)
    return (each for each in named if each.is_file())


def _like(new: Path, old: Iterator[Path]) -> None:
    """Give a file the owner and the mode of the old one: beat may run as another user."""
    for each in old:
        shutil.copymode(each, new)
        with contextlib.suppress(PermissionError):  # only root can give files away
            os.chown(new, each.stat().st_uid, each.stat().st_gid)
        return
