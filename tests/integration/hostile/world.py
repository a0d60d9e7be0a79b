"""One replica in this process over a real server, a control entry, and a client that reads it all.

The replica is what `celery beat` runs, without the process: the shipped scheduler builds it, and
the test runs its ticks. The control entry fires ten times a second, so each second has ten slots.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import redis
from celery import Celery

import habeat
from habeat.beat.scheduler import Scheduler
from habeat.errors import HabeatError
from habeat.store.keys import Keys
from tests.support.servers.redis_server import Server
from tests.unit.beat.conftest import make_app

PREFIX = "habeat:hostile"
CONTROL, EVERY_MS = "control", 100
QUEUE = "control"


class Errors(logging.Handler):
    """Keeps the lines at ERROR."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


class World:
    """The replica, the server, and the eyes of the test."""

    def __init__(
        self,
        server: Server,
        schedule: dict[str, Any] | None = None,
        app: Celery | None = None,
        kind: type[Scheduler] = Scheduler,
    ) -> None:
        app = app or make_app()
        app.conf.broker_url = app.conf.habeat_redis_url = server.url()
        app.conf.habeat_key_prefix = PREFIX
        app.conf.habeat_lease_ttl = 2
        app.conf.result_expires = None  # else Celery adds an entry of its own
        app.conf.beat_schedule = schedule or {}
        self.app = app
        self.admin: Any = redis.Redis(port=server.port, protocol=2)
        self.keys = Keys(PREFIX)
        self.client = habeat.Client(app, timeout=2)
        self.errors = Errors()
        logging.getLogger("habeat").addHandler(self.errors)
        scheduler = kind(app, lazy=True)
        scheduler.setup_schedule()
        self.parts = scheduler._own_parts()
        self.parts.preflight.run()
        self.client.add(CONTROL, "proj.tick", EVERY_MS / 1_000, options={"queue": QUEUE})
        self.turn_until(lambda: self.left() >= 3)

    def close(self) -> None:
        logging.getLogger("habeat").removeHandler(self.errors)
        self.parts.release()
        self.parts.close()
        self.client.close()
        self.admin.close()

    # -- turning ----------------------------------------------------------------------------

    def turn(self, seconds: float) -> None:
        ends = time.monotonic() + seconds
        while time.monotonic() < ends:
            self.parts.engine.tick()

    def turn_until(self, done: Callable[[], bool], seconds: float = 20) -> None:
        ends = time.monotonic() + seconds
        while not done():
            assert time.monotonic() < ends, self.errors.lines[-5:]
            self.parts.engine.tick()

    def fires(self, slots: int = 5) -> None:
        """Tick until this many more have been sent."""
        before = self.left()
        self.turn_until(lambda: self.left() >= before + slots)

    # -- looking ----------------------------------------------------------------------------

    def left(self) -> int:
        """How many of the control's messages are in its queue."""
        return int(self.admin.llen(QUEUE))

    def slots(self) -> list[int]:
        """The control's slots that were sent, by the ledger."""
        found = self.admin.xrange(self.keys.ledger)
        return [
            int(fields[b"slot"])
            for _, fields in found
            if fields.get(b"entry") == CONTROL.encode()
            and fields.get(b"outcome") in (b"sent", b"late")
        ]

    def misses_none_since(self, slot_ms: int) -> None:
        """Each slot since then has left, once."""
        slots = [slot for slot in self.slots() if slot >= slot_ms]
        assert slots == list(range(slots[0], slots[-1] + 1, EVERY_MS)), slots
        assert slots[0] == slot_ms

    def reads(self) -> dict[str, Any]:
        """Everything that the client reads, or the error of ours with which it ends."""
        client = self.client
        calls: dict[str, Callable[[], Any]] = {
            "list": lambda: [(entry.name, entry.condition) for entry in client.list()],
            "get": lambda: client.get(CONTROL),
            "history": lambda: client.history(limit=10_000),
            "drift": client.drift,
            "drift since": lambda: client.drift(since=client.server_time() - _MINUTE),
            "status": client.status,
            "export": client.export,
            "preview": lambda: client.preview(CONTROL),
        }
        return {name: outcome(call) for name, call in calls.items()}

    def names(self) -> list[str]:
        return [entry.name for entry in self.client.list()]


def outcome(call: Callable[[], Any]) -> Any:
    """What it returns, or the error of ours; any other is the test's failure."""
    try:
        return call()
    except HabeatError as error:
        return error


_MINUTE = timedelta(minutes=1)
