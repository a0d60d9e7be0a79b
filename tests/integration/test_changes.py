"""The change log: one record for every change of an entry, and none without a change."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

import habeat
from habeat import errors
from habeat.client import ChangeRecord, Client, Guard
from habeat.client.author import system_user
from habeat.core.change_record import Author, ChangesKept, Way
from habeat.core.lease import Fence
from habeat.store.change_log import PAGE
from tests.integration.scripts.bench import Bench
from tests.integration.test_cli import Shell
from tests.integration.test_reconcile import GOOD, Deploy, StandingLead, age, forget, prune
from tests.support.servers.redis_server import Server
from tests.unit.beat.conftest import make_app

PREFIX = "habeat:proj"
KEY = "{habeat:proj}:changes"
LAST = "{habeat:proj}:changes_last"


@pytest.fixture
def client(valkey: Server) -> Iterator[Client]:
    with Client(valkey.url(), prefix=PREFIX, by="ann") as made:
        yield made


def leader(server: Server) -> Bench:
    """The stores of a leader, as a beat puts them together."""
    bench = Bench(server, prefix=PREFIX)
    bench.entries = bench.entries.by_way(Way.BEAT_SCHEDULE)
    return bench


def acts(client: Client, name: str | None = None) -> list[str]:
    return [each.act for each in client.changes(name)][::-1]


def newest(client: Client, name: str) -> ChangeRecord:
    found = client.last_change(name)
    assert found is not None
    assert found == client.changes(name)[0]
    return found


def test_each_change_of_one_entry_has_one_record(client: Client) -> None:
    client.add("e", "tasks.run", 60)
    client.update("e", schedule=habeat.cron("0 8 * * *"), args=["secret"])
    client.pause("e", "deploy")
    client.resume("e")
    client.rename("e", "f")
    client.remove("f")
    assert acts(client) == [
        *("added", "changed", "paused", "resumed", "renamed", "renamed", "removed"),
    ]
    assert {each.by for each in client.changes()} == {"ann"}
    assert {each.way for each in client.changes()} == {"api"}
    assert "secret" not in repr(client.changes())


def test_a_record_has_the_fields_before_and_after(client: Client) -> None:
    entry = client.add("e", "tasks.run", 60, description="old")
    before = newest(client, "e").after
    client.update("e", description="new", kwargs={"token": "s3cret"})
    record = newest(client, "e")
    assert record.before == before != record.after
    assert set(record.fields) == {"description", "kwargs"}
    found = record.fields["description"]
    assert (found.before, found.after) == ("old", "new")
    assert not record.fields["kwargs"].kept
    assert entry.created is not None
    assert timedelta(0) <= record.at - entry.created < timedelta(minutes=5)


def test_a_pause_has_its_reason_and_its_end(client: Client) -> None:
    client.add("e", "tasks.run", 60)
    until = datetime(2100, 1, 1, tzinfo=UTC)
    client.pause("e", "why", until)
    fields = newest(client, "e").fields
    assert fields["paused"].after == "why"
    assert fields["paused_until"].after == "2100-01-01T00:00:00.000+00:00"
    client.resume("e")
    assert newest(client, "e").fields["paused"].before == "why"


def test_calls_that_change_nothing_leave_no_record(client: Client) -> None:
    client.add("e", "tasks.run", 60)
    client.add("e", "tasks.run", client.get("e").schedule, replace=True)
    client.update("e", description="")
    client.resume("e")
    client.trigger("e")
    with pytest.raises(errors.EntryExists):
        client.add("e", "tasks.run", 60)
    with pytest.raises(errors.RevisionConflict):
        client.update("e", rev=9, description="x")
    assert acts(client) == ["added"]


def test_calls_for_many_entries_leave_a_record_for_each(client: Client) -> None:
    many = [{"name": f"e{n}", "task": "t", "schedule": 60} for n in range(120)]
    client.add_many(many)
    client.pause_many(all=True)
    client.remove_many(prefix="e")
    counts = {act: acts(client).count(act) for act in ("added", "paused", "removed")}
    assert counts == {"added": 0, "paused": 0, "removed": 100}  # the newest hundred
    found = client.changes(limit=1_000)
    assert len(found) == 3 * 120
    assert sorted({each.entry for each in found}) == sorted(each["name"] for each in many)


def test_each_way_names_itself(client: Client, shell: Shell) -> None:
    client.add("e", "tasks.run", 60)
    document = client.export()
    client.remove("e")
    client.load(document)
    assert newest(client, "e").way == "load"
    assert newest(client, "e").by == "ann"
    shell.ok("pause", "e")
    record = newest(client, "e")
    assert (record.way, record.by) == ("cli", system_user())


def test_entries_that_are_adopted_are_recorded_on_both_sides(valkey: Server) -> None:
    with Client(valkey.url(), prefix="old") as old, Client(valkey.url(), prefix="new") as new:
        old.add("e", "tasks.run", 60)
        new.adopt("old")
        assert [(each.act, each.way) for each in new.changes()] == [("added", "adopt")]
        assert acts(old) == ["added", "paused", "removed"]


def test_a_shared_client_acts_for_its_users(client: Client) -> None:
    client.acting_as("bob").add("e", "tasks.run", 60)
    assert newest(client, "e").by == "bob"
    client.pause("e")
    assert newest(client, "e").by == "ann"
    client.acting_as(Author("eve", Way.ADMIN)).resume("e")
    assert (newest(client, "e").by, newest(client, "e").way) == ("eve", "admin")


def test_without_a_name_the_author_is_the_user_of_the_process(valkey: Server) -> None:
    with Client(valkey.url(), prefix=PREFIX) as client:
        client.add("e", "tasks.run", 60)
        assert newest(client, "e").by == system_user() != ""


@pytest.mark.parametrize("by", ["a\x1b[31m\nred", "‮evil", "x" * 10_000, "\udcff", "", "é 日本"])
def test_any_name_of_an_author_is_taken_and_can_be_printed(valkey: Server, by: str) -> None:
    with Client(valkey.url(), prefix=PREFIX, by=by) as client:
        client.add("e", "tasks.run", 60)
        found = newest(client, "e").by
    assert found.isprintable()
    assert len(found) <= 200 * 6
    assert bool(found) == bool(by)


@pytest.mark.parametrize("by", [1, b"ann", ["ann"], object()])
def test_an_author_that_is_no_text_is_refused(by: Any) -> None:
    with pytest.raises(errors.ValidationError, match="by"):
        Client("redis://localhost", prefix=PREFIX, by=by)


def test_the_records_can_be_limited_and_bounded_in_time(client: Client) -> None:
    client.add("e", "tasks.run", 60)
    client.add("f", "tasks.run", 60)
    assert len(client.changes(limit=1)) == 1
    assert client.changes(limit=1)[0].entry == "f"
    assert client.changes("e", since=timedelta(hours=1))
    assert not client.changes(since=datetime(2100, 1, 1, tzinfo=UTC))
    with pytest.raises(errors.ValidationError):
        client.changes(limit=0)


def test_a_removed_entry_keeps_its_records(client: Client) -> None:
    client.add("e", "tasks.run", 60)
    client.remove("e")
    assert acts(client, "e") == ["added", "removed"]
    assert client.changes("e")[0].fields["task"].before == "tasks.run"
    with pytest.raises(errors.EntryNotFound):
        client.last_change("e")


# -- what the leader does -------------------------------------------------------------------


def test_a_deploy_leaves_a_record_of_each_entry_that_it_changes(
    valkey: Server, client: Client
) -> None:
    bench, app = leader(valkey), make_app()
    lead = StandingLead(bench, bench.lead())
    Deploy(bench, app, 1, {"a": GOOD, "b": GOOD, "c": GOOD}).lead(lead)
    Deploy(bench, app, 2, {"a": GOOD, "b": {**GOOD, "schedule": 90}, "c": GOOD}).lead(lead)
    assert acts(client) == ["added", "added", "added", "changed"]
    record = newest(client, "b")
    assert (record.way, set(record.fields)) == ("beat_schedule", {"schedule"})


def test_a_write_that_only_moves_the_position_is_no_change(valkey: Server, client: Client) -> None:
    bench = leader(valkey)
    Deploy(bench, make_app(), 1, {"a": GOOD}).lead(StandingLead(bench, bench.lead()))
    age(bench, "a", 100_000)
    assert acts(client) == ["added"]


def test_a_pruned_entry_leaves_a_record_of_what_it_was(valkey: Server, client: Client) -> None:
    bench, app = leader(valkey), make_app()
    lead = StandingLead(bench, bench.lead())
    old = Deploy(bench, app, 1, {"gone": GOOD})
    new = Deploy(bench, app, 2, {"kept": GOOD})
    for made in (old, new):
        made.announce()
        made.lead(lead)
    forget(bench, old)
    prune(new, lead)
    record = client.changes("gone")[0]
    assert (record.act, record.way) == ("removed", "beat_schedule")
    assert record.fields["task"].before == GOOD["task"]


def test_a_deploy_that_changes_nothing_leaves_no_record(valkey: Server, client: Client) -> None:
    bench, app = leader(valkey), make_app()
    lead = StandingLead(bench, bench.lead())
    for generation in (1, 2):
        Deploy(bench, app, generation, {"a": GOOD}).lead(lead)
    assert acts(client) == ["added"]


# -- what tenants see ------------------------------------------------------------------------


def test_a_tenant_sees_the_changes_of_its_own_entries_only(valkey: Server, client: Client) -> None:
    client.add("a:e", "tasks.run", 60)
    client.add("b:e", "tasks.run", 60)
    with Client(valkey.url(), prefix=PREFIX, guard=Guard(prefix="a:")) as tenant:
        assert acts(tenant, "a:e") == ["added"]
        with pytest.raises(errors.EntryNotFound):
            tenant.changes("b:e")
        with pytest.raises(errors.EntryNotFound):
            tenant.last_change("b:e")
        with pytest.raises(errors.NotAllowed):
            tenant.changes()


def test_a_rename_does_not_show_a_tenant_the_name_of_anothers_entry(
    valkey: Server, client: Client
) -> None:
    client.add("b:secret", "tasks.run", 60)
    client.rename("b:secret", "a:e")
    with Client(valkey.url(), prefix=PREFIX, guard=Guard(prefix="a:")) as tenant:
        record = tenant.changes("a:e")[0]
        assert "b:secret" not in repr(record)
        assert record.fields["name"].after == "a:e"


def test_a_tenant_with_a_tag_sees_nothing_of_the_entrys_life_before_it(
    valkey: Server, client: Client
) -> None:
    client.add("e", "tasks.run", 60, tags=["b"], description="of b")
    client.remove("e")
    client.add("e", "tasks.run", 60, tags=["x"], description="of x")
    client.update("e", tags=["a"])
    client.update("e", description="of a")
    with Client(valkey.url(), prefix=PREFIX, guard=Guard(tag="a")) as tenant:
        assert acts(tenant, "e") == ["changed", "changed"]
        assert "of b" not in repr(tenant.changes("e"))


# -- bounds, and what others write into the key ------------------------------------------------


def test_the_leader_trims_the_log_by_age_and_length(valkey: Server) -> None:
    bench = Bench(valkey)
    admin, key = bench.admin, bench.keys.changes
    for _ in range(1_000):
        admin.xadd(key, {"entry": "e"})
    fence = Fence(bench.lead(), 60_000)
    bench.entries.sweep(fence, 10, ChangesKept(age_ms=10**9, length=300))
    assert 300 <= admin.xlen(key) < 500
    bench.entries.sweep(fence, 10, ChangesKept(age_ms=0, length=300))
    assert admin.xlen(key) <= 1


def test_what_another_program_wrote_into_the_log_is_shown_as_far_as_it_can_be(
    valkey: Server, client: Client
) -> None:
    admin = valkey.client()
    client.add("e", "tasks.run", 60)
    for fields in (b"nonsense", b"[1]", b'{"a": [1], "b": 5, "c": [1, 2]}', b"[" * 10_000):
        admin.xadd(KEY, {"entry": b"e\xff", "by": b"\xff\x1b", "fields": fields})
    admin.xadd(KEY, {"x": "y"})
    admin.hset(LAST, "e", "garbage")
    found = client.changes()
    assert len(found) == 6
    assert [set(each.fields) for each in found[1:5]] == [set(), {"c"}, set(), set()]
    assert client.last_change("e") is None


def test_a_foreign_key_in_the_place_of_the_log_is_moved_aside_before_anything_is_written(
    valkey: Server, client: Client
) -> None:
    admin = valkey.client()
    admin.set(KEY, "foreign")
    admin.set(LAST, "foreign")
    assert client.changes() == []
    client.add("e", "tasks.run", 60)
    assert acts(client) == ["added"]
    assert [key for key in admin.keys("*foreign*") if admin.get(key) == b"foreign"]


def test_more_records_than_a_page_are_read(valkey: Server, client: Client) -> None:
    client.add("e", "tasks.run", 60)
    admin = valkey.client()
    for number in range(PAGE + 5):
        admin.xadd(KEY, {"entry": f"other-{number}", "act": "changed"})
    assert acts(client, "e") == ["added"]


# -- the command line ---------------------------------------------------------------------------


def test_show_has_the_last_change(shell: Shell) -> None:
    shell.ok("add", "e", "tasks.run", "--every", "60")
    shell.ok("update", "e", "--every", "90")
    assert "last change" in shell.ok("show", "e")
    assert "→ every 90 seconds" in " ".join(shell.ok("show", "e").split())
    assert shell.json("show", "e")["last_change"]["act"] == "changed"


def test_history_shows_the_changes(shell: Shell) -> None:
    shell.ok("add", "e", "tasks.run", "--every", "60", "--kwargs", '{"token": "s3cret"}')
    shell.ok("pause", "e", "--reason", "why")
    out = shell.ok("history", "e", "--changes")
    assert out.index("paused") < out.index("added")
    assert system_user() in out
    assert "s3cret" not in out
    found = shell.json("history", "--changes", "--limit", "1")
    assert [each["act"] for each in found] == ["paused"]
    assert "older changes" in shell.ok("history", "--changes", "--limit", "1")
    shell.fails(2, "history", "--changes", "--follow")
    assert "no changes" in shell.ok("history", "nothing", "--changes")


@pytest.mark.parametrize("damaged", ["9" * 30 + "-0", "0-" + "9" * 20, "1-x", "-", "\u0663-1"])
def test_a_damaged_id_of_the_newest_record_is_as_none(
    client: Client, valkey: Server, damaged: str
) -> None:
    client.add("e", "tasks.run", 60)
    Bench(valkey, prefix=PREFIX).admin.hset(LAST, "e", damaged)
    assert client.last_change("e") is None
    assert client.explain("e").entry == "e"
