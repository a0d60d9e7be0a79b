"""A task whose own `apply_async` declines to send, in a whole replica on a real server."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from celery import Task, states
from celery.result import EagerResult

from tests.integration.hostile.world import World
from tests.support.servers.redis_server import Server
from tests.unit.beat.conftest import make_app

ENTRY = {"task": "proj.once", "schedule": 0.1, "options": {"queue": "once"}}
SLOW = pytest.mark.slow


class AlreadyQueued(Exception):
    """As celery_once raises it."""


class Once(Task):  # type: ignore[misc]
    """Sends every third time; otherwise it does what the test says."""

    how = "raise"

    def apply_async(self, args: Any = None, kwargs: Any = None, **options: Any) -> Any:
        asked = self.asked = getattr(self, "asked", 0) + 1
        if self.how == "break":
            raise TypeError("no key for 'secret-argument'")
        if asked % 3 == 0:
            return super().apply_async(args, kwargs, **options)
        if self.how == "raise":
            raise AlreadyQueued("expires in 60 s")
        return EagerResult(None, None, states.REJECTED) if self.how == "reject" else None


@contextmanager
def world_of(server: Server, how: str, dispatch: str) -> Iterator[World]:
    app = make_app(habeat_dispatch=dispatch)

    @app.task(name="proj.once", base=Once, shared=False)
    def once(secret: str) -> None:
        """Never run here."""

    app.tasks["proj.once"].how = how
    world = World(server, {"once": {**ENTRY, "args": ("secret-argument",)}}, app)
    try:
        yield world
    finally:
        world.close()


@pytest.mark.parametrize(
    ("how", "dispatch"),
    [
        ("raise", "outbox"),
        pytest.param("return", "atomic", marks=SLOW),
        pytest.param("raise", "atomic", marks=SLOW),
        pytest.param("return", "outbox", marks=SLOW),
        pytest.param("reject", "atomic", marks=SLOW),
        pytest.param("reject", "outbox", marks=SLOW),
    ],
)
def test_the_slot_is_skipped_and_nothing_else_happens(
    how: str, dispatch: str, valkey: Server, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "habeat")
    with world_of(valkey, how, dispatch) as world:
        client = world.client
        world.turn_until(lambda: len(client.history("once", outcome="skipped")) >= 4)
        records = client.history("once")
        sent = [record for record in records if record.outcome in ("sent", "late")]
        assert len(sent) == world.admin.llen("once")
        assert {record.reason for record in records if record not in sent} == {
            "declined: AlreadyQueued" if how == "raise" else "declined"
        }
        slots = [int(record.slot.timestamp() * 1_000) for record in records]
        assert sorted(slots) == list(range(min(slots), max(slots) + 1, 100)), "a record for each"
        declined = next(record for record in records if record not in sent)
        assert declined.why.startswith("the task's class declined to send it")
        found = client.explain("once", at=declined.slot)
        assert (found.links[-1].link, found.links[-1].state) == ("handed over", "broken")
        assert "not fired: skipped, the task's class declined" in found.sentence
        assert client.dead() == []
        assert [each for each in client.status().findings if each.entry == "once"] == []
        assert client.circuit("once") is None
        (drift,) = client.drift("once")
        assert drift.count == len(sent)
        assert world.errors.lines == []
        assert len([line for line in caplog.messages if "declined to send the firing" in line]) == 1
        assert client.status().accounting.difference == 0
        world.misses_none_since(world.slots()[0])


@pytest.mark.parametrize("dispatch", ["atomic", pytest.param("outbox", marks=SLOW)])
def test_a_class_that_is_broken_is_named_and_leaves_no_dead_letters(
    dispatch: str, valkey: Server
) -> None:
    with world_of(valkey, "break", dispatch) as world:
        client = world.client
        world.turn_until(lambda: client.circuit("once") is not None)
        records = client.history("once")
        assert {record.outcome for record in records} == {"failed"}
        assert records[-1].reason.startswith("not sent: TypeError: no key for ")
        assert "secret-argument" not in records[-1].reason
        assert "once" in [each.entry for each in client.status().findings]
        assert client.dead() == []
        assert len([line for line in world.errors.lines if "cannot be sent" in line]) == 1
        world.misses_none_since(world.slots()[0])


@SLOW
def test_a_trigger_that_is_declined_ends_with_its_record(valkey: Server) -> None:
    with world_of(valkey, "return", "atomic") as world:
        client = world.client
        client.pause("once")
        triggered = client.trigger("once")

        def records() -> list[Any]:
            return [each for each in client.history("once") if each.request_id]

        world.app.tasks["proj.once"].asked = 3
        world.turn_until(lambda: bool(records()))
        (record,) = records()
        assert (record.outcome, record.reason) == ("skipped", "declined")
        assert record.request_id == triggered
        assert client.dead() == []
