"""Render one firing through beat's own `apply_entry`.

Sentry's crons integration replaces that method on `celery.beat.Scheduler`. So it is called for each
firing, with exactly the two positional arguments that the replacement unpacks, and with an entry
whose schedule is one of Celery's. It swallows exceptions; `SendAttempt`, which our
`Scheduler.apply_async` fills in, carries the outcome.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from celery import Celery
from celery.beat import ScheduleEntry

from habeat.beat.broker.blame import text_of
from habeat.beat.broker.envelope import Publication, Recorder
from habeat.beat.declared.celery_schedules import LiveSchedule
from habeat.beat.declared.shown_schedules import delayed, to_celery
from habeat.beat.definition_source import BeatDefinitionSource
from habeat.beat.message.send_path import evaluated, options_for, send
from habeat.clock import SystemClock
from habeat.core.entry import Entry
from habeat.core.firing import Firing
from habeat.core.offsets import spread_ms
from habeat.ports import RenderFailed
from habeat.printable import Shown, printable

_CLOCK = SystemClock()
SCHEDULES_KEPT = 1_000
#: Nothing reads when a firing last ran. Without a value, Celery would read the clock.
_EVER = datetime.fromtimestamp(0, UTC)


class FiringEntry(ScheduleEntry):
    """The ScheduleEntry that beat gets for one firing; it carries the firing's `SendAttempt`."""

    def __init__(self, *, sending: SendAttempt | None = None, **given: Any) -> None:
        super().__init__(**given)
        self.sending = sending

    def __reduce__(self) -> Any:
        return ScheduleEntry.__reduce__(self)


@dataclass
class SendAttempt:
    """One run of the send path: what to send, and the result."""

    app: Celery
    entry: Entry
    firing: Firing
    task_id: str
    lease_epoch: int
    done: bool = False
    error: Exception | None = None
    #: What the send path returned.
    returned: object = None
    published: list[Publication] = field(default_factory=list)

    def run(
        self, entry: ScheduleEntry, producer: Any, send_task: Callable[..., Any] | None = None
    ) -> Any:
        """Called by `Scheduler.apply_async` with the entry, which other code may have wrapped."""
        try:
            args, kwargs = evaluated(entry.args, entry.kwargs)
            options = options_for(
                self.app,
                self.entry,
                self.firing,
                given=entry.options,
                task_id=self.task_id,
                lease_epoch=self.lease_epoch,
            )
            self.returned = send(
                self.app,
                self.entry.task,
                args=args,
                kwargs=kwargs,
                options=options,
                producer=producer,
                send_task=send_task,
            )
        except Exception as error:
            self.error = error
        finally:
            self.done = True
        return self.returned


class EntryRenderer:
    """Runs beat's send path with a producer that records, or with a real one."""

    def __init__(
        self,
        app: Celery,
        definitions: BeatDefinitionSource,
        apply_entry: Callable[..., None],
        leaving: Callable[[BaseException], bool] = lambda _: False,
        monotonic_us: Callable[[], int] = _CLOCK.monotonic_us,
    ) -> None:
        """`leaving` says whether an exception is the one with which a signal ends the process."""
        self._leaving = leaving
        self._monotonic_us = monotonic_us
        #: How long the last run took, in microseconds, without waiting for the broker.
        self.code_us = 0
        self._app = app
        self._definitions = definitions
        self._apply_entry = apply_entry
        #: Creating a crontab takes longer than building a message, so equal schedules share one.
        self._as_celery = lru_cache(maxsize=SCHEDULES_KEPT)(lambda each: to_celery(each, app))

    def record(
        self, entry: Entry, firing: Firing, task_id: str, lease_epoch: int, connection: Any
    ) -> list[Publication]:
        """The messages of a firing; RenderFailed. Empty if Celery bypassed the recorder."""
        recorder = Recorder(connection)
        self.run(entry, firing, task_id, lease_epoch, recorder)
        return recorder.published

    def rehearse(
        self, entry: Entry, firing: Firing, task_id: str, lease_epoch: int, connection: Any
    ) -> list[Publication]:
        """The same without beat's `apply_entry`, which logs the entry: for a firing not due yet.

        Only for an app whose `apply_entry` is Celery's own.
        """
        recorder = Recorder(connection)
        sending = SendAttempt(self._app, entry, firing, task_id, lease_epoch)
        sending.run(self._beat_entry(entry, sending), recorder)
        if sending.error is not None:
            raise RenderFailed(text_of(sending.error)) from sending.error
        return recorder.published

    def run(
        self, entry: Entry, firing: Firing, task_id: str, lease_epoch: int, producer: Any
    ) -> object:
        """Run the send path to `producer`, and return what it returns; RenderFailed."""
        sending = SendAttempt(self._app, entry, firing, task_id, lease_epoch)
        began_us = self._monotonic_us()
        try:
            self._apply_entry(self._beat_entry(entry, sending), producer=producer)
        except BaseException as error:
            # SystemExit of the entry's code must not end beat; only a signal may. Or the error
            # comes from code that wraps this call.
            if self._leaving(error):
                raise
            raise RenderFailed(text_of(error)) from error
        finally:
            self.code_us = self._monotonic_us() - began_us - producer.waited_us
        if sending.error is not None:
            raise RenderFailed(text_of(sending.error)) from sending.error
        if not sending.done:
            raise RenderFailed("beat's apply_entry did not reach the send path")
        return sending.returned

    def _beat_entry(self, entry: Entry, sending: SendAttempt) -> FiringEntry:
        parts = self._definitions.code_parts(entry)
        options = dict(parts.get("options", entry.options))
        if isinstance(options.get("headers"), dict):
            options["headers"] = dict(options["headers"])
        return FiringEntry(
            sending=sending,
            name=Shown(entry.name),  # Celery logs both; what is sent is the entry's own
            task=printable(entry.task_name),
            args=parts.get("args", entry.args),
            kwargs=dict(parts.get("kwargs", entry.kwargs)),
            options=options,
            schedule=self._schedule_of(entry),
            last_run_at=_EVER,
            total_run_count=entry.state.fired,
            app=self._app,
        )

    def _schedule_of(self, entry: Entry) -> Any:
        """The entry's schedule as Celery's, and as it is with the entry's spread."""
        if isinstance(entry.schedule, LiveSchedule):
            return to_celery(entry.schedule, self._app)
        if not entry.spread_ms:
            return self._as_celery(entry.schedule)
        always_ms = spread_ms(entry.name, entry.spread_ms)
        return self._as_celery(delayed(entry.schedule, entry.spread_ms, always_ms))
