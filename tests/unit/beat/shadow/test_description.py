"""What a shadow knows a message by: the same as Celery's event about the real one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from celery import Celery
from celery.beat import BeatLazyFunc
from kombu import Queue

import habeat
from habeat.beat.declared.beat_schedule import declare
from habeat.beat.shadow.description import ANY_ARGUMENTS, Describer, digest_of
from habeat.beat.shadow.publisher import ShadowPublisher
from habeat.core.firing import Firing
from habeat.ports import PublishRefused, RenderFailed
from tests.unit.beat.conftest import make_app


def described(app: Celery, **given: Any) -> Mapping[str, Any]:
    found = declare(app, {"e": {"task": "proj.add", "schedule": 60.0, **given}})
    entry = found.entries["e"]
    parts = {"options": given.get("options", {})} if "options" in entry.from_code else {}
    describer = Describer(app, lambda _: parts)
    return dict(json.loads(describer.describe(entry, Firing("e", 60_000, 60_000))))


def event_of(app: Celery, args: Any, kwargs: Any, name: str = "proj.add") -> Mapping[str, Any]:
    """The event that Celery would send about such a message."""
    message = app.amqp.create_task_message("id", name, args, kwargs, create_sent_event=True)
    return dict(message.sent_event)


@pytest.mark.parametrize(
    ("args", "kwargs"),
    [
        ((), {}),
        ((1, 2), {}),
        ((1,), {"b": 2}),
        (([1, "a(b)"], {"x": (1, 2)}), {"b": None}),
        (("it's",), {"long": "x" * 3_000}),
    ],
)
@pytest.mark.parametrize("as_sent", [tuple, list])
def test_the_digest_is_that_of_the_event_whichever_way_celery_sends_it(
    app: Celery, args: tuple[Any, ...], kwargs: dict[str, Any], as_sent: Any
) -> None:
    event = event_of(app, as_sent(args), kwargs)
    expected = digest_of(event["args"], event["kwargs"])
    assert described(app, args=args, kwargs=kwargs)["arguments"] == expected


def test_other_arguments_are_another_message(app: Celery) -> None:
    found = {
        described(app, args=args)["arguments"] for args in ((1, 2), (12,), ("1", 2), ([1, 2],))
    }
    assert len(found) == 4


def test_the_arguments_themselves_are_not_in_it(app: Celery) -> None:
    assert "secret" not in str(described(app, args=("secret",), kwargs={"b": "secret"}))


def test_the_queue_is_the_one_that_celery_would_choose(app: Celery) -> None:
    assert described(app)["queue"] == "celery"
    assert described(app, options={"queue": "fast"})["queue"] == "fast"
    assert described(app, options={"queue": Queue("object")})["queue"] == "object"
    routed = make_app(task_routes={"proj.*": {"queue": "routed"}})
    assert described(routed)["queue"] == "routed"
    asked = make_app(task_routes=(lambda name, *_, **__: {"queue": "asked"},))
    assert described(asked)["queue"] == "asked"


def test_a_router_that_raises_fails_this_entry_alone_and_its_words_are_not_kept(
    app: Celery,
) -> None:
    def router(*_: Any, **__: Any) -> None:
        raise ValueError("secret")

    with pytest.raises(RenderFailed, match="its queue cannot be found: ValueError") as met:
        described(make_app(task_routes=(router,)))
    assert "secret" not in str(met.value)


def test_lazy_arguments_are_not_computed(app: Celery) -> None:
    def never() -> int:
        raise AssertionError

    assert described(app, args=(BeatLazyFunc(never), 1))["arguments"] == ANY_ARGUMENTS


def test_an_interval_has_its_period_and_no_other_schedule_has(app: Celery) -> None:
    assert described(app)["period"] == 60_000
    assert described(app, schedule=habeat.cron("0 8 * * *"))["period"] is None


def test_a_workflow_has_only_its_name(app: Celery) -> None:
    chain = {"task": "celery.chain", "args": ()}
    assert (described(app, **chain)["task"], described(app, **chain)["queue"]) == (
        "celery.chain",
        "",
    )


def test_no_code_of_the_task_runs_and_nothing_can_be_sent(app: Celery) -> None:
    class Own(app.Task):  # type: ignore[name-defined,misc]
        def apply_async(self, *_: Any, **__: Any) -> None:
            raise AssertionError

    @app.task(base=Own, name="proj.own", shared=False)
    def own() -> None:
        """Sends itself in a way of its own."""

    entry = declare(app, {"e": {"task": "proj.own", "schedule": 60.0}}).entries["e"]
    publisher = ShadowPublisher(app, lambda _: {})
    rendered = publisher.render(entry, Firing("e", 60_000, 60_000), "c", 1)
    assert rendered.unsent
    assert not rendered.commands
    assert publisher.foresee(entry, Firing("e", 60_000, 60_000), "c", 1) is None
    [answer] = publisher.publish([object()], 1).answers(1)  # type: ignore[list-item]
    assert isinstance(answer, PublishRefused)
