"""Classes derived from habeat.Scheduler: what they override is called for each firing, or named."""

from __future__ import annotations

from typing import Any

import pytest

from habeat.beat.message.template_limits import why_not_scheduler
from habeat.beat.scheduler import Scheduler
from tests.integration.hostile.world import World
from tests.support.servers.redis_server import Server
from tests.unit.beat.conftest import make_app

SEEN: list[str] = []


class Sees(Scheduler):
    def apply_entry(self, entry: Any, producer: Any = None) -> None:
        SEEN.append(f"entry {entry.name}")
        super().apply_entry(entry, producer=producer)

    def apply_async(
        self, entry: Any, producer: Any = None, advance: bool = True, **more: Any
    ) -> Any:
        SEEN.append(f"sending {entry.name}")
        return super().apply_async(entry, producer=producer, advance=advance, **more)

    def send_task(self, *args: Any, **more: Any) -> Any:
        SEEN.append(f"task {args[0]}")
        return super().send_task(*args, **more)


class InVain(Scheduler):
    def is_due(self, entry: Any) -> Any:
        return False, 60

    def reserve(self, entry: Any) -> Any:
        return entry


@pytest.mark.parametrize("dispatch", ["atomic", "outbox"])
def test_each_firing_passes_what_a_class_overrides(valkey: Server, dispatch: str) -> None:
    """Also where a template would do: a project may count, tag or trace firings there."""
    SEEN.clear()
    entry = {"task": "proj.elsewhere", "schedule": 0.1, "options": {"queue": "odd"}}
    app = make_app(habeat_dispatch=dispatch, habeat_template=True)
    world = World(valkey, {"unknown": entry}, app, Sees)
    try:
        world.turn_until(lambda: world.admin.llen("odd") >= 4)
    finally:
        world.close()
    for seen in ("entry unknown", "sending unknown", "task proj.elsewhere"):
        assert SEEN.count(seen) >= valkey.admin.llen("odd")


@pytest.mark.parametrize("name", ["apply_entry", "apply_async", "send_task"])
def test_one_override_is_enough_to_have_celery_build_each_message(name: str) -> None:
    kind = type("Mine", (Scheduler,), {name: lambda self, *args, **more: None})
    assert why_not_scheduler(object.__new__(kind)).startswith(f"Mine.{name} is neither")
    assert why_not_scheduler(object.__new__(type("Named", (Scheduler,), {}))) == ""


def test_what_is_overridden_in_vain_is_named_at_start(
    valkey: Server, caplog: pytest.LogCaptureFixture
) -> None:
    app = make_app(habeat_redis_url=valkey.url(), broker_url=valkey.url())
    for kind in (InVain, Sees, Scheduler):
        kind(app).close()
    [line] = [each for each in caplog.messages if "overrides" in each]
    assert "InVain overrides is_due, reserve, which habeat does not call" in line
