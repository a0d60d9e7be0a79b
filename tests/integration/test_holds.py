"""`client.add_hold`, `holds` and `remove_hold`, and the command `hold`, against a real server."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

import habeat
from habeat.client import Client, Guard
from habeat.client.windows import SCOPE_HOLDS_MAX
from habeat.errors import NotAllowed, ValidationError
from tests.integration.scripts.bench import Bench
from tests.integration.test_cli import Shell

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
NIGHT = datetime(2031, 3, 5, 2, 0, tzinfo=UTC)


def test_a_hold_is_listed_replaced_and_removed(client: Client) -> None:
    hold = client.add_hold("db", start=NIGHT, end=NIGHT + HOUR, prefix="t:", tags=["db"])
    assert client.holds() == (hold,)
    assert (hold.start, hold.end, hold.until, hold.misfire) == (NIGHT, NIGHT + HOUR, None, "skip")
    with pytest.raises(ValidationError, match="a new name, or replace=True"):
        client.add_hold("db", end=NIGHT)
    on = client.add_hold("db", misfire="latest", replace=True)
    assert on.until is not None
    assert client.status().holds_on == ("db",)
    assert client.remove_hold("db")
    assert not client.remove_hold("db")
    assert client.holds() == ()


def test_a_hold_that_comes_again_has_a_schedule_in_the_apps_zone(client: Client) -> None:
    hold = client.add_hold("nightly", schedule=habeat.cron("0 2 * * *"), duration=HOUR)
    assert hold.duration == HOUR
    assert hold.schedule is not None
    client.add("a", "proj.tick", habeat.cron("*/30 * * * *"))
    midnight = NIGHT - timedelta(hours=2)
    seen = client.preview("a", start=midnight - timedelta(minutes=1), end=midnight + 4 * HOUR)
    held = [each.nominal_utc.strftime("%H:%M") for each in seen if each.marks]
    assert held == ["02:00", "02:30"]
    assert {each.marks for each in seen} == {(), ("maintenance: nightly",)}


def test_the_load_has_no_firings_in_a_hold_and_the_newest_one_after_it(client: Client) -> None:
    client.add("a", "proj.tick", habeat.cron("*/10 * * * *"))
    day = NIGHT - timedelta(hours=2)
    whole = client.simulate(day, day + DAY).load.firings
    client.add_hold("skip", start=NIGHT, end=NIGHT + HOUR)
    assert client.simulate(day, day + DAY).load.firings == whole - 6
    client.add_hold("skip", start=NIGHT, end=NIGHT + HOUR, misfire="latest", replace=True)
    assert client.simulate(day, day + DAY).load.firings == whole - 5


def test_explain_knows_what_will_be_held(bench: Bench, client: Client) -> None:
    bench.lead()
    client.add("a", "proj.tick", habeat.cron("0 * * * *"))
    client.add_hold("db", start=NIGHT, end=NIGHT + HOUR)
    found = client.explain("a", NIGHT)
    assert "maintenance: db" in str(found.sentence)


@pytest.mark.parametrize(
    "wrong",
    [
        {"end": datetime(2020, 1, 1, tzinfo=UTC)},
        {"start": NIGHT, "end": NIGHT},
        {"schedule": 60},
        {"duration": 60},
        {"schedule": 60, "duration": 0.5},
        {"schedule": 60, "duration": timedelta(days=40)},
        {"schedule": "every day", "duration": 60},
        {"misfire": "all"},
        {"reason": "x" * 501},
        {"prefix": 5},
        {"tags": ["x"] * 30},
    ],
)
def test_wrong_arguments_are_refused(client: Client, wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        client.add_hold("w", **wrong)
    assert client.holds() == ()


def test_a_tenant_holds_only_what_is_in_its_scope(client: Client, shell: Shell) -> None:
    client.add_hold("all")
    client.add_hold("t1:of the operator", prefix="t")
    with Client(shell.app, guard=Guard(prefix="t1:", tag="mine")) as tenant:
        for name, more in (
            ("mine", {"prefix": "t1:", "tags": ["mine"]}),
            ("t1:x", {"prefix": "t", "tags": ["mine"]}),
            ("t1:x", {"prefix": "t1:"}),
            ("t1:of the operator", {"prefix": "t1:", "tags": ["mine"], "replace": True}),
        ):
            with pytest.raises(NotAllowed):
                tenant.add_hold(name, **more)  # type: ignore[arg-type]
        for name in ("all", "t1:of the operator"):
            with pytest.raises(NotAllowed):
                tenant.remove_hold(name)
        own = tenant.add_hold("t1:own", prefix="t1:a", tags=["mine", "b"])
        assert tenant.holds() == (own,)
        assert own.by == "", "no host"
        assert tenant.remove_hold("t1:own")
    assert len(client.holds()) == 2


def test_a_tenant_leaves_room_for_the_holds_of_others(client: Client, shell: Shell) -> None:
    with Client(shell.app, guard=Guard(prefix="t1:")) as tenant:
        for number in range(SCOPE_HOLDS_MAX):
            tenant.add_hold(f"t1:{number}", prefix="t1:")
        with pytest.raises(NotAllowed, match=f"at most {SCOPE_HOLDS_MAX} holds"):
            tenant.add_hold("t1:more", prefix="t1:")
        assert tenant.add_hold("t1:0", prefix="t1:a", replace=True).prefix == "t1:a"
        tenant.remove_hold("t1:1")
        tenant.add_hold("t1:more", prefix="t1:")
    with Client(shell.app, guard=Guard(prefix="t2:")) as other:
        other.add_hold("t2:0", prefix="t2:")
    client.add_hold("of the operator", prefix="t1:")


def test_a_damaged_hold_is_named_and_holds_nothing(bench: Bench, client: Client) -> None:
    client.add_hold("db")
    bench.admin.hset(bench.keys.controls, "hold:db", json.dumps({"from": "x"}))
    assert client.holds() == ()
    assert any("'hold:db' cannot be read" in remark for remark in client.status().remarks)
    client.add("a", "proj.tick", 60)
    assert client.preview("a", 1)[0].marks in ((), ("spread",))
    assert client.remove_hold("db")


def test_the_command(shell: Shell, client: Client) -> None:
    out = shell.ok("hold", "add", "db", "--to", "2h", "--tag", "db", "--reason", "upgrade")
    assert "db holds entries with the tag db" in out
    assert "it is on until" in out
    shell.ok("hold", "add", "nightly", "--cron", "0 2 * * *", "--for", "30m", "--misfire", "latest")
    listed = shell.ok("hold", "list")
    assert "upgrade" in listed
    assert "latest" in listed
    assert [each["name"] for each in shell.json("hold", "list")] == ["db", "nightly"]
    assert "on now: db" in shell.ok("status")
    assert "removed the hold db" in shell.ok("hold", "remove", "db")
    assert "no hold named db" in shell("hold", "remove", "db").output
    shell.fails(2, "hold", "add", "nightly")
    shell.fails(2, "hold", "add", "other", "--for", "5m")
