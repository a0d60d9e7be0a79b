"""When a message expires is the same for its worker, for the claim and for the planner."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from celery import Celery, Task, group

from habeat.beat.definition_source import BeatDefinitionSource
from habeat.beat.message.send_path import expires_of_task
from habeat.core.expiry import at_ms, expires_ms
from habeat.entries.codec import encode
from tests.unit.beat.conftest import make_app
from tests.unit.beat.test_send_path import FIRING, Bench, head, unseal

EFFECTIVE_MS = FIRING.effective_ms
LATER = datetime.fromtimestamp(EFFECTIVE_MS / 1_000 + 90, UTC)


def both(app: Celery, **given: Any) -> tuple[int | None, int | None]:
    """The expiry in the message, and the expiry that the claim uses."""
    bench = Bench(app, {"a": {"task": "proj.add", "schedule": 60, "args": (1, 2), **given}})
    rendered = bench.publisher.render(bench.declared.entries["a"], FIRING, "cluster", 17)
    said = head(unseal(rendered.envelope)[0])["expires"]
    instant = None if said is None else datetime.fromisoformat(said)
    if instant is not None and instant.tzinfo is None:
        instant = instant.replace(tzinfo=app.timezone)
    return None if instant is None else at_ms(instant), rendered.expires_ms


@pytest.mark.parametrize(
    ("given", "after_ms"),
    [
        ({}, None),
        ({"options": {"expires": 30}}, 30_000),
        ({"options": {"expires": timedelta(seconds=30)}}, 30_000),
        ({"options": {"expires": LATER}}, 90_000),
        ({"options": {"expires": LATER.isoformat()}}, 90_000),
        ({"options": {"expires": LATER.astimezone(timezone(timedelta(hours=5)))}}, 90_000),
        ({"options": {"expires": LATER + timedelta(microseconds=1)}}, 90_001),
        ({"deadline": 10}, 10_000),
        ({"deadline": 10, "options": {"expires": 30}}, 10_000),
        ({"deadline": 60, "options": {"expires": 30}}, 30_000),
        ({"deadline": 60, "options": {"expires": LATER}}, 60_000),
        ({"task": "proj.expiring", "args": ()}, 30_000),
        ({"task": "proj.expiring", "args": (), "options": {"expires": 5}}, 5_000),
    ],
    ids=str,
)
def test_the_claim_knows_what_the_message_says(given: dict[str, Any], after_ms: int | None) -> None:
    ends_ms = None if after_ms is None else EFFECTIVE_MS + after_ms
    assert both(make_app(), **given) == (ends_ms, ends_ms)


def test_an_instant_without_a_zone_is_in_the_apps_zone() -> None:
    app = make_app()
    assert app.timezone.key == "Europe/Berlin"
    naive = LATER.astimezone(app.timezone).replace(tzinfo=None)
    assert both(app, options={"expires": naive}) == (EFFECTIVE_MS + 90_000,) * 2


def test_the_first_protocol_has_its_expiry_elsewhere() -> None:
    app = make_app(task_protocol=1)
    bench = Bench(app, {"a": {"task": "else.where", "schedule": 60, "options": {"expires": 30}}})
    rendered = bench.publisher.render(bench.declared.entries["a"], FIRING, "cluster", 17)
    assert rendered.expires_ms == EFFECTIVE_MS + 30_000


def test_a_group_is_of_use_until_its_last_message_has_expired() -> None:
    app = make_app()
    add = app.tasks["proj.add"]
    early, late = datetime.now(UTC) + timedelta(hours=1), datetime.now(UTC) + timedelta(hours=2)

    def expiry(*expires: datetime | None) -> int | None:
        parts = group(add.s(1, 2).set(expires=each) if each else add.s(1, 2) for each in expires)
        bench = Bench(app, {"a": {"task": dict(parts), "schedule": 60}})
        entry = bench.declared.entries["a"]
        return bench.publisher.render(entry, FIRING, "cluster", 17).expires_ms

    assert expiry(early, late) == at_ms(late)
    assert expiry(early, None) is None


def test_a_message_that_its_task_sends_itself_expires_by_the_entry() -> None:
    app = make_app()

    class Own(Task):
        def apply_async(self, *args: Any, **options: Any) -> Any:
            return super().apply_async(*args, **options)

    @app.task(name="proj.own", base=Own, shared=False)
    def own() -> None:
        """Sends in its own way."""

    given = {"task": "proj.own", "schedule": 60, "options": {"expires": 30}}
    bench = Bench(app, {"a": given})
    rendered = bench.publisher.render(bench.declared.entries["a"], FIRING, "cluster", 17)
    assert (rendered.repeatable, rendered.expires_ms) == (False, EFFECTIVE_MS + 30_000)


def test_an_expiry_of_the_tasks_class_may_be_a_timedelta() -> None:
    bench = Bench(make_app(), {"a": {"task": "proj.add", "schedule": 60}})
    source = BeatDefinitionSource(bench.declared, expires_of=lambda task: timedelta(seconds=30))
    entry = source.decode("a", encode(bench.declared.entries["a"]))
    assert entry.options["expires"] == 30
    assert expires_ms(entry, FIRING) == EFFECTIVE_MS + 30_000


def test_the_planner_knows_the_expiry_of_the_tasks_class() -> None:
    app = make_app()
    source = BeatDefinitionSource(Bench(app).declared, expires_of=lambda t: expires_of_task(app, t))

    def planned(**given: Any) -> int | None:
        bench = Bench(app, {"a": {"schedule": 60, **given}})
        entry = source.decode("a", encode(bench.declared.entries["a"]))
        return expires_ms(entry, FIRING)

    assert planned(task="proj.expiring") == EFFECTIVE_MS + 30_000
    assert planned(task="proj.expiring", options={"expires": 5}) == EFFECTIVE_MS + 5_000
    assert planned(task="proj.add") is None
    assert planned(task="else.where") is None
    assert planned(task=dict(group(app.tasks["proj.add"].s(1, 2)))) is None
