"""Options that something reads are known; all others are refused by name, with a suggestion."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import pytest
from amqp.basic_message import Message
from celery import Celery, Task, canvas
from celery.app.amqp import AMQP
from kombu.messaging import Producer

from habeat.core.limits import Limits
from habeat.entries.draft import new_entry
from habeat.entries.options import KNOWN, check_names, options_of
from habeat.errors import ValidationError

#: Not options: the object itself, what is sent, and what habeat passes.
_NOT_GIVEN = {
    *("self", "body", "name", "message", "header", "partial_args"),
    *("callbacks", "errbacks", "header_delay"),
}


def _send_task_message() -> Callable[..., Any]:
    return Celery("proj", broker="memory://", set_as_current=False).amqp.send_task_message


@pytest.mark.parametrize(
    "reader",
    [
        Task.apply_async,
        Celery.send_task,
        AMQP.as_task_v2,
        _send_task_message(),
        Producer.publish,
        canvas._chain.run,
        canvas.group.apply_async,
        canvas._chord.apply_async,
        canvas._chord.run,
    ],
    ids=lambda reader: reader.__qualname__,
)
def test_whatever_celery_and_kombu_take_is_known(reader: Callable[..., Any]) -> None:
    taken = {
        each.name
        for each in inspect.signature(reader).parameters.values()
        if each.kind is not inspect.Parameter.VAR_KEYWORD
    }
    assert taken - _NOT_GIVEN <= KNOWN


def test_the_properties_of_amqp_messages_are_known() -> None:
    headers = {"application_headers"}  # which are the option `headers`
    assert {name for name, _ in Message.PROPERTIES} - headers <= KNOWN


@pytest.mark.parametrize(
    ("option", "hint"),
    [
        ("expire", "'expires'"),
        ("queu", "'queue'"),
        ("routingkey", "'routing_key'"),
        ("MessageGroupID", "'MessageGroupId'"),
        ("ttl", ""),
        ("tenant", ""),
    ],
)
def test_what_nothing_reads_is_refused_by_name(option: str, hint: str) -> None:
    suggestion = f" (did you mean {hint}?)" if hint else ""
    with pytest.raises(ValidationError) as caught:
        new_entry("a", {"task": "t", "schedule": 60, "options": {option: "s3cret"}}, "UTC")
    assert caught.value.field == f"options.{option}"
    problem = f"entry 'a': unknown option '{option}'{suggestion}: expected an option"
    assert str(caught.value).startswith(problem)
    assert "s3cret" not in str(caught.value)


def test_names_of_ones_own_and_stamps_are_known() -> None:
    given = {"task": "t", "schedule": 60, "options": {"tenant": 5}}
    limits = Limits(own_options=("tenant",))
    assert new_entry("a", given, "UTC", limits).options == {"tenant": 5}
    check_names({"stamped_headers": ["tenant"], "tenant": 5})


def test_an_option_of_none_is_none() -> None:
    assert options_of({"queue": None, "priority": 3}) == {"priority": 3}
