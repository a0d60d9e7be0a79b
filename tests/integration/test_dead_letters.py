"""What was given up: kept in bounds, listed, shown, sent again and purged."""

from __future__ import annotations

import json
import re
from datetime import timedelta

import pytest

from habeat.client import Client
from habeat.core.circuit import Circuit
from habeat.core.lease import Fence, Token
from habeat.core.request import Request
from habeat.entries.codec import encode_request
from habeat.errors import (
    DeadNotFound,
    DeadUnreadable,
    EntryMoving,
    EntryNotFound,
    ValidationError,
)
from habeat.ports import Intent, Recovered, Rendered, StoredRequest
from habeat.store.dead_letters import read_dead
from habeat.store.dispatch import RedisDispatchStore
from tests.integration.scripts.bench import TTL_MS, Bench
from tests.integration.test_cli import Shell

SECRET = "a-token-that-nobody-may-see"
MESSAGE = json.dumps(
    {
        "v": 1,
        "messages": [
            {"body": SECRET, "arguments": {"headers": {"task": "proj.tick", "id": "task-id-1"}}}
        ],
    }
).encode()


@pytest.fixture
def client(shell: Shell) -> Client:
    return Client(shell.app)


def given_up(bench: Bench, token: Token, name: str = "e", message: bytes = MESSAGE) -> Intent:
    """A firing that was refused until its attempts were used up."""
    placed = bench.place(name)
    claim = bench.claim_of(placed, rendered=Rendered(message), delivery="at_most_once")
    assert bench.claim(token, claim, atomic=False) == ["ok"]
    bench.hasten()
    found = bench.store.recover(Fence(token, TTL_MS), 10)
    assert isinstance(found, Recovered)
    (intent,) = found.intents
    assert bench.store.mark(Fence(token, TTL_MS), intent, 0, "", 0, "no such exchange").buried  # type: ignore[union-attr]
    return intent


def request_given_up(bench: Bench, token: Token, identity: str, raw: bytes) -> None:
    bench.place("r") if not bench.admin.hexists(bench.keys.entries, "r") else None
    bench.caller.run("request", identity, raw, 60_000, "r")
    (request,) = [each for each in bench.requests() if each.identity == identity]
    assert isinstance(request, StoredRequest)
    bench.store.drop(Fence(token, TTL_MS), request, "r", 5, "request: no\nsuch \x1b[31m thing")


def looked(bench: Bench, token: Token, age_ms: int = 10**9, length: int = 10**6) -> None:
    store = RedisDispatchStore(
        bench.caller,
        dedup_ttl_ms=60_000,
        ledger_age_ms=10**9,
        ledger_length=10**6,
        dead_age_ms=age_ms,
        dead_length=length,
    )
    for _ in range(5):
        store.tick(Fence(token, TTL_MS), 10)


def test_a_record_says_when_and_why_and_how_often(bench: Bench, client: Client) -> None:
    intent = given_up(bench, bench.lead())
    (letter,) = client.dead()
    assert letter.id == intent.field
    assert (letter.entry, letter.kind, letter.attempts) == ("e", "firing", 1)
    assert letter.why == "attempts used up: no such exchange"
    assert (letter.task, letter.task_id) == ("proj.tick", "task-id-1")
    assert letter.at is not None
    assert letter.resendable
    assert client.dead_letter(letter.id) == letter
    assert client.dead("another") == []


def test_a_firing_is_sent_again_under_its_own_identity(bench: Bench, client: Client) -> None:
    token = bench.lead()
    intent = given_up(bench, token)
    assert client.resend(intent.field).task_id == "task-id-1"
    assert bench.balanced()
    assert client.dead() == []
    found = bench.store.recover(Fence(token, TTL_MS), 10)
    assert isinstance(found, Recovered)
    (again,) = found.intents
    assert (again.identity, again.envelope) == (intent.identity, intent.envelope)
    assert (again.attempts, again.delivery) == (0, "at_least_once")
    assert bench.ledger("e")[-1][:2] == ("note", "sent again by hand")
    with pytest.raises(DeadNotFound):
        client.resend(intent.field)
    bench.store.mark(Fence(token, TTL_MS), again, 0, "", 0, "")
    bench.admin.hset(bench.keys.inflight, intent.field, "under way")
    with pytest.raises(DeadUnreadable, match="already being sent"):
        client.resend(intent.field)


def test_of_two_who_resend_one_does(bench: Bench, client: Client) -> None:
    given_up(bench, bench.lead())
    desk_record = read_dead("e@1", b"dead 5 why\n\n0\n5\n/\nm")
    reply = bench.caller.run(
        "resend", *[client.dead()[0].id, desk_record.digest, "e", 1, "", b"raw"]
    )
    assert reply[0] == b"changed"
    assert bench.flying() == {}


def test_what_only_its_process_could_send_is_not_sent_again(bench: Bench, client: Client) -> None:
    intent = given_up(bench, bench.lead(), message=b"a key of that process")
    assert not client.dead_letter(intent.field).resendable
    with pytest.raises(DeadUnreadable):
        client.resend(intent.field)
    assert [letter.id for letter in client.dead()] == [intent.field]


def test_a_request_is_made_again(bench: Bench, client: Client) -> None:
    token = bench.lead()
    raw = encode_request(Request("trigger", "r", bench.now_ms, args=(SECRET,)))
    request_given_up(bench, token, "r1", raw)
    (letter,) = client.dead("r")
    assert (letter.kind, letter.entry, letter.identity) == ("trigger", "r", "r1")
    assert letter.why.isprintable()
    client.resend(letter.id)
    (again,) = bench.requests()
    assert (again.identity, again.raw) == ("r1", raw)


def test_a_request_of_an_entry_that_is_gone_stays(bench: Bench, client: Client) -> None:
    raw = encode_request(Request("trigger", "r", bench.now_ms))
    request_given_up(bench, bench.lead(), "r1", raw)
    bench.admin.hdel(bench.keys.entries, "r")
    with pytest.raises(EntryNotFound):
        client.resend("request r1")
    assert len(client.dead()) == 1


def test_a_request_of_an_entry_that_is_being_moved_stays(bench: Bench, client: Client) -> None:
    raw = encode_request(Request("trigger", "r", bench.now_ms))
    request_given_up(bench, bench.lead(), "r1", raw)
    pause = {"reason": "x", "at_ms": bench.now_ms, "until_ms": None, "moving_to": "habeat:new"}
    bench.admin.hset(bench.keys.paused, "r", json.dumps(pause))
    with pytest.raises(EntryMoving, match="habeat:new"):
        client.resend("request r1")
    assert bench.requests() == []
    assert len(client.dead()) == 1


@pytest.mark.parametrize(
    "value",
    [b"garbage", b"", b"\xff\xfe\n\n", b"dead 99 why", b"dead x y\nz", b"dead 5 a\n\n1\n2\n"],
)
@pytest.mark.parametrize("field", ["e@1", "no slot", "request r9", "request \udcff", "@", "e@x"])
def test_what_cannot_be_read_is_shown_and_not_sent_again(
    bench: Bench, client: Client, field: str, value: bytes
) -> None:
    name = field.encode("utf-8", "surrogateescape")
    bench.admin.hset(bench.keys.dead, name, value)
    bench.admin.zadd(bench.keys.dead_at, {name: 5})
    (letter,) = client.dead()
    assert not letter.resendable
    if field != "request \udcff":
        with pytest.raises(DeadUnreadable):
            client.resend(letter.id)
    assert client.purge_dead() <= 1


def test_it_is_bounded_by_age(bench: Bench) -> None:
    token = bench.lead()
    for name in ("old", "new"):
        given_up(bench, token, name)
    (old, _) = bench.admin.zrange(bench.keys.dead_at, 0, -1)
    bench.admin.zadd(bench.keys.dead_at, {old: bench.now_ms - 10_000})
    looked(bench, token, age_ms=5_000)
    assert old not in bench.admin.hkeys(bench.keys.dead)
    assert bench.admin.hlen(bench.keys.dead) == bench.admin.zcard(bench.keys.dead_at) == 1


def test_it_is_bounded_by_number_the_oldest_first(bench: Bench) -> None:
    token = bench.lead()
    for n in range(30):
        bench.admin.hset(bench.keys.dead, f"e@{n}", "x")
        bench.admin.zadd(bench.keys.dead_at, {f"e@{n}": bench.now_ms - 30 + n})
    looked(bench, token, length=10)
    assert sorted(bench.admin.hkeys(bench.keys.dead)) == sorted(
        f"e@{n}".encode() for n in range(20, 30)
    )
    assert bench.admin.zcard(bench.keys.dead_at) == 10


def test_what_an_older_release_kept_is_found_and_trimmed(bench: Bench, client: Client) -> None:
    token = bench.lead()
    bench.admin.hset(bench.keys.dead, "e@7", b"1:aa\n9\n7\n/at_least_once\n" + MESSAGE)
    looked(bench, token)
    (letter,) = client.dead()
    assert (letter.entry, letter.attempts, letter.why, letter.at) == ("e", 10, "", None)
    assert letter.resendable
    looked(bench, token, length=0)
    assert client.dead() == []


def test_purging_by_entry_by_age_and_one(bench: Bench, client: Client) -> None:
    token = bench.lead()
    fields = [given_up(bench, token, name).field for name in ("a", "b", "c")]
    assert client.purge_dead(older_than=timedelta(hours=1)) == 0
    assert client.purge_dead(entry="a") == 1
    assert client.purge_dead(fields[1]) == 1
    with pytest.raises(DeadNotFound):
        client.purge_dead(fields[1])
    for nothing in ("", 0, False):  # such as a parameter that a page did not send
        with pytest.raises(ValidationError, match="expected an id"):
            client.purge_dead(nothing)  # type: ignore[arg-type]
    assert client.purge_dead() == 1
    assert bench.admin.zcard(bench.keys.dead_at) == 0


def test_status_and_health_tell_of_it(bench: Bench, client: Client, shell: Shell) -> None:
    given_up(bench, bench.lead())
    status = client.status()
    assert status.dead == 1
    assert any("given up" in problem for problem in status.problems)
    assert "given up" in shell.ok("status")
    assert shell("health").exit_code == 1


def test_status_health_and_show_tell_of_an_open_circuit(
    bench: Bench, client: Client, shell: Shell
) -> None:
    token = bench.lead()
    placed = bench.place()
    circuit = Circuit.opened(5, "no such exchange", bench.now_ms)
    bench.store.keep_circuits(Fence(token, TTL_MS), [("e", placed.digest, circuit)])
    assert client.circuit("e") == circuit
    assert client.status().circuits == {"e": circuit}
    assert "no such exchange" in shell.ok("status")
    assert shell.json("status")["circuits"]["e"]["count"] == 5
    done = shell("health")
    assert (done.exit_code, "'e'" in done.stdout) == (1, True)
    assert shell.json("show", "e")["circuit"]["why"] == "no such exchange"
    shown = shell.ok("show", "e")
    assert re.search(r"^state +failing$", shown, re.MULTILINE)
    assert re.search(r"^circuit +failed 5 times in a row since .*no such exchange", shown, re.M)
    assert re.search(r"^entries +1 entry: 1 failing$", shell.ok("status"), re.MULTILINE)
    assert shell.json("status")["entries"] | {"total": 1} == {
        **{"total": 1, "active": 0, "failing": 1, "paused": 0, "quarantined": 0},
        "disabled_or_exhausted": 0,
    }
    assert [each["name"] for each in shell.json("list", "--state", "failing")] == ["e"]
    assert "1 entry: 1 failing" in shell.ok("list")
    assert client.pause("e").condition == "paused"
    assert client.resume("e").condition == "active", "which closes the circuit"


def test_the_command_line_lists_shows_resends_and_purges(bench: Bench, shell: Shell) -> None:
    token = bench.lead()
    field = given_up(bench, token).field
    given_up(bench, token, "other")
    for argv in (["list"], ["show", field], ["list", "--json"], ["show", field, "--json"]):
        assert SECRET not in shell.ok("dead", *argv)
    assert [row["id"] for row in shell.json("dead", "list", "--entry", "e")] == [field]
    assert shell.json("dead", "list", "--older-than", "1h") == []
    assert shell.json("dead", "show", field)["task_id"] == "task-id-1"
    assert shell.json("dead", "resend", field)["resent"] is True
    assert "no such id" not in shell.fails(1, "dead", "resend", field)
    assert shell("dead", "purge", stdin="n\n").exit_code == 1
    refused = json.loads(shell("dead", "purge", "--json", stdin="n\n").stdout)
    assert refused["error"]["kind"] == "Aborted"
    assert len(shell.json("dead", "list")) == 1
    assert "Permanently delete 1 record" in shell("dead", "purge", stdin="y\n").stderr
    assert shell.json("dead", "purge", "--yes") == {"purged": 0}
    assert "nothing was given up" in shell.ok("dead", "list")
    assert shell.fails(2, "dead", "purge", "x", "--entry", "e")
