"""Purging a prefix: all of habeat's keys go, and no other program's."""

from __future__ import annotations

import pytest

from habeat.client import Client, Guard
from habeat.errors import BeatsAlive, ForeignState, NotAllowed
from habeat.ports import Rendered
from habeat.store.prefixes import REGISTRY
from tests.integration.scripts.bench import Bench
from tests.integration.test_cli import Shell
from tests.support.servers.cluster import Cluster
from tests.support.servers.redis_server import Server

#: Keys of other programs, some of them close to ours.
FOREIGN = (
    "celery",
    "a queue named celery",
    "{habeat:proj}",
    "{habeat:proj}:celery",
    "{habeat:proj}:mine:1",
    "{habeat:proj}:entries2",
    "{habeat:proj}:foreign:due:1795000000000",
    "{habeat:proj2}:entries",
    "habeat:proj:entries",
)


def used(bench: Bench, client: Client) -> None:
    """A prefix that has been in use: entries, a ledger, marks, requests, a dead firing."""
    token = bench.lead()
    placed = bench.place("by hand")
    claim = bench.claim_of(placed, rendered=Rendered(b"{}"), delivery="at_most_once")
    assert bench.claim(token, claim, atomic=False) == ["ok"]
    for number in range(3):
        client.add(f"é {number}", "proj.tick", 60)
    client.trigger("é 1", request_id="my-id")
    client.pause("é 2", "why")
    bench.admin.set(bench.keys.entry_lateness("e"), 1)
    bench.admin.sadd(bench.keys.declared("f1"), "e")
    bench.admin.set(bench.keys.tasks, "{}")
    for name in FOREIGN:
        bench.admin.set(name, "another program's")
    bench.admin.hset(REGISTRY, "habeat:proj", "{}")


def stop(bench: Bench) -> None:
    bench.admin.delete(bench.keys.lease, bench.keys.replicas, bench.keys.seen)


def names(bench: Bench) -> set[str]:
    return {name.decode() for name in bench.admin.scan_iter("*")}


def test_all_of_habeats_keys_are_deleted_and_no_others(bench: Bench, client: Client) -> None:
    used(bench, client)
    stop(bench)
    before = names(bench)
    planned = client.purge(dry_run=True)
    assert names(bench) == before, "a dry run deletes nothing"
    assert (planned.deleted, planned.entries, planned.in_flight) == (False, 4, 1)
    done = client.purge()
    assert names(bench) == set(FOREIGN)
    assert (done.deleted, done.total) == (True, planned.total)
    assert set(done.kept) == {name for name in FOREIGN if name.startswith("{habeat:proj}:")}
    assert client.purge().total == 0, "a second purge finds nothing"


def test_a_prefix_with_characters_of_a_pattern_is_taken_literally(
    bench: Bench, valkey: Server
) -> None:
    bench.admin.set("{habeat:abc}:entries", "another prefix's")
    with Client(valkey.url(), prefix="habeat:[a-z]*?") as client:
        client.add("e", "proj.tick", 60)
        assert client.purge().entries == 1
    assert names(bench) == {"{habeat:abc}:entries"}


def test_on_a_cluster_the_node_of_the_prefix_is_scanned(cluster: Cluster) -> None:
    with Client(cluster.url, prefix="habeat:proj", options={"cluster": True}) as client:
        client.add("e", "proj.tick", 60)
        cluster.owner("{habeat:proj}:entries").admin.set("{habeat:proj}:celery", "a queue")
        done = client.purge()
        assert done.keys["entries"] == 1
        assert done.kept == ("{habeat:proj}:celery",)
        assert not list(client.list())


def test_nothing_is_deleted_while_a_beat_runs(bench: Bench, client: Client) -> None:
    used(bench, client)
    before = names(bench)
    with pytest.raises(BeatsAlive, match="1 beat of prefix habeat:proj runs: "):
        client.purge()
    assert names(bench) == before
    client.purge(force=True)
    assert names(bench) == set(FOREIGN)


def test_another_apps_schedule_is_not_deleted(bench: Bench, shell: Shell) -> None:
    with Client(shell.app) as before:
        used(bench, before)
    stop(bench)
    bench.admin.hset(bench.keys.meta, "app", "other")
    with Client(shell.app) as client, pytest.raises(ForeignState):
        client.purge(force=True)
    assert bench.admin.exists(bench.keys.meta)


def test_a_client_with_a_scope_may_not_purge(bench: Bench, valkey: Server) -> None:
    client = Client(valkey.url(), prefix="habeat:proj", guard=Guard(prefix="tenant:"))
    with client, pytest.raises(NotAllowed):
        client.purge()


def test_the_command_shows_and_asks_before_it_deletes(
    bench: Bench, client: Client, shell: Shell
) -> None:
    used(bench, client)
    assert shell("purge", "--yes").exit_code == 1, "a beat runs"
    stop(bench)
    shown = shell.ok("purge", "--dry-run")
    assert "would delete the" in shown
    assert "with 4 entries" in shown
    assert "entries: 1" in shown
    assert "1 claimed firing may not have been sent" in shown
    refused = shell("purge")
    assert refused.exit_code == 2, "without a terminal"
    assert "--yes" in refused.output
    assert shell.json("purge", "--yes")["deleted"] is True
    assert names(bench) == set(FOREIGN)
    assert "deleted the 0 keys of prefix habeat:proj" in shell.ok("purge", "--yes")
