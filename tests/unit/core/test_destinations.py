"""No queue, exchange or binding of an entry leads to a key of habeat's own."""

from __future__ import annotations

from typing import Any

import pytest

from habeat.core.destinations import check_destinations, own_names
from habeat.core.entry import Entry
from habeat.errors import ValidationError
from habeat.schedules import every

BASE = "{habeat:proj}:"
OWN = own_names(BASE, "")


def entry(task: Any = "t", **options: Any) -> Entry:
    return Entry("e", task, every(1), options=options)


@pytest.mark.parametrize(
    ("prefix", "names"),
    [
        ("", (BASE,)),
        ("celery:", ()),
        ("{habeat:", ("proj}:",)),
        (BASE, ("",)),
        (BASE + "broker:", ("",)),
    ],
)
def test_a_global_key_prefix_is_taken_into_account(prefix: str, names: tuple[str, ...]) -> None:
    assert own_names(BASE, prefix) == names


def test_a_table_of_bindings_may_be_one_of_ours() -> None:
    assert "x" in own_names("_kombu.binding.x", "")


BAD: list[Entry] = [
    entry(queue=BASE + "entries"),
    entry(queue=BASE + "made-up"),
    entry(exchange=BASE + "wake", exchange_type="fanout"),
    entry(routing_key=BASE + "due"),
    entry(exchange="", routing_key=BASE + "due"),
    entry(queue={"name": BASE + "due"}),
    entry(link={"task": "x", "args": [], "options": {"queue": BASE + "due"}}),
    entry({"task": "x", "options": {"queue": BASE + "due"}}),
    entry(
        {
            "task": "celery.chain",
            "kwargs": {"tasks": [{"task": "a"}, {"task": "b", "options": {"queue": BASE}}]},
        }
    ),
    entry(
        {
            "task": "celery.chord",
            "kwargs": {"header": [], "body": {"task": "b", "options": {"routing_key": BASE}}},
        }
    ),
]


@pytest.mark.parametrize("bad", BAD, ids=range(len(BAD)))
def test_what_leads_there_is_refused_by_its_path(bad: Entry) -> None:
    with pytest.raises(ValidationError, match="habeat's own") as refused:
        check_destinations(bad, OWN)
    assert refused.value.entry == "e"
    assert refused.value.field.split(".")[0] in ("options", "task")


@pytest.mark.parametrize(
    "good",
    [
        entry(queue="celery"),
        entry(queue="habeat:proj"),
        entry(queue="{habeat:proj2}:due"),
        entry({"task": "x", "kwargs": {"queue": BASE, "options": {"queue": BASE}}}),
    ],
    ids=range(4),
)
def test_all_else_is_left_alone_arguments_above_all(good: Entry) -> None:
    check_destinations(good, OWN)


def test_without_names_of_our_own_nothing_is_refused() -> None:
    check_destinations(entry(queue=BASE + "due"), ())
