"""Taking along entries from another prefix: what moves, what stays, and interruptions."""

# mypy: disable-error-code="no-untyped-def"
from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest

import habeat
from habeat import errors
from habeat.client import Client
from habeat.client.adopting import _Adopting
from habeat.core.firing import Outcome
from habeat.entries.codec import encode
from habeat.ports import StoreUnavailable
from habeat.store.entries import EntryStore
from tests.integration.scripts.bench import Bench
from tests.support.servers.cluster import Cluster
from tests.support.servers.redis_server import Server

OLD, NEW = "habeat:proj", "habeat:shop"
PAST_HOUR = (datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, 1, tzinfo=UTC))


@pytest.fixture
def proj(valkey: Server) -> Bench:
    """The old prefix, under which a beat led that is gone."""
    bench = Bench(valkey, prefix=OLD, app="proj")
    bench.leases.release(bench.lead("alpha"), "alpha")
    return bench


@pytest.fixture
def shop(valkey: Server) -> Bench:
    return Bench(valkey, prefix=NEW, app="shop")


@pytest.fixture
def old(valkey: Server, proj: Bench) -> Iterator[Client]:
    with Client(valkey.url(), prefix=OLD) as client:
        yield client


@pytest.fixture
def new(valkey: Server) -> Iterator[Client]:
    with Client(valkey.url(), prefix=NEW) as client:
        yield client


def names(client: Client) -> list[str]:
    return [entry.name for entry in client.list()]


def set_state(bench: Bench, name: str, cursor_ms: int, slot_ms: int, count: int = 0) -> None:
    """As a leader leaves it, with this cursor, next slot and count."""
    bench.admin.hset(bench.keys.state, name, f"{cursor_ms}|{slot_ms}|7:aa|{cursor_ms}|{count}")
    bench.admin.zadd(bench.keys.due, {name: slot_ms})


def declare(bench: Bench, client: Client, name: str) -> None:
    """An entry of beat_schedule with this name."""
    client.add("template", "proj.work", 60)
    entry = replace(client.get("template"), name=name, owner="config", state=None)  # type: ignore[arg-type]
    client.remove("template")
    bench.admin.hset(bench.keys.entries, name, encode(entry))
    bench.admin.sadd(bench.keys.owned, name)


def test_an_entry_continues_where_it_stopped(proj: Bench, shop: Bench, old, new) -> None:
    given = {"task": "proj.work", "schedule": habeat.every(60), "args": [1], "max_runs": 9}
    made = old.add("report", **given, tags=["t"], jitter=5)
    cursor_ms = proj.now_ms - 600_000
    slot_ms = made.next_slot_ms(cursor_ms)
    assert slot_ms is not None
    set_state(proj, "report", cursor_ms, slot_ms, count=4)
    before = old.get("report")
    done = new.adopt(OLD)
    assert (done.adopted, done.refused, done.left, done.written) == (("report",), {}, {}, True)
    assert new.get("report") == before
    assert new.get("report").state == before.state, "cursor, next slot, due time, count, last run"
    assert names(old) == []
    assert shop.admin.zscore(shop.keys.due, "report") == slot_ms
    for keys, admin in ((proj.keys, proj.admin), (shop.keys, shop.admin)):
        assert admin.hlen(keys.paused) == 0
    assert proj.admin.exists(proj.keys.state, proj.keys.due) == 0
    [here] = new.history("report")
    assert (here.outcome, here.reason) == (Outcome.NOTE, f"adopted from {OLD}")
    [there] = old.history("report")
    assert there.reason == f"moved to {NEW}"


@pytest.mark.parametrize("hours", [None, 2])
def test_a_pause_moves_with_its_reason_and_end(shop: Bench, old, new, hours: int | None) -> None:
    old.add("report", "proj.work", 60)
    until = None if hours is None else old.server_time() + timedelta(hours=hours)
    before = old.pause("report", "invoice overdue", until).state
    assert new.adopt(OLD).adopted == ("report",)
    after = new.get("report").state
    assert (after.paused, after.paused_at_ms, after.paused_until_ms) == (
        before.paused, before.paused_at_ms, before.paused_until_ms,
    )  # fmt: skip
    assert after.due_ms is None
    assert shop.admin.zcard(shop.keys.resume) == (hours is not None)


def test_entries_of_code_stay_and_a_pause_of_one_is_told(proj: Bench, old, new) -> None:
    declare(proj, old, "tick")
    declare(proj, old, "tock")
    old.pause("tock", "x")
    done = new.adopt(OLD)
    assert done.adopted == ()
    assert set(done.left) == {"tick", "tock"}
    assert "paused" in done.left["tock"]
    assert "paused" not in done.left["tick"]
    assert names(old) == ["tick", "tock"]


def test_a_dry_run_writes_nothing(proj: Bench, old, new) -> None:
    old.add("a", "proj.work", 60)
    declare(proj, old, "tick")
    before = old.get("a")
    done = new.adopt(OLD, dry_run=True)
    assert (done.adopted, set(done.left), done.written) == (("a",), {"tick"}, False)
    assert old.get("a") == before
    assert old.get("a").state == before.state
    assert names(new) == []


def test_what_cannot_be_moved_is_named_and_the_others_are_moved(
    proj: Bench, shop: Bench, old, new
) -> None:
    for name in ("free", "taken", "declared", "flying", "triggered", "broken"):
        old.add(name, "proj.work", 60)
    new.add("taken", "proj.work", 90)
    declare(shop, new, "declared")
    old.trigger("triggered")
    proj.admin.hset(proj.keys.inflight, "flying@1800000000000", "x")
    proj.admin.hset(proj.keys.entries, "broken", "{")
    before = {name: old.get(name).state for name in ("taken", "declared", "flying", "triggered")}
    done = new.adopt(OLD)
    assert done.adopted == ("free",)
    assert dict(done.refused.items()) == {
        "taken": "the API has an entry of this name here: rename or remove one of them",
        "declared": "beat_schedule declares an entry of this name here: rename or remove one "
        "of them",
        "flying": done.refused["flying"],
        "triggered": done.refused["triggered"],
        "broken": done.refused["broken"],
    }
    assert "a firing is in flight" in done.refused["flying"]
    assert "a trigger or backfill is pending" in done.refused["triggered"]
    assert "quarantined" in done.refused["broken"]
    assert {name: old.get(name).state for name in before} == before, "they go on there"


def test_live_beats_of_the_old_prefix_are_in_the_way(proj: Bench, old, new) -> None:
    old.add("a", "proj.work", 60)
    proj.leases.register("alpha", json.dumps({"host": "alpha", "pid": 7}), "f", 0)
    with pytest.raises(errors.BeatsAlive, match="alpha pid 7"):
        new.adopt(OLD)
    assert new.adopt(OLD, dry_run=True).adopted == ("a",)
    assert new.adopt(OLD, force=True).adopted == ("a",)


@pytest.mark.parametrize("prefix", [NEW, "habeat:typo", "", "a b", "{x}", None])
def test_a_prefix_that_cannot_be_meant(proj: Bench, old, new, prefix: Any) -> None:
    with pytest.raises(errors.ValidationError):
        new.adopt(prefix)


def test_a_client_with_a_guard_adopts_nothing(valkey: Server, proj: Bench) -> None:
    guard = habeat.client.Guard(tasks=["proj.*"])
    with (
        Client(valkey.url(), prefix=NEW, guard=guard) as client,
        pytest.raises(errors.NotAllowed),
    ):
        client.adopt(OLD)


def test_keys_of_another_app_take_nothing_in(valkey: Server, proj: Bench, shop: Bench, old) -> None:
    from celery import Celery

    shop.lead("aa")
    old.add("a", "proj.work", 60)
    app = Celery("stranger", set_as_current=False)
    app.conf.update(habeat_redis_url=valkey.url(), habeat_key_prefix=NEW)
    with Client(app) as client, pytest.raises(errors.ForeignState):
        client.adopt(OLD)
    assert old.get("a").state.due_ms is not None or old.get("a").state.paused


# -- interruptions --------------------------------------------------------------------------


class Fault(Exception):
    """The process ends here."""


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("method", ["write", "adopt", "remove"])
def test_after_an_interruption_the_next_call_goes_on(
    monkeypatch: pytest.MonkeyPatch, proj: Bench, shop: Bench, old, new, method: str, when: str
) -> None:
    """And at no moment could both prefixes fire the entry."""
    old.add("a", "proj.work", 60)
    old.add("p", "proj.work", 60)
    old.pause("p", "why")
    before = {name: old.get(name).state for name in ("a", "p")}
    real = getattr(EntryStore, method)

    def ends(store: EntryStore, *args: Any) -> Any:
        if when == "after":
            real(store, *args)
        raise Fault

    with monkeypatch.context() as patch:
        patch.setattr(EntryStore, method, ends)
        with pytest.raises(Fault):
            new.adopt(OLD)
    assert not is_due(proj, "a") or not is_due(shop, "a")
    done = new.adopt(OLD)
    assert set(done.adopted) == ({"a", "p"} if (method, when) != ("remove", "after") else set())
    assert {name: new.get(name).state for name in before} == before
    assert names(old) == []


def is_due(bench: Bench, name: str) -> bool:
    return bench.admin.zscore(bench.keys.due, name) is not None


@pytest.mark.parametrize("method", ["write", "adopt", "remove"])
@pytest.mark.parametrize("executed", [True, False])
def test_a_lost_reply_moves_nothing_twice(
    monkeypatch: pytest.MonkeyPatch, proj: Bench, old, new, method: str, executed: bool
) -> None:
    old.add("a", "proj.work", 60)
    before = old.get("a").state
    real, lost = getattr(EntryStore, method), []

    def call(store: EntryStore, *args: Any) -> Any:
        if lost:
            return real(store, *args)
        lost.append(1)
        if executed:
            real(store, *args)
        raise StoreUnavailable("unreachable", "the reply was lost")

    monkeypatch.setattr(EntryStore, method, call)
    assert new.adopt(OLD).adopted == ("a",)
    assert new.get("a").state == before
    assert names(old) == []
    assert len(new.history("a")) == 1


def between(
    monkeypatch: pytest.MonkeyPatch, method: str, act: Callable[[], Any], bench: Bench
) -> None:
    """Let another caller act just before this write of the next move."""
    real = getattr(EntryStore, method)

    def call(store: EntryStore, *args: Any) -> Any:
        monkeypatch.setattr(EntryStore, method, real)
        act()
        return real(store, *args)

    monkeypatch.setattr(EntryStore, method, call)


def test_a_claim_before_the_pause_is_seen(
    monkeypatch: pytest.MonkeyPatch, proj: Bench, old, new
) -> None:
    """A leader of the old prefix moves the cursor after it was read: it is read again."""
    made = old.add("a", "proj.work", 60)
    cursor_ms = made.state.next_slot_ms
    between(monkeypatch, "write", lambda: set_state(proj, "a", cursor_ms, cursor_ms + 60_000), proj)
    assert new.adopt(OLD).adopted == ("a",)
    assert new.get("a").state.cursor_ms == cursor_ms


def test_a_name_taken_while_its_entry_is_moved_lets_that_one_go_on(
    monkeypatch: pytest.MonkeyPatch, proj: Bench, old, new
) -> None:
    old.add("a", "proj.work", 60)
    old.add("b", "proj.work", 60)
    before = old.get("a").state
    between(monkeypatch, "adopt", lambda: new.add("a", "proj.work", 90), proj)
    done = new.adopt(OLD)
    assert done.adopted == ("b",)
    assert set(done.refused) == {"a"}
    assert old.get("a").state == before, "it is not paused any more"


def test_an_edit_under_the_old_prefix_during_the_move_is_not_lost(
    monkeypatch: pytest.MonkeyPatch, proj: Bench, old, new
) -> None:
    """An older release makes it; this one refuses it, as below."""
    edited = encode(replace(old.add("a", "proj.work", 60), description="new"))
    edit = partial(proj.admin.hset, proj.keys.entries, "a", edited)
    between(monkeypatch, "remove", edit, proj)
    done = new.adopt(OLD)
    assert "was changed under" in done.refused["a"]
    assert old.get("a").description == "new"


CHANGES: dict[str, Callable[[Client], Any]] = {
    "resume": lambda client: client.resume("a"),
    "pause": lambda client: client.pause("a", "why"),
    "update": lambda client: client.update("a", description="x"),
    "replace": lambda client: client.add("a", "proj.work", 60, replace=True),
    "rename": lambda client: client.rename("a", "b"),
    "trigger": lambda client: client.trigger("a"),
    "backfill": lambda client: client.backfill("a", *PAST_HOUR),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
@pytest.mark.parametrize("method", ["adopt", "remove"])
def test_an_entry_whose_move_has_begun_is_left_alone(
    monkeypatch: pytest.MonkeyPatch, proj: Bench, old, new, method: str, change: Any
) -> None:
    """Between an interrupted call and the next, because both prefixes might fire it, or neither."""
    before = old.add("a", "proj.work", 60)
    interrupted(monkeypatch, method, new)
    with pytest.raises(errors.EntryMoving, match=f"moved to the prefix '{NEW}'"):
        change(old)
    assert (new.adopt(OLD).adopted, names(old)) == (("a",), [])
    assert new.get("a") == before


def test_calls_for_many_entries_leave_those_out_whose_move_has_begun(
    monkeypatch: pytest.MonkeyPatch, proj: Bench, old, new
) -> None:
    old.add("a", "proj.work", 60, tags=["t"])
    interrupted(monkeypatch, "adopt", new)
    old.add("b", "proj.work", 60)
    old.pause("b")
    resumed = old.resume_many(all=True)
    assert (resumed.changed, list(resumed.refused)) == (("b",), ["a"])
    assert list(old.trigger_many(all=True).refused) == ["a"]
    given = {"name": "a", "task": "proj.work", "schedule": 90, "tags": ["t"]}
    for call in (partial(old.add_many, replace=True), partial(old.sync, tag="t")):
        with pytest.raises(errors.BulkError, match="is being moved"):
            call([given])
    assert "is being moved" in old.load(old.export()).refused["a"]
    assert old.remove("a") == 1, "which is the way out if it is not to be moved"


@pytest.mark.parametrize("then", ["goes on", "is interrupted"])
def test_a_trigger_during_the_move_is_not_lost(
    monkeypatch: pytest.MonkeyPatch, proj: Bench, old, new, then: str
) -> None:
    """It was stored after the look at the requests, and before the pause."""
    before = old.add("a", "proj.work", 60).state
    old.add("b", "proj.work", 60)
    between(monkeypatch, "write", lambda: old.trigger("a", request_id="r"), proj)
    if then == "is interrupted":
        interrupted(monkeypatch, "_late", new, _Adopting)
    done = new.adopt(OLD)
    assert done.adopted == ("b",)
    assert "a trigger or backfill is pending" in done.refused["a"]
    assert old.get("a").state == before, "it goes on there"
    assert proj.admin.hkeys(proj.keys.requests) == [b"r"]


def test_a_trigger_that_was_on_its_way_before_the_pause_is_refused(
    monkeypatch: pytest.MonkeyPatch, proj: Bench, old, new
) -> None:
    """The entry was not being moved when it was read, and is when the request arrives."""
    old.add("a", "proj.work", 60, description='"moving_to": is no pause')
    between(monkeypatch, "add_request", lambda: interrupted(monkeypatch, "adopt", new), proj)
    with pytest.raises(errors.EntryMoving):
        old.trigger("a")
    assert proj.admin.hlen(proj.keys.requests) == 0
    assert new.adopt(OLD).adopted == ("a",)


def test_a_reason_that_reads_like_a_move_is_a_reason(proj: Bench, old) -> None:
    old.add("a", "proj.work", 60)
    old.pause("a", reason='"moving_to": "habeat:shop"')
    old.trigger("a")
    assert old.resume("a").condition == "active"


def interrupted(
    monkeypatch: pytest.MonkeyPatch, method: str, client: Client, owner: type = EntryStore
) -> None:
    """A move that ends before this call."""

    def ends(*_: Any) -> Any:
        raise Fault

    with monkeypatch.context() as patch:
        patch.setattr(owner, method, ends)
        with pytest.raises(Fault):
            client.adopt(OLD)


def test_many_entries_move_in_batches(proj: Bench, old, new) -> None:
    old.add_many({"name": f"e{n:04d}", "task": "proj.work", "schedule": 60} for n in range(230))
    assert len(new.adopt(OLD).adopted) == 230
    assert (len(names(old)), len(names(new))) == (0, 230)


def test_an_entry_named_in_bytes_that_are_no_text_is_refused(proj: Bench, old, new) -> None:
    proj.admin.hset(proj.keys.entries, b"\xff", b"x")
    [why] = new.adopt(OLD).refused.values()
    assert "quarantined" in why


def test_a_forged_pause_is_a_pause(proj: Bench, old, new) -> None:
    old.add("a", "proj.work", 60)
    forged = {"moving_to": NEW, "before": ["x", "y", "z"], "due_ms": "soon"}
    proj.admin.hset(proj.keys.paused, "a", json.dumps(forged))
    assert new.adopt(OLD).adopted == ("a",)
    assert new.get("a").state.paused == "x"


def test_on_a_cluster_the_prefixes_may_be_on_different_nodes(cluster: Cluster) -> None:
    home = cluster.owner(f"{{{OLD}}}:meta")
    far = (f"{NEW}{n}" for n in range(100))
    elsewhere = next(name for name in far if cluster.owner(f"{{{name}}}:meta") is not home)
    options = {"cluster": True}
    with (
        Client(cluster.url, prefix=OLD, options=options) as old,
        Client(cluster.url, prefix=elsewhere, options=options) as new,
    ):
        before = old.add("a", "proj.work", 60)
        assert new.adopt(OLD).adopted == ("a",)
        assert new.get("a") == before
        assert names(old) == []
