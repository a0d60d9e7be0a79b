"""Looks for other schedulers that may still have the app's entries, or still send them.

RedBeat's keys in the schedule's Redis, rows of django-celery-beat if it is installed in Django, the
file of celery's own beat in the working directory, and other prefixes of habeat. Nothing is read
but counts, names and times.

Each look runs in a thread, because a database or another node may hang. If a look hangs, no other
is started. It has connections of its own. If a permission is missing, nothing is found.
"""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from celery import Celery

from habeat.beat.declared.beat_schedule import BeatSchedule
from habeat.config import Settings
from habeat.core.events import EventCode
from habeat.core.other_schedulers import OtherScheduler, Source, command, problems
from habeat.log import log_event
from habeat.ports import Clock, StoreUnavailable
from habeat.printable import plural
from habeat.schedules.schedule import moment
from habeat.store.calling import Caller, text
from habeat.store.connection import Connections
from habeat.store.keys import Keys
from habeat.store.pipelining import wire
from habeat.store.prefixes import Prefixes

log = logging.getLogger("habeat")

TIMEOUT_S = 2.0
LOOK_EVERY_MS = 30_000
#: Celery's own entry, which most apps have: a schedule with only this one is empty.
OWN_OF_CELERY = "celery.backend_cleanup"
#: At most this many of our names are looked for in the other scheduler.
NAMES_COMPARED = 200
#: Both write last runs every three minutes: a beat that has written lately is alive.
WRITTEN_LATELY_S = 300
#: Celery's shelve file, by the kinds of databases.
ENDINGS = ("", ".db", ".dat")

Look = Callable[[], Iterator[OtherScheduler]]


class OtherSchedulers:
    """Looks at intervals; `found` has what the last look has seen."""

    def __init__(
        self, app: Celery, settings: Settings, beat_schedule: BeatSchedule, clock: Clock
    ) -> None:
        self._app = app
        self._settings = settings
        self._declared = sorted(set(beat_schedule.entries) - {OWN_OF_CELERY})
        self._clock = clock
        self._started_s = clock.wall_ms() / 1_000
        self._thread: threading.Thread | None = None
        self._looked_ms: int | None = None
        self._logged: set[str] = set()
        self._denied: set[str] = set()
        self.found: tuple[OtherScheduler, ...] = ()

    @property
    def facts(self) -> list[dict[str, Any]]:
        """What a replica registers."""
        return [each.to_json() for each in self.found]

    def step(self) -> None:
        """Start the next look if it is time; returns at once and raises nothing."""
        now_ms = self._clock.monotonic_us() // 1_000
        is_time = self._looked_ms is None or now_ms - self._looked_ms >= LOOK_EVERY_MS
        if is_time and (self._thread is None or not self._thread.is_alive()):
            self._looked_ms = now_ms
            self._thread = threading.Thread(target=self._look, name="habeat others", daemon=True)
            self._thread.start()

    def _look(self) -> None:
        connections = Connections(
            self._settings.redis, socket_timeout_s=TIMEOUT_S, connect_timeout_s=TIMEOUT_S
        )
        try:
            self.look(connections)
        except Exception:
            log.debug("habeat: looking for other schedulers failed", exc_info=True)
        finally:
            connections.close()

    def look(self, connections: Connections) -> None:
        """Look now, and log what is new."""
        caller = Caller(connections, Keys(self._settings.key_prefix))
        names, is_empty = self._names(caller), self._is_empty(caller)
        may_adopt = is_empty and not self._settings.shadow
        # A beat that was stopped for the switch has run its entries until just before our start.
        lately_s = max(self._clock.wall_ms() / 1_000 - WRITTEN_LATELY_S, self._started_s)
        lately = moment(round(lately_s * 1_000))
        looks: dict[Source, Look] = {
            "redbeat": lambda: self._redbeat(caller, names),
            "django": lambda: _django(names, lately),
            "shelve": self._shelve,
            "prefix": lambda: self._prefixes(connections) if may_adopt else iter(()),
        }
        out = self._denied.union(self._settings.ignored_schedulers)
        self.found = tuple(
            each
            for source, look in looks.items()
            if source not in out
            for each in self._quietly(source, look)
        )
        self._log(is_empty, len(names))

    def _is_empty(self, caller: Caller) -> bool:
        """Whether there is no entry, or only Celery's own."""
        key = caller.keys.entries
        count = int(caller.do(lambda client: client.hlen(key)))
        own = count == 1 and bool(caller.do(lambda client: client.hexists(key, OWN_OF_CELERY)))
        return not self._declared and (count == 0 or own)

    def _names(self, caller: Caller) -> list[str]:
        """Names of entries to look for in the other scheduler."""
        key = caller.keys.names
        found: Any = caller.do(lambda client: client.zrange(key, 0, NAMES_COMPARED))
        stored = [text(name) for name in found]
        names = dict.fromkeys([*self._declared, *stored])
        return [name for name in names if name != OWN_OF_CELERY][:NAMES_COMPARED]

    def _quietly(self, source: Source, look: Look) -> list[OtherScheduler]:
        """What a look finds; nothing if it fails. If Redis denies it, it is not repeated."""
        try:
            return list(look())
        except Exception as error:
            if isinstance(error, StoreUnavailable) and error.fault == "denied":
                self._denied.add(source)
            log.debug("habeat: looking for entries of %s failed", source, exc_info=True)
            return []

    def _log(self, is_empty: bool, compared: int) -> None:
        shadow = self._settings.shadow
        said = list(problems(self.found, is_empty=is_empty, shadow=shadow))
        lines = {f"habeat: not healthy: {sentence}" for sentence in said}
        if not said:
            lines |= {
                _remark(each) for each in self.found if not shadow and _is_left(each, compared)
            }
        for line in sorted(lines - self._logged):
            log_event(EventCode.OTHER_SCHEDULER, line)
        self._logged = lines

    # -- where to look ----------------------------------------------------------------------

    def _redbeat(self, caller: Caller, names: Sequence[str]) -> Iterator[OtherScheduler]:
        prefix = str(self._conf("redbeat_key_prefix") or "redbeat:")
        lock = str(self._conf("redbeat_lock_key") or f"{prefix}:lock")
        lock = lock if lock.startswith(prefix) else prefix + lock  # as RedBeat does
        schedule = f"{prefix}:schedule"
        members: Any = [wire(f"{prefix}{name}") for name in (OWN_OF_CELERY, *names)]
        found: Any = caller.do(lambda client: _scores(client, schedule, members))
        own, *ours = (score is not None for score in found)
        entries, shared = int(caller.do(lambda client: client.zcard(schedule))) - own, sum(ours)
        if not entries:
            return
        alive = bool(caller.do(lambda client: client.exists(lock)))
        yield OtherScheduler("redbeat", schedule, entries, shared, alive=alive)

    def _conf(self, name: str) -> Any:
        return self._app.conf.first(name, name.upper())

    def _shelve(self) -> Iterator[OtherScheduler]:
        path = Path(str(self._app.conf.get("beat_schedule_filename") or "celerybeat-schedule"))
        files = [Path(f"{path}{ending}") for ending in ENDINGS]
        times = [file.stat().st_mtime for file in files if file.exists()]
        written_s = max(times, default=0.0)
        if self._clock.wall_ms() / 1_000 - written_s > WRITTEN_LATELY_S:
            return
        # A beat that is stopped writes once more, so one that wrote after our start may be alive.
        alive = written_s > self._started_s
        yield OtherScheduler("shelve", str(path), None, len(self._declared), alive=alive)

    def _prefixes(self, connections: Connections) -> Iterator[OtherScheduler]:
        prefixes = Prefixes(connections, self._settings.key_prefix)
        for prefix in prefixes.others():
            try:
                other = prefixes.look(prefix, {})
            except StoreUnavailable as error:
                log.debug("habeat: prefix %r cannot be looked at: %s", prefix, error)
                continue
            if other.by_api and other.app == self._app.main:
                yield OtherScheduler("prefix", prefix, other.by_api, alive=bool(other.live))


def _scores(client: Any, key: str, members: Sequence[bytes]) -> list[float | None]:
    """The score of each; without ZMSCORE, which the list of permissions does not have."""
    pipe = client.pipeline(transaction=False)
    for member in members:
        pipe.zscore(key, member)
    found: list[float | None] = pipe.execute()
    return found


def _django(names: Sequence[str], lately: datetime) -> Iterator[OtherScheduler]:
    if "django" not in sys.modules:
        return
    from django.apps import apps

    if not apps.ready or not apps.is_installed("django_celery_beat"):
        return
    from django.conf import settings
    from django.db import connections

    try:
        model: Any = apps.get_model("django_celery_beat", "PeriodicTask")
        rows = model.objects.filter(enabled=True).exclude(name=OWN_OF_CELERY)
        if not (entries := rows.count()):
            return
        # Without USE_TZ, its scheduler stores UTC without a zone, and Django takes nothing else.
        since = lately if settings.USE_TZ else lately.replace(tzinfo=None)
        alive = rows.filter(last_run_at__gt=since).exists()
        shared = rows.filter(name__in=list(names)).count()
        yield OtherScheduler("django", "its database", entries, shared, alive=alive)
    finally:
        connections.close_all()  # they belong to this thread


def _is_left(other: OtherScheduler, compared: int) -> bool:
    """Whether some of its entries may be missing here; `compared` of our names were looked for."""
    if compared == NAMES_COMPARED and other.shared == compared:
        return False  # all of a sample are here
    return other.shared < (other.entries or 0)


def _remark(other: OtherScheduler) -> str:
    count = plural(other.entries or 0, "entry", "entries")
    return (
        f"habeat: found {count} of {other.called}, which beat does not import: "
        f"`celery -A proj habeat {command(other)}` shows what can be carried over"
    )
