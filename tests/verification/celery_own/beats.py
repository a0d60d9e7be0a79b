"""habeat's Scheduler in place of Celery's, with a Redis of its own for each one that is made."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from itertools import count
from time import time
from typing import Any

import celery.beat

import habeat
from habeat.beat.stopping import InterruptibleWakeChannel
from tests.verification.celery_own.asked import asked

_NUMBERS = count()
#: Within this many ticks, a replica leads, stores beat_schedule and sends. Celery needs one.
TURNS = 6
WAIT_MS = 20


class Scheduler(habeat.Scheduler):
    """Keeps its name, because Celery's tests show it."""

    def __init__(self, app: Any, schedule: Any = None, **given: Any) -> None:
        asked["scheduler"] += 1
        app.conf.habeat_redis_url = os.environ["HABEAT_REDIS_URL"]
        app.conf.habeat_key_prefix = f"own{os.getpid()}.{next(_NUMBERS)}:"
        app.conf.habeat_template = False  # so that each message passes through `send_task`
        super().__init__(app, schedule=schedule, **given)

    def add(self, **given: Any) -> Any:
        return super().add(**{"task": "t.own", **given})  # many of these tests name no task

    def update_from_dict(self, given: Mapping[str, Any]) -> None:
        super().update_from_dict({name: with_task(entry) for name, entry in given.items()})

    def tick(self, *_: Any, **__: Any) -> float:
        """What Celery's returns: 0 if something was sent, else the delay until that is due.

        habeat's returns 0 always, because it waits for it.
        """
        fired = sum(entry.state.fired for entry in self._stored())
        if type(self).send_task is not habeat.Scheduler.send_task:
            self.send_task = self._heard_and_sent
        for _turn in range(TURNS):
            super().tick()
        stored = self._stored()
        if sum(entry.state.fired for entry in stored) > fired:
            return 0.0
        due_ms = [entry.state.due_ms for entry in stored if entry.state.due_ms is not None]
        delay_s = (min(due_ms) / 1_000 - time()) if due_ms else self.max_interval
        return float(min(self.adjust(delay_s), self.max_interval))

    def _stored(self) -> list[Any]:
        with habeat.Client(self.app) as client:
            return list(client.list())

    def _heard_and_sent(self, *args: Any, **options: Any) -> Any:
        """These tests listen in a `send_task` of their own, which sends nothing."""
        type(self).send_task(self, *args, **options)
        return self.app.send_task(*args, **options)


class ScheduleEntry(habeat.Scheduler.Entry):
    """Keeps its name, because Celery's tests show it."""

    def __init__(self, *args: Any, **given: Any) -> None:
        asked["entry"] += 1
        super().__init__(*args, **given)


def with_task(entry: Any) -> Any:
    return {"task": "t.own", **entry} if isinstance(entry, Mapping) else entry


def put_in_place() -> None:
    """Replace Celery's classes, for the rest of this process."""
    celery.beat.Scheduler = Scheduler
    celery.beat.ScheduleEntry = ScheduleEntry
    InterruptibleWakeChannel.wait = shortened(InterruptibleWakeChannel.wait)


def shortened(wait: Callable[..., Any]) -> Callable[..., Any]:
    return lambda self, timeout_ms: wait(self, min(timeout_ms, WAIT_MS))
