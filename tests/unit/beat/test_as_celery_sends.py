"""What Celery's beat would send, and what monitors are shown, or a refusal by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from celery import Celery, Task, signals
from celery.app.amqp import AMQP

from habeat.beat.declared.beat_schedule import declare
from habeat.beat.message import template_limits
from habeat.core.limits import Limits
from tests.unit.beat.conftest import make_app
from tests.unit.beat.test_send_path import Bench


@pytest.mark.parametrize(
    ("option", "said"), [("expire", "'expires'"), ("queu", "'queue'"), ("task_id", "task_id")]
)
def test_an_option_that_cannot_work_stops_only_its_entry(option: str, said: str) -> None:
    good = {"task": "proj.add", "schedule": 60}
    found = declare(make_app(), {"good": good, "bad": {**good, "options": {option: 5}}})
    assert list(found.entries) == ["good"]
    assert said in found.broken["bad"]


def test_tuples_and_number_keys_reach_a_serializer_that_keeps_them() -> None:
    args: tuple[Any, ...] = ((1, (2, 3)), {5: "five"})
    options = {"serializer": "pickle"}
    entry = {"task": "else.where", "schedule": 60, "args": args, "options": options}
    found = declare(make_app(), {"a": entry})
    assert found.entries["a"].from_code == ("args",)


def test_a_message_names_its_periodic_task_as_django_celery_beat_does() -> None:
    (message,) = Bench(make_app(), {"a": {"task": "else.where", "schedule": 60}}).render("a")
    assert message.arguments["headers"]["periodic_task_name"] == "a"


def broken(app: Celery, task: str = "proj.add", **options: Any) -> dict[str, str]:
    entry = {"task": task, "schedule": 60, "args": (1, 2)}
    found = declare(app, {"good": entry, "bad": {**entry, "options": options}})
    assert "good" in found.entries
    return dict(found.broken)


def test_an_option_that_only_other_code_could_read_is_refused_without_such_code() -> None:
    app = make_app()
    assert "unknown option 'tenant'" in broken(app, tenant=5)["bad"]
    entry = {"task": "proj.add", "schedule": 60, "options": {"tenant": 5}}
    assert not declare(app, {"a": entry}, Limits(own_options=("tenant",))).broken


def test_thousands_of_entries_with_an_option_of_a_router_are_judged_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    app = make_app()
    _routed(app)
    asked = []
    real = template_limits._other_code
    monkeypatch.setattr(template_limits, "_other_code", lambda app: asked.append(1) or real(app))
    entry = {"task": "proj.add", "schedule": 60, "options": {"tenant": 5}}
    assert not declare(app, {str(number): entry for number in range(100)}).broken
    assert len(asked) == 1


def _routed(app: Celery) -> str:
    app.conf.task_routes = [lambda name, args, kwargs, options, task=None, **_: None]
    return "proj.add"


def _by_its_class(app: Celery) -> str:
    class Own(Task):
        def apply_async(self, *args: Any, **options: Any) -> Any:
            return super().apply_async(*args, **options)

    @app.task(name="proj.of_its_class", base=Own, shared=False)
    def own(a: int, b: int) -> None:
        """Sends in its own way."""

    return "proj.of_its_class"


def _of_a_class(app: Celery) -> str:
    class Own(AMQP):
        """Of the project."""

    app.amqp_cls = Own
    return "else.where"


@pytest.mark.parametrize("code", [_routed, _by_its_class, _of_a_class])
def test_code_that_gets_the_options_may_read_any_that_is_not_misspelt(
    code: Callable[[Celery], str],
) -> None:
    app = make_app()
    task = code(app)
    assert broken(app, task, tenant=5) == {}
    assert "did you mean 'expires'" in broken(app, task, tenant=5, expire=60)["bad"]


@pytest.mark.parametrize("conf", [{"result_backend": "no.such:Backend"}, {"broker_url": "odd://"}])
def test_a_broker_or_backend_that_cannot_be_made_is_no_fault_of_an_entry(conf: Any) -> None:
    assert broken(make_app(**conf), tenant=5) == {}


def test_a_receiver_of_a_publish_signal_may_read_any_option() -> None:
    def receiver(**_: Any) -> None:
        """Sees the message's properties."""

    signals.before_task_publish.connect(receiver)
    try:
        assert broken(make_app(), tenant=5) == {}
    finally:
        signals.before_task_publish.disconnect(receiver)
