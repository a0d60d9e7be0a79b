"""`client.step_down` and its command, with replicas that are played by the test."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from typing import Any

import pytest

from habeat.client import Client, Guard, stepping_down
from habeat.core.controls import StepDown, controls_of
from habeat.core.lease import Token
from habeat.errors import NotAllowed, NotHandedOver, ValidationError
from habeat.ports import Known, Won
from habeat.store.controls import ControlStore
from tests.integration.scripts.bench import TTL_MS, Bench
from tests.integration.test_cli import Shell


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stepping_down, "VALID_MS", 400)
    monkeypatch.setattr(stepping_down, "TAKEN_UP_MS", 60)


def register(bench: Bench, nonce: str, host: str, pid: int, **more: Any) -> None:
    facts = {"host": host, "pid": pid, "role": "standby", **more}
    bench.leases.register(nonce, json.dumps(facts), "same", 0)


def lead(bench: Bench) -> Token:
    """aa leads, on host one; bb and cc stand by on host two, and dd is inert."""
    token = bench.lead("aa")
    register(bench, "aa", "one", 1)
    register(bench, "bb", "two", 2)
    register(bench, "cc", "two", 3)
    register(bench, "dd", "three", 4, inert="its keys belong to another app")
    return token


def answer(bench: Bench, token: Token, heir: str) -> threading.Thread:
    """Play the leader that hands over, and the replica that takes the lease."""
    other = Bench(bench.server, "habeat:proj", "proj")

    def play() -> None:
        while asked_of(other) is None:
            threading.Event().wait(0.01)
        other.leases.release(token, token.nonce)
        if heir:
            assert isinstance(other.leases.acquire(heir, TTL_MS, Known()), Won)

    thread = threading.Thread(target=play)
    thread.start()
    return thread


def asked_of(bench: Bench) -> StepDown | None:
    found = ControlStore(bench.caller).read()
    return controls_of(found.stamp, found.fields).step_down


@pytest.mark.parametrize("to", [None, "cc", "two:3"])
def test_the_call_returns_when_another_replica_leads(
    bench: Bench, client: Client, to: str | None
) -> None:
    token = lead(bench)
    thread = answer(bench, token, "cc")
    done = client.step_down(to)
    thread.join()
    assert (done.before.where, done.after.where) == ("one pid 1", "two pid 3")
    assert done.gap is not None
    assert 0 <= done.gap.total_seconds() < 5
    asked = asked_of(bench)
    assert asked is not None
    assert (asked.token, asked.to) == (str(token), "cc" if to else "")


def test_the_leader_itself_need_not_hand_over(bench: Bench, client: Client) -> None:
    lead(bench)
    done = client.step_down("one")
    assert done.before == done.after
    assert asked_of(bench) is None


@pytest.mark.parametrize(
    ("to", "says"),
    [
        ("two", "2 have this name: two:2, two:3"),
        ("four", "the id, host or host:pid of a live standby (two:2, two:3)"),
        ("three", "three pid 4 cannot: its keys belong to another app"),
        ("", "the id, host or host:pid"),
    ],
)
def test_a_successor_that_is_not_one_live_standby_is_refused(
    bench: Bench, client: Client, to: str, says: str
) -> None:
    lead(bench)
    with pytest.raises(ValidationError) as refused:
        client.step_down(to)
    assert says in str(refused.value)
    assert asked_of(bench) is None


def test_without_a_standby_nothing_is_asked(bench: Bench, client: Client) -> None:
    bench.lead("aa")
    register(bench, "aa", "one", 1)
    with pytest.raises(NotHandedOver, match="no other replica that could lead"):
        client.step_down()
    assert asked_of(bench) is None


def test_without_a_leader_there_is_none_to_ask(client: Client) -> None:
    with pytest.raises(NotHandedOver, match="no replica leads"):
        client.step_down()


def test_a_leader_that_hangs_is_named_and_the_request_is_void_by_then(
    bench: Bench, client: Client
) -> None:
    token = lead(bench)
    with pytest.raises(NotHandedOver, match="one pid 1 still leads: it did not answer within"):
        client.step_down()
    asked = asked_of(bench)
    assert asked is not None
    assert not asked.is_for(str(token), bench.now_ms)


def test_it_is_said_if_no_other_replica_takes_the_lease(bench: Bench, client: Client) -> None:
    thread = answer(bench, lead(bench), "")
    with pytest.raises(NotHandedOver, match="one pid 1 released the lease, but no other"):
        client.step_down()
    thread.join()


def test_it_is_said_if_the_same_replica_leads_again(bench: Bench, client: Client) -> None:
    thread = answer(bench, lead(bench), "aa")
    with pytest.raises(NotHandedOver, match="so it leads again"):
        client.step_down()
    thread.join()


@pytest.mark.parametrize("guard", [Guard(), Guard(prefix="tenant:"), Guard(max_entries=5)])
def test_no_tenant_may_have_the_leader_step_down(bench: Bench, shell: Shell, guard: Guard) -> None:
    lead(bench)
    with Client(shell.app, guard=guard) as tenant, pytest.raises(NotAllowed):
        tenant.step_down()
    assert asked_of(bench) is None


Command = Callable[..., Any]


def test_the_command_says_who_leads_now(bench: Bench, shell: Shell) -> None:
    thread = answer(bench, lead(bench), "bb")
    result = shell("step-down", "--to", "bb")
    thread.join()
    assert result.exit_code == 0, result.output
    assert "two pid 2 leads now, " in result.output
    assert "ms after one pid 1 released the lease" in result.output


def test_the_command_prints_json(bench: Bench, shell: Shell) -> None:
    thread = answer(bench, lead(bench), "bb")
    result = shell("step-down", "--json")
    thread.join()
    found = json.loads(result.output)
    assert (found["before"]["pid"], found["after"]["pid"]) == (1, 2)
    assert found["gap_ms"] >= 0


def test_the_command_fails_if_it_did_not_happen(bench: Bench, shell: Shell) -> None:
    lead(bench)
    result = shell("step-down")
    assert result.exit_code == 1
    assert "still leads" in result.output
    assert "waiting for the leader" in result.output
    refused = shell("step-down", "--to", "nowhere")
    assert refused.exit_code == 2
    assert "waiting" not in refused.output
