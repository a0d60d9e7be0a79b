"""`habeat.Scheduler`: the class to pass to ``celery beat -S``.

Celery's `Service` creates it twice (the first time lazily, for the banner), calls `tick` in a loop,
and calls `close` at the end: from a signal handler, and then once more. The engine does all the
work; this class is its face towards Celery. `__init__` does no I/O, except for one check whether
Redis must be refused. `tick` never raises an Exception. It does its own waiting, so it always
returns a delay of 0.

Other code relies on Celery's methods, so their signatures stay the same: `apply_entry`, which is
not overridden here; `apply_async`, which runs the send path for one firing; and `schedule`, `add`,
`update_from_dict` and `merge_inplace`, which handlers of `beat_init` call (see
`beat/declared/shown_entries.py`).
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
from collections.abc import Container, Mapping
from pathlib import Path
from types import FrameType
from typing import Any

import click
from billiard.process import current_process
from celery.beat import ScheduleEntry, _Process
from celery.beat import Scheduler as CeleryScheduler

from habeat.beat.assembly import ReplicaParts, build
from habeat.beat.declared.beat_schedule import BeatSchedule, check, declare
from habeat.beat.declared.shown_entries import DeclaredEntry, ShownEntries
from habeat.beat.gc_freeze import gc_frozen
from habeat.beat.handing_over import HandedOver
from habeat.beat.http.answers import State
from habeat.beat.http.running import HttpService
from habeat.beat.json_log import use_json
from habeat.beat.stopping import Stopper
from habeat.config import Settings
from habeat.config.from_app import limits_of, policies_of, timezone_of
from habeat.core.events import EventCode, Level
from habeat.engine.trouble_log import TroubleLog
from habeat.errors import SettingsError
from habeat.log import identify, log_event
from habeat.ports import StoreUnavailable

log = logging.getLogger("habeat")


#: The name of the file that is touched only while all is well ends in this.
WELL = ".ok"


class RefusedAtStart(SettingsError, click.ClickException):
    """Beat refuses to start; the command line shows the reason as one sentence."""

    def __init__(self, setting: str, sentence: str) -> None:
        click.ClickException.__init__(self, sentence)
        self.setting = setting


class Scheduler(CeleryScheduler):
    """A scheduler for celery beat that may run in any number of processes."""

    Entry = DeclaredEntry
    #: What a derived class may override without any effect, because habeat does not call it.
    NOT_CALLED = (
        *("Entry", "adjust", "is_due", "populate_heap", "reserve", "schedules_equal"),
        *("should_sync", "_do_sync"),
    )

    def __init__(self, app: Any, *args: Any, lazy: bool = False, **kwargs: Any) -> None:
        self._settings = _settings(app)
        self._beat_schedule = BeatSchedule()
        self._stopper = Stopper()
        self._trouble = TroubleLog()
        self._parts: ReplicaParts | None = None
        self._parts_pid = 0
        self._parent_pid: int | None = None
        self._released = False
        self._handed: HandedOver | None = None
        self._dumps = False
        if not lazy:  # the first of two instances, for the banner, is made before logging is set up
            self._set_up_log()
        self._http = HttpService(self._settings, self._state_shown)
        super().__init__(app, *args, lazy=lazy, **kwargs)
        if not lazy:
            self._log_overridden()

    # -- what Celery calls ------------------------------------------------------------------

    @property
    def info(self) -> str:
        target, shadow = self._settings.redis, self._settings.shadow
        lines = [
            f"    . redis -> {target.safe_url()}",
            f"    . prefix -> {self._settings.key_prefix}",
            "    . role -> standby until elected",
        ]
        return "\n".join([*lines, "    . shadow -> sends nothing"] if shadow else lines)

    def setup_schedule(self) -> None:
        """Translate beat_schedule; log each entry that cannot be translated, and keep the rest.

        Celery calls it once. BeatRuns after the first tick.
        """
        before: Any = self.data  # a plain dictionary at first
        if isinstance(before, ShownEntries):
            before.refuse_if_closed("reading beat_schedule again")
        with gc_frozen():
            self._beat_schedule = self.declarations()
        self._log_broken(self._beat_schedule)
        if self._parts is not None and self._parts_pid == os.getpid():
            self._parts = self._built(self._parts)
        self._refuse_early()

    def tick(self, *_: Any, **__: Any) -> float:
        """Run one pass of the loop, including its wait."""
        self._touch(self._settings.heartbeat_file)
        self._http.ticked()
        self._stop_if_orphaned()
        self._stopper.install()
        self._install_dump()
        self._take_changes()
        parts = self._own_parts()
        parts.events.start()
        parts.health.turn()
        if parts.preflight.done or self._preflight(parts):
            parts.preflight.look_again()
            parts.engine.tick()
            if parts.health.is_well:
                self._touch(self._settings.heartbeat_file, WELL)
        else:
            with self._stopper.waiting():
                parts.wake_channel.wait(500)
        self._stopper.act()
        return 0.0

    def apply_async(
        self, entry: ScheduleEntry, producer: Any = None, advance: bool = True, **kwargs: Any
    ) -> Any:
        """Send one firing through Celery; for an entry that is not ours, do what Celery does.

        That is one message more: the entry's slots stay as they are, also with `advance`. A shadow
        sends nothing.
        """
        sending = getattr(entry, "sending", None)
        if self._is_withheld(entry.name):
            return None
        if sending is None:
            sent = DeclaredEntry.copy_to_send(entry)
            return super().apply_async(sent, producer=producer, advance=advance, **kwargs)
        return sending.run(entry, producer, self.send_task)

    def send_task(self, *args: Any, **kwargs: Any) -> Any:
        """Send a task by its name, as Celery does. A shadow sends nothing."""
        if self._is_withheld(str(args[0]) if args else ""):
            return None
        return super().send_task(*args, **kwargs)

    def _is_withheld(self, name: str) -> bool:
        """Whether this beat is a shadow, so that nothing of this name is sent. It is logged."""
        if self._settings.shadow:
            log_event(
                EventCode.SHADOW_SENDS_NOTHING,
                "habeat: %r is not sent: this beat is a shadow",
                name,
            )
        return self._settings.shadow

    def reserve(self, entry: ScheduleEntry) -> ScheduleEntry:
        """The entry as it is after one more run. The schedule stays as it is: it is in Redis."""
        return next(entry)

    def populate_heap(self, *_: Any, **__: Any) -> None:
        """Refused: Celery's heap is not used here."""
        raise RuntimeError(
            "habeat has no heap of entries, because Redis says what is due: "
            "call habeat.Client(app).trigger to have an entry fire now"
        )

    def should_sync(self) -> bool:
        """Always False: the state is in Redis, so there is nothing to sync."""
        return False

    def set_schedule(self, schedule: Mapping[str, Any]) -> None:
        """Replace all entries of this replica's code; BeatRuns after the first tick."""
        entries = {name: self._maybe_entry(name, entry) for name, entry in schedule.items()}
        self.data.clear()
        self.data.update(entries)

    schedule = property(CeleryScheduler.get_schedule, set_schedule)

    def close(self) -> None:
        """Release the lease, then close the connections. A second call does nothing.

        In a signal handler that interrupted the wait, the connections stay open, because the wait
        still uses them. Celery calls `close` again when the stack is unwound.
        """
        parts = self._parts if self._parts_pid == os.getpid() else None
        if parts is not None and not self._released:
            self._released = True
            self._handed = parts.release()
        if self._stopper.in_handler:
            return
        self._parts = None
        self._http.close()
        handed, self._handed = self._handed, None
        if handed is not None:
            handed.log()
        if parts is not None:
            parts.close()
        super().close()

    # -- start ------------------------------------------------------------------------------

    def _set_up_log(self) -> None:
        identify(host=socket.gethostname())
        if self._settings.log_json:
            use_json()

    def _log_overridden(self) -> None:
        """Name what a derived class overrides in vain."""
        kind = type(self)
        names = [
            name for name in self.NOT_CALLED if getattr(kind, name) != getattr(Scheduler, name)
        ]
        if names:
            log_event(
                EventCode.METHOD_IGNORED,
                "habeat: %s overrides %s, which habeat does not call, because Redis says what is "
                "due: override apply_entry or apply_async to see each firing",
                kind.__name__,
                ", ".join(names),
            )

    def declarations(self) -> BeatSchedule:
        """The entries of this code: of beat_schedule, and Celery's default one."""
        limits = limits_of(self._settings, self.app.conf)
        given = dict(self.app.conf.beat_schedule or {})
        self.data = ShownEntries(self.app, lambda name, entry: check(self.app, name, entry, limits))
        self.install_default_entries(given)
        return self._declared({**self.data.definitions(), **given})

    def _declared(self, given: Mapping[str, Any]) -> BeatSchedule:
        limits, policies = limits_of(self._settings, self.app.conf), policies_of(self._settings)
        found = declare(self.app, given, limits, policies)
        self.data.fill(given, found.broken)
        return found

    def _take_changes(self) -> None:
        """At the first tick: use what handlers of beat_init made of the schedule, and close it."""
        shown: Any = self.data
        if not isinstance(shown, ShownEntries) or shown.closed:
            return
        if self.data.touched:
            known = self._beat_schedule.broken
            with gc_frozen():
                self._beat_schedule = self._declared(self.data.definitions())
            self._log_broken(self._beat_schedule, known=known)
            self._parts = self._built(self._parts if self._parts_pid == os.getpid() else None)
        self.data.close()

    def _log_broken(self, found: BeatSchedule, known: Container[str] = ()) -> None:
        for name, why in found.broken.items():
            if name not in known:
                log_event(
                    EventCode.ENTRY_REFUSED,
                    "habeat: entry %r of beat_schedule is not scheduled: %s",
                    name,
                    why,
                    entry=name,
                    cause=why,
                )

    def _refuse_early(self) -> None:
        """Refuse to start on an unsuitable Redis, if it answers at once."""
        parts = self._own_parts()
        try:
            barred = parts.preflight.run()
        except StoreUnavailable as error:
            log_event(
                EventCode.REDIS_UNAVAILABLE,
                "habeat: starting without Redis: %s",
                error,
                level=Level.WARNING,
            )
            return
        if "maxmemory-policy" in barred:
            # SystemExit: Celery would log an Exception with its traceback.
            log_event(EventCode.START_REFUSED, "habeat refuses to start: %s", barred)
            raise SystemExit(1)
        _log_inert(barred)

    def _preflight(self, parts: ReplicaParts) -> bool:
        try:
            _log_inert(parts.preflight.run())
        except StoreUnavailable as error:
            log.debug("habeat: the checks before leading wait for Redis: %s", error)
            return False
        return True

    def _own_parts(self) -> ReplicaParts:
        """The parts of this replica, built in the process that uses them."""
        if self._parts is None or self._parts_pid != os.getpid():
            self._parts = self._built()
        return self._parts

    def _built(self, before: ReplicaParts | None = None) -> ReplicaParts:
        self._parts_pid = os.getpid()
        parts = build(
            self.app,
            self._settings,
            beat_schedule=self._beat_schedule,
            apply_entry=self.apply_entry,
            stopper=self._stopper,
            max_interval_s=self.max_interval,
            before=before,
        )
        identify(replica=parts.election.nonce)
        return parts

    # -- the process ------------------------------------------------------------------------

    def _touch(self, path: str | None, suffix: str = "") -> None:
        """Touch the liveness file, whether Redis answers or not, or the one beside it."""
        if not path:
            return
        try:
            Path(path + suffix).touch()
        except OSError as error:
            self._trouble.error(
                "heartbeat",
                EventCode.HEARTBEAT_FILE_FAILED,
                "habeat: habeat_heartbeat_file cannot be touched: %s",
                error,
            )
        else:
            self._trouble.over("heartbeat", "habeat: habeat_heartbeat_file is touched again")

    def _state_shown(self) -> State:
        """What the endpoint says about this replica."""
        parts = self._parts
        if parts is None:
            return State("", leads=False)
        election = parts.election
        return State(election.inert or election.barred, leads=election.trust is not None)

    def _install_dump(self) -> None:
        """On SIGUSR1, log the state and the stacks; a handler that was there runs as well."""
        if self._dumps or threading.current_thread() is not threading.main_thread():
            return
        self._dumps = True
        before = signal.getsignal(signal.SIGUSR1)

        def dump(number: int, frame: FrameType | None) -> None:
            if self._parts is not None:
                self._parts.health.dump()
            if callable(before):  # under `worker -B`, Celery's
                before(number, frame)

        signal.signal(signal.SIGUSR1, dump)

    def _stop_if_orphaned(self) -> None:
        """Under ``worker -B``, exit when the worker is gone, so that nothing more is sent."""
        if _Process is None or not isinstance(current_process(), _Process):
            return
        parent = os.getppid()
        if self._parent_pid is None:
            self._parent_pid = parent
        if parent != self._parent_pid:
            log_event(
                EventCode.WORKER_GONE,
                "habeat: the worker of this embedded beat is gone; stepping down",
            )
            raise SystemExit(1)


def _log_inert(why: str) -> None:
    if why:
        log_event(EventCode.REPLICA_INERT, "habeat: inert standby: %s", why, cause=why)


def _settings(app: Any) -> Settings:
    try:
        settings = Settings.from_conf(app.conf, app_main=app.main)
        timezone_of(app.conf)
    except SettingsError as error:
        raise RefusedAtStart(error.setting, str(error)) from error
    return settings
