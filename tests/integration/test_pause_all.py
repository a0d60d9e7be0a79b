"""`client.pause_all`, `resume_all` and their commands, against a real server."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from habeat.client import Client, Guard
from habeat.core.controls import CONTROLS_MAX
from habeat.core.lease import Fence
from habeat.errors import NotAllowed, SchedulePaused, ValidationError
from habeat.ports import Statuses
from habeat.store.controls import ControlStore
from tests.integration.scripts.bench import TTL_MS, Bench
from tests.integration.test_cli import Shell

HOUR = timedelta(hours=1)


def now() -> datetime:
    return datetime.now(UTC)


def test_a_pause_is_one_switch_that_is_stored_once(bench: Bench, client: Client) -> None:
    for number in range(3):
        client.add(f"e{number}", "proj.tick", 60)
    client.pause("e2", "its own")
    pause = client.pause_all("database migration")
    assert pause.until is None
    assert pause.reason == "database migration"
    assert "@" in pause.by
    assert client.schedule_paused() == client.status().paused == pause
    assert [each.condition for each in client.list()] == ["active", "active", "paused"]
    assert client.resume_all() == pause
    assert client.schedule_paused() is None
    assert client.get("e2").condition == "paused"
    assert client.resume_all() is None


def test_a_pause_finds_room_among_any_number_of_controls(bench: Bench, client: Client) -> None:
    others = {f"hold:{number}": "x" for number in range(CONTROLS_MAX)}
    bench.admin.hset(bench.keys.controls, mapping=others)
    pause = client.pause_all("stop")
    assert client.schedule_paused() == pause
    assert client.resume_all() == pause


def test_after_the_call_nothing_more_is_claimed(bench: Bench, client: Client) -> None:
    token, placed = bench.lead(), bench.place(ago_ms=10)
    client.pause_all()
    assert bench.claim(token, bench.claim_of(placed)) == ["replan"]
    stamp = ControlStore(bench.caller).read().stamp
    client.resume_all()
    reply = bench.store.claim(
        Fence(token, TTL_MS, stamp=stamp), [bench.claim_of(placed)], atomic=True
    )
    assert isinstance(reply, Statuses)
    assert reply.words == ["replan"], "the plan under the pause is not the one after it either"


def test_a_second_pause_keeps_what_is_not_given(client: Client) -> None:
    until = (now() + HOUR).replace(microsecond=0)
    first = client.pause_all("why", until)
    again = client.pause_all()
    assert (again.since, again.until, again.reason) == (first.since, until, "why")
    other = client.pause_all("because", until + HOUR)
    assert (other.since, other.until, other.reason) == (first.since, until + HOUR, "because")


def test_nothing_is_fired_by_hand_meanwhile(client: Client) -> None:
    client.add("a", "proj.tick", 1)
    client.pause_all()
    with pytest.raises(SchedulePaused):
        client.trigger("a")
    with pytest.raises(SchedulePaused):
        client.trigger_many(["a"])
    with pytest.raises(SchedulePaused):
        client.backfill("a", now() - HOUR, now() - timedelta(minutes=1))
    client.resume_all()
    assert client.trigger("a")


@pytest.mark.parametrize(
    "wrong", [{"reason": 5}, {"reason": "x" * 501}, {"until": datetime(2020, 1, 1)}]
)
def test_wrong_arguments_are_refused(client: Client, wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        client.pause_all(**wrong)  # type: ignore[arg-type]
    with pytest.raises(ValidationError, match="a time in the future"):
        client.pause_all(until=now() - HOUR)
    assert client.schedule_paused() is None


@pytest.mark.parametrize("guard", [Guard(), Guard(prefix="tenant:")])
def test_no_tenant_pauses_or_resumes_the_schedule(
    client: Client, shell: Shell, guard: Guard
) -> None:
    with Client(shell.app, guard=guard) as tenant:
        with pytest.raises(NotAllowed):
            tenant.pause_all()
        client.pause_all("a secret")
        with pytest.raises(NotAllowed):
            tenant.resume_all()
        seen = tenant.schedule_paused()
        assert seen is not None
        assert (seen.reason, seen.by) == ("", "")
        if guard.scope.prefix:
            assert "a secret" not in repr(tenant.status())


def test_a_damaged_pause_is_named_and_can_be_replaced(bench: Bench, client: Client) -> None:
    client.pause_all()
    bench.admin.hset(bench.keys.controls, "pause", b"\xff garbage")
    status = client.status()
    assert status.paused is None
    assert any("'pause' cannot be read" in remark for remark in status.remarks)
    client.pause_all("again")
    paused = client.schedule_paused()
    assert paused is not None
    assert paused.reason == "again"


def test_a_foreign_key_breaks_nothing(bench: Bench, client: Client) -> None:
    client.pause_all()
    bench.admin.set(bench.keys.controls, "another program's")
    assert client.status().paused is None
    client.pause_all("again")
    assert client.schedule_paused() is not None


def test_the_command_pauses_the_schedule_and_says_so_everywhere(
    shell: Shell, client: Client
) -> None:
    client.add("a", "proj.tick", 60)
    out = shell.ok("pause", "--all", "--until", "2h", "--reason", "migration")
    assert "the whole schedule is paused until" in out
    for words in (("status",), ("list",), ("show", "a")):
        assert "the whole schedule, since" in shell.ok(*words)
        assert "migration" in shell.ok(*words)
    health = shell("health")
    assert "note: the whole schedule is paused" in health.output
    assert "unhealthy: the whole" not in health.output, "it is a remark, not a problem"
    assert shell.json("status")["paused"]["reason"] == "migration"
    assert shell.json("list")[0]["state"] == "active"
    assert "by hand" in shell.fails(1, "trigger", "a")
    assert "is over" in shell.ok("resume", "--all")
    assert "was not paused" in shell.ok("resume", "--all")
    assert "the whole schedule" not in shell.ok("list")


def test_each_entry_by_itself_is_another_word(shell: Shell, client: Client) -> None:
    client.add("a", "proj.tick", 60)
    client.add("b", "proj.tick", 60)
    assert "paused 2 entries" in shell.ok("pause", "--each", "--yes")
    assert client.schedule_paused() is None
    assert "resumed 2 entries" in shell.ok("resume", "--each")
    shell.fails(2, "pause", "--each", "--all")
    shell.fails(2, "pause", "--each", "a")
    shell.fails(2, "resume", "--all", "--from", "paused")
