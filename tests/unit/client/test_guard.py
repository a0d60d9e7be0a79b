"""What a guard lets through and what it refuses: names, tasks, queues, options, pace."""

from __future__ import annotations

from typing import Any

import pytest
from celery import Celery, chain, chord, group

import habeat
from habeat.client.guard import NO_GUARD, Guard
from habeat.core.entry import Entry
from habeat.entries.draft import new_entry
from habeat.errors import NotAllowed, ValidationError

NOW = 1_800_000_000_000


def entry_of(name: str = "t7:report", task: Any = "reports.daily", **given: Any) -> Entry:
    return new_entry(name, {"task": task, "schedule": 300, **given}, "UTC")


def refused(guard: Guard, entry: Entry) -> str:
    with pytest.raises(NotAllowed) as error:
        guard.check(entry, NOW)
    return error.value.field


def signature(name: str, **options: Any) -> Any:
    app = Celery("guarded", broker="memory://")
    return app.signature(name, options=options, immutable=True)


def test_without_bounds_all_is_allowed() -> None:
    NO_GUARD.check(entry_of(options={"queue": "q", "exchange": "x"}), NOW)
    NO_GUARD.check_room("e", 10**9, 1)


def test_the_scope_by_prefix_and_by_tag() -> None:
    guard = Guard(prefix="t7:", tag="tenant-7")
    guard.check(entry_of(tags=["tenant-7", "x"]), NOW)
    assert refused(guard, entry_of(tags=["tenant-8"])) == "tags"
    assert refused(guard, entry_of("t8:report", tags=["tenant-7"])) == "name"
    with pytest.raises(NotAllowed):
        guard.check_name("t70:report")


def test_tasks_by_pattern() -> None:
    guard = Guard(tasks=["reports.*", "mail.send"])
    guard.check(entry_of(task="reports.daily"), NOW)
    guard.check(entry_of(task="mail.send"), NOW)
    assert refused(guard, entry_of(task="mail.send2")) == "task"
    assert refused(guard, entry_of(task="admin.reports.x")) == "task"


@pytest.mark.parametrize(
    "canvas",
    [
        lambda evil: chain(signature("reports.a"), evil),
        lambda evil: group(signature("reports.a"), evil),
        lambda evil: chord([signature("reports.a")], evil),
        lambda evil: chord([evil], signature("reports.a")),
        lambda evil: group(chain(signature("reports.a"), group([evil]))),
    ],
)
def test_nothing_hides_in_a_canvas(canvas: Any) -> None:
    good = signature("reports.b", queue="tenants")
    guard = Guard(
        tasks=["reports.*", "celery.chain", "celery.group", "celery.chord"], queues=["tenants"]
    )
    guard.check(entry_of(task=canvas(good)), NOW)
    assert refused(guard, entry_of(task=canvas(signature("admin.wipe")))).startswith("task.")
    assert refused(guard, entry_of(task=canvas(signature("reports.b", queue="admin")))).endswith(
        ".queue"
    )


def test_nothing_hides_in_a_callback() -> None:
    guard = Guard(tasks=["reports.*"])
    callback = dict(signature("admin.wipe"))
    entry = entry_of(options={"link": [callback]})
    assert refused(guard, entry) == "options.link[0]"


@pytest.mark.parametrize(
    "way", ["exchange", "routing_key", "declare", "exchange_type", "route_name"]
)
def test_with_queues_no_other_way_may_be_chosen(way: str) -> None:
    guard = Guard(queues=["tenants"])
    guard.check(entry_of(options={"queue": "tenants"}), NOW)
    guard.check(entry_of(), NOW)
    assert refused(guard, entry_of(options={way: "x"})) == f"options.{way}"
    assert refused(guard, entry_of(options={"queue": "admin"})) == "options.queue"


@pytest.mark.parametrize("header", ["task", "id", "lang", "root_id", "timelimit", "stamps"])
def test_no_header_replaces_one_of_celery(header: str) -> None:
    evil = entry_of(options={"headers": {header: "admin.wipe"}})
    linked = entry_of(options={"link": signature("reports.b", headers={header: "admin.wipe"})})
    NO_GUARD.check(evil, NOW)
    for guard in (Guard(tasks=["reports.*"]), Guard(options=["headers", "link"])):
        guard.check(entry_of(options={"headers": {"tenant": "7"}}), NOW)
        assert refused(guard, evil) == f"options.headers.{header}"
        assert refused(guard, linked) == f"options.link.options.headers.{header}"


def test_nested_headers_and_options_are_mappings() -> None:
    guard = Guard(tasks=["reports.*"])
    pairs = {"task": "reports.b", "options": {"headers": [["task", "admin.wipe"]]}}
    assert refused(guard, entry_of(options={"link": pairs})) == "options.link.options.headers"
    no_options = {"task": "reports.b", "options": [["queue", "admin"]]}
    assert refused(guard, entry_of(options={"link": no_options})) == "options.link.options"


@pytest.mark.parametrize("option", ["link", "link_error", "chain", "chord"])
def test_the_name_of_a_linked_task(option: str) -> None:
    guard = Guard(tasks=["celery.chain", "reports.*"])
    guard.check(entry_of(options={option: ["reports.b"]}), NOW)
    guard.check(entry_of(kwargs={option: "https://example.org"}), NOW)
    assert refused(guard, entry_of(options={option: "admin.wipe"})) == f"options.{option}"
    nested = chain(signature("reports.a"), signature("reports.b", **{option: ["admin.wipe"]}))
    assert refused(guard, entry_of(task=nested)).endswith(f".options.{option}")


@pytest.mark.parametrize(
    "given",
    [
        {"task": "celery.map", "args": ["admin.wipe", [1]]},
        {"task": "celery.chunks", "args": [{"task": "admin.wipe"}, [1], 1]},
        {"task": "celery.starmap", "kwargs": {"task": "admin.wipe", "it": [[1]]}},
        {"task": "celery.group", "args": [[{"task": "admin.wipe"}], [], "g", []]},
        {"task": "celery.chord", "kwargs": {"header": [], "body": {"task": "admin.wipe"}}},
        {"options": {"link": {"task": "celery.map", "args": ["admin.wipe", [1]]}}},
    ],
    ids=str,
)
def test_tasks_in_the_arguments_of_celery_s_own_tasks(given: Any) -> None:
    guard = Guard(tasks=["celery.*", "reports.*"])
    assert refused(guard, entry_of(**given))
    guard.check(entry_of(task="celery.map", args=["reports.a", [1]]), NOW)
    guard.check(entry_of(args=["admin.wipe", {"task": "admin.wipe"}]), NOW)


def test_options_by_name() -> None:
    guard = Guard(options=["expires"])
    guard.check(entry_of(options={"expires": 60, "queue": "any"}), NOW)
    assert refused(guard, entry_of(options={"priority": 9})) == "options.priority"


@pytest.mark.parametrize(
    ("schedule", "allowed"),
    [
        (60, True),
        (59.9, False),
        (habeat.cron("* * * * *"), True),
        (habeat.cron("*/30 * * * * *"), False),
        (habeat.cron("0,30 * 1 1 * *"), False),
        (habeat.crontab(minute="*"), True),
        (habeat.rrule("DTSTART:20300101T000000Z\nRRULE:FREQ=SECONDLY;COUNT=3"), False),
    ],
    ids=str,
)
def test_the_least_interval(schedule: Any, allowed: bool) -> None:
    guard = Guard(min_interval=60)
    entry = entry_of(schedule=schedule)
    if allowed:
        guard.check(entry, NOW)
    else:
        assert refused(guard, entry) == "schedule"


def test_room() -> None:
    guard = Guard(max_entries=3)
    guard.check_room("e", 2, 1)
    with pytest.raises(NotAllowed, match="at most 3 entries; there are 2"):
        guard.check_room("e", 2, 2)


@pytest.mark.parametrize(
    "given",
    [
        {"prefix": 5},
        {"tasks": "reports"},
        {"queues": [5]},
        {"options": [""]},
        {"max_entries": -1},
        {"max_entries": True},
        {"min_interval": "60"},
    ],
    ids=str,
)
def test_bounds_that_cannot_be(given: Any) -> None:
    with pytest.raises(ValidationError):
        Guard(**given)
