"""What Celery's beat would send, and what monitors are shown, or a refusal by name."""

from __future__ import annotations

from typing import Any

import pytest

from habeat.beat.declared.beat_schedule import declare
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
