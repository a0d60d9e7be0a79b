"""`habeat plan` against the entries in Redis: it says what a deploy then does."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from celery import Celery
from celery.bin.base import CLIContext
from celery.schedules import crontab
from click.testing import CliRunner

import habeat
from habeat.cli import habeat as group
from habeat.cli.printing import plain
from habeat.client import Client
from habeat.core.change_record import Way
from habeat.entries.declaring import Verdict
from habeat.schedules import Schedule
from tests.integration.deploys import EXPECTED, agree, definitions, source, stage
from tests.integration.scripts.bench import Bench
from tests.integration.test_reconcile import Deploy, StandingLead, age, forget, prune
from tests.support.servers.redis_server import Server
from tests.unit.beat.conftest import make_app

PREFIX = "habeat:proj"
BASE = "{habeat:proj}:"


@pytest.fixture
def bench(valkey: Server) -> Bench:
    made = Bench(valkey, prefix=PREFIX, app="proj")
    made.entries = made.entries.by_way(Way.BEAT_SCHEDULE)
    return made


@pytest.fixture
def lead(bench: Bench) -> StandingLead:
    return StandingLead(bench, bench.lead())


@pytest.fixture
def client(valkey: Server) -> Iterator[Client]:
    with Client(valkey.url(), prefix=PREFIX) as made:
        yield made


def schedule(side: int) -> dict[str, Any]:
    found: dict[str, Any] = eval(source(side), {"crontab": crontab, "habeat": habeat})
    return found


def plan(server: Server, given: dict[str, Any], *words: str, expires: int | None = None) -> Any:
    app = Celery("proj", broker=server.url(), set_as_current=False)
    app.conf.update(result_expires=expires, beat_schedule=given, timezone=make_app().conf.timezone)
    app.task(name="proj.work", shared=False)(print)
    done = CliRunner().invoke(group, ["plan", *words], obj=CLIContext(app, True, None))
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done


def verdicts(found: Any) -> dict[str, str]:
    return {each["name"]: each["what"] for each in found["entries"]}


def records(client: Client, since: str) -> dict[str, Any]:
    """What the leader has done to each entry after the record with this id."""
    return {
        each.entry: (each.act, plain(each.fields))
        for each in client.changes(limit=1_000)
        if each.way == "beat_schedule" and each.id > since
    }


def test_a_plan_says_what_a_deploy_then_does(
    valkey: Server, bench: Bench, lead: StandingLead, client: Client
) -> None:
    app = make_app()
    old, new = (Deploy(bench, app, side + 1, schedule(side)) for side in (0, 1))
    old.announce()
    old.lead(lead)
    stage(client, bench.admin, BASE)
    done = plan(valkey, schedule(1), "--json")
    assert done.exit_code == 1, done.output
    found = json.loads(done.stdout)
    for name, what in EXPECTED.items():
        assert verdicts(found).get(name, "same") == what, name
    assert "s3cret" not in done.stdout
    before, last = definitions(bench.admin, BASE), client.changes(limit=1)[0].id
    new.announce()
    new.lead(lead)
    forget(bench, old)
    for _ in range(2):  # a definition that was missing makes the first look seed again
        prune(new, lead)
    assert agree(found, before, definitions(bench.admin, BASE), records(client, last)) == []
    again = json.loads(plan(valkey, schedule(1), "--json").stdout)
    assert not again["changed"], again


def test_a_plan_includes_the_entry_that_celery_adds(valkey: Server) -> None:
    found = json.loads(plan(valkey, {}, "--json", expires=3600).stdout)
    assert verdicts(found) == {"celery.backend_cleanup": "add"}


def test_a_plan_counts_the_due_slots_that_do_not_fire(
    valkey: Server, bench: Bench, lead: StandingLead, client: Client
) -> None:
    Deploy(bench, make_app(), 1, {n: {"task": "proj.work", "schedule": 60} for n in "ab"}).lead(
        lead
    )
    for name in "ab":
        age(bench, name, 200_000)
    new = {"a": {"task": "proj.work", "schedule": 90}}
    found = json.loads(plan(valkey, new, "--json").stdout)
    assert {each["name"]: each["skipped"] for each in found["entries"]} in (
        {"a": 3, "b": 3},
        {"a": 3, "b": 4},
        {"a": 4, "b": 3},
        {"a": 4, "b": 4},
    )


def test_the_next_slot_of_a_changed_entry_is_the_one_that_it_gets(
    valkey: Server, bench: Bench, lead: StandingLead, client: Client
) -> None:
    app = make_app()
    Deploy(bench, app, 1, schedule(0)).lead(lead)
    found = json.loads(plan(valkey, schedule(1), "--json").stdout)
    Deploy(bench, app, 2, schedule(1)).lead(lead)
    planned = {each["name"]: each["next_slot"] for each in found["entries"]}
    for name in ("schedule", "zone", "to-interval", "args", "added", "enabled", "disabled"):
        entry = client.get(name)
        slot = entry.state.next_slot if entry.enabled else None
        assert planned[name] == plain(slot), name


def test_a_next_slot_that_a_calendar_or_a_pause_takes_is_marked(
    valkey: Server, bench: Bench, lead: StandingLead, client: Client
) -> None:
    today = client.server_time().date()
    client.set_calendar("de", [today, today + timedelta(days=1)])
    client.add_hold("db", prefix="held", duration=None)
    row = {"task": "proj.work", "schedule": 3_600}
    off = {**row, "calendar": "de"}
    given = {"off": off, "held": row, "free": row}
    found = json.loads(plan(valkey, given, "--json").stdout)
    held = {each["name"]: each["held"] for each in found["entries"]}
    assert held == {"off": ["calendar: de"], "held": ["maintenance: db"], "free": []}
    assert "does not fire: calendar: de" in plan(valkey, given).stdout
    Deploy(bench, make_app(), 1, given).lead(lead)
    for name, why in held.items():
        marks = client.preview(name, 1)[0].marks
        assert [mark for mark in marks if ":" in mark] == why, "the plan is what then happens"


class Failing(Schedule):
    """A schedule of the project's that raises."""

    kind = "failing"

    def next_after_ms(self, after_ms: int) -> int | None:
        raise RuntimeError("its own fault")

    def describe(self) -> str:
        return "failing"


def test_a_schedule_that_fails_leaves_the_others_as_planned(client: Client) -> None:
    app = make_app()
    from habeat.beat.declared.beat_schedule import declare

    declared = dict(declare(app, {"a": {"task": "proj.work", "schedule": 60}}).entries)
    broken = declared["a"].__class__("f", "proj.work", Failing(), owner="config")
    found = client._plan({**declared, "f": broken}, {})
    assert {each.name: each.what for each in found.entries}["a"] == Verdict.ADD


def test_a_plan_for_people_says_it_line_by_line(
    valkey: Server, bench: Bench, lead: StandingLead, client: Client
) -> None:
    Deploy(bench, make_app(), 1, schedule(0)).lead(lead)
    stage(client, bench.admin, BASE)
    done = plan(valkey, schedule(1))
    assert done.exit_code == 1
    for line in (
        "+ added: is added",
        "+ left-behind: is added, and takes a state over",
        "~ kwargs-paused: changes",
        "    kwargs changed",
        "    it is paused (by hand), and stays paused",
        "- gone: is pruned",
        "! clash: is not used: the API has an entry of this name: rename or remove one of them",
        "! unreadable: stays as it is: its stored definition cannot be read: ",
    ):
        assert line in done.output, line
    assert "s3cret" not in done.output
    digest = next(line for line in done.output.splitlines() if line.startswith("digest: "))[8:]
    assert done.output.splitlines()[-1].endswith(f"habeat plan --acknowledge {digest}")
    assert plan(valkey, schedule(1), "--acknowledge", digest).exit_code == 0
    assert plan(valkey, schedule(0), "--acknowledge", digest).exit_code == 1


def test_nothing_changes_if_this_code_runs_already(
    valkey: Server, bench: Bench, lead: StandingLead
) -> None:
    given = {"a": {"task": "proj.work", "schedule": 60}}
    Deploy(bench, make_app(), 1, given).lead(lead)
    done = plan(valkey, given)
    assert (done.exit_code, "no entry changes: 1 entry" in done.output) == (0, True), done.output


def test_entries_of_the_api_are_not_in_a_plan(valkey: Server, client: Client) -> None:
    client.add("mine", "proj.work", 60)
    assert verdicts(json.loads(plan(valkey, {}, "--json").stdout)) == {}


def test_without_redis_a_plan_is_an_error() -> None:
    app = Celery("proj", broker="redis://127.0.0.1:1", set_as_current=False)
    app.conf.beat_schedule = {}
    done = CliRunner().invoke(group, ["plan"], obj=CLIContext(app, True, None))
    assert done.exit_code == 1
    assert "Redis" in done.stderr
