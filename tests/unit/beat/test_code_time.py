"""How long code of others takes over a message: without habeat's own part, and the broker's."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from celery import Celery, Task
from celery.signals import before_task_publish

from habeat.ports import Parcel
from tests.unit.beat.test_send_path import FIRING, Bench

ADD = {"task": "proj.add", "schedule": 60, "args": (1, 2)}
CODE_MS, BROKER_MS = 300, 400


@pytest.fixture(autouse=True)
def disconnected() -> Iterator[None]:
    yield
    before_task_publish.disconnect(dispatch_uid="slow")


def test_a_receiver_is_measured(app: Celery) -> None:
    bench = Bench(app, {"a": ADD})

    def receives(**_: Any) -> None:
        bench.clock.advance(CODE_MS)

    before_task_publish.connect(receives, weak=False, dispatch_uid="slow")
    rendered = bench.publisher.render(bench.declared.entries["a"], FIRING, "cluster", 1)
    assert rendered.code_us == CODE_MS * 1_000


def test_a_message_from_a_template_has_none_of_it(app: Celery) -> None:
    bench = Bench(app, {"a": ADD})
    entry = bench.declared.entries["a"]
    found = [bench.publisher.render(entry, FIRING, "cluster", 1).code_us for _ in range(3)]
    assert found == [0, None, None]


def test_a_task_that_sends_by_itself_is_measured_when_it_does(
    app: Celery, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Tenants(Task):
        def apply_async(self, *args: Any, **options: Any) -> Any:
            bench.clock.advance(CODE_MS)
            return super().apply_async(*args, **options)

    @app.task(name="proj.tenants", base=Tenants, shared=False)
    def work(a: int, b: int) -> None:
        """Never run here."""

    bench = Bench(app, {"a": {**ADD, "task": "proj.tenants"}})

    def publish(*_: Any, **__: Any) -> None:
        bench.clock.advance(BROKER_MS)

    monkeypatch.setattr(type(bench.broker.producer), "publish", publish)
    rendered = bench.publisher.render(bench.declared.entries["a"], FIRING, "cluster", 1)
    assert rendered.code_us is None, "it is not built yet"
    parcel = Parcel("a", FIRING.identity, rendered.envelope, 1)
    handed = bench.publisher.publish([parcel], 3_000)
    assert handed.answers(3_000) == [None]
    assert handed.code_us == CODE_MS * 1_000
