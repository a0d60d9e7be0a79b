"""Two releases side by side, as in a rolling deploy or a roll-back.

The older one is the last commit before definitions kept keys that a release does not know. Its
source comes from this repository's history, so the test needs a clone and not an archive.
"""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import pytest

import habeat
from habeat import errors
from tests import ROOT
from tests.support.servers.children import until
from tests.support.servers.needs import need
from tests.support.servers.processes import CeleryProcess
from tests.support.servers.redis_server import Server
from tests.system.acceptance.accounts import (
    assert_counters_add_up,
    assert_every_slot_once,
    assert_ledger_accounts,
    ledger,
    slots,
)
from tests.system.acceptance.apps import entries
from tests.system.acceptance.arrivals import Broker, redis_broker
from tests.system.acceptance.durations import pick
from tests.system.acceptance.fleet import Fleet, MakeFleet

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

OLDER = "fe292f0b29e5cff440eb4c93a8a8e292d01598b4"
ENTRIES = 60
KILLS = pick(4, 12)
#: What a leader of either release may have in flight when it is killed.
IN_FLIGHT = 51


@pytest.fixture(scope="module")
def older(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the older release's package."""
    made = subprocess.run(
        ["git", "archive", "--format=tar", OLDER, "src"], cwd=ROOT, capture_output=True
    )
    need("the older release", made.returncode == 0, "clone the repository with its history")
    folder = tmp_path_factory.mktemp("older")
    with tarfile.open(fileobj=io.BytesIO(made.stdout)) as archive:
        archive.extractall(folder, filter="data")
    return folder / "src"


class Releases:
    """A fleet of both releases; knows which beat is of which."""

    def __init__(self, fleet: Fleet, older: Path) -> None:
        self.fleet = fleet
        self.env = {"PYTHONPATH": os.pathsep.join((str(fleet.folder), str(older)))}
        self._older: set[int] = set()
        self.led: list[bool] = []

    def start_one(self, *, older: bool) -> CeleryProcess:
        beat = self.fleet.start_one(env=self.env if older else None)
        if older:
            self._older.add(beat.pid)
        return beat

    def is_older(self, beat: CeleryProcess) -> bool:
        return beat.pid in self._older

    def kill_leader(self) -> None:
        """Kill it, and start another of the same release in its place."""
        leader = self.fleet.wait_for_leader()
        self.led.append(self.is_older(leader))
        self.fleet.kill(leader)
        self.fleet.wait_for_leader(other_than=leader)
        self.start_one(older=self.is_older(leader))
        self.fleet.settle(4)

    def lead(self, *, older: bool) -> None:
        """Kill leaders until one of this release leads."""
        for _ in range(12):
            if self.is_older(self.fleet.wait_for_leader()) == older:
                return
            self.kill_leader()
        raise AssertionError(f"none of that release comes to lead\n{self.fleet.logs()}")

    def client(self, code: str) -> str:
        """What the older release's client prints."""
        script = (
            f"import habeat, json\nclient = habeat.Client({self._url!r}, prefix='habeat:proj')\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", script + code],
            env={**os.environ, **self.env},
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    @property
    def _url(self) -> str:
        port = self.fleet.client.connection_pool.connection_kwargs["port"]
        return f"redis://127.0.0.1:{port}/0"


def test_each_slot_once_while_both_lead_in_turn(
    make_fleet: MakeFleet, valkey: Server, broker: Broker, older: Path
) -> None:
    fleet = make_fleet(valkey, broker.conf, entries(ENTRIES))
    both = Releases(fleet, older)
    for is_older in (True, True, False, False):
        both.start_one(older=is_older)
    fleet.settle(4)
    began_s = time.time()
    for kill in range(KILLS):
        both.lead(older=kill % 2 == 0)
        time.sleep(2)
        both.kill_leader()
    lasted_s = time.time() - began_s
    fleet.stop()
    assert set(both.led) == {True, False}
    expected = slots(fleet)
    assert len(expected) == ENTRIES
    assert min(len(run) for run in expected.values()) >= lasted_s - 3
    atomic = not str(broker.conf["broker_url"]).startswith("amqp")
    repeats = 0 if atomic else len(both.led) * IN_FLIGHT
    assert_every_slot_once(broker.take(), expected, repeats=repeats)
    assert_ledger_accounts(ledger(fleet), expected)
    assert_counters_add_up(fleet)


@pytest.mark.parametrize("older_leads", [True, False], ids=["older leads", "newer leads"])
def test_entries_and_requests_of_either_release_are_served(
    make_fleet: MakeFleet, valkey: Server, older: Path, older_leads: bool
) -> None:
    broker = redis_broker(valkey)
    fleet = make_fleet(valkey, dict(broker.conf))
    both = Releases(fleet, older)
    for is_older in (True, True, False, False):
        both.start_one(older=is_older)
    fleet.settle(4)
    both.lead(older=older_leads)
    with habeat.Client(valkey.url(), prefix="habeat:proj") as client:
        client.add("new", "proj.work", 1, tags=["t"])
        both.client("client.add('old', 'proj.work', 1, tags=['t'])")
        assert both.client("print(*sorted(e.name for e in client.list(tags=['t'])))") == "new old"
        assert sorted(entry.name for entry in client.list(tags=["t"])) == ["new", "old"]
        assert sorted(entry.name for entry in client.list(prefix="o")) == ["old"]
        client.update("old", description="by the newer")
        both.client("client.update('new', description='by the older')")
        client.add("idle", "proj.work", 3600)
        client.trigger("idle")
        both.client("client.trigger('idle')")
        both.client("client.pause('old', 'x'); client.resume('old')")
        client.pause("new", "x")
        client.resume("new")
        until(
            lambda: (
                len(client.history("idle")) >= 2
                and all(len(client.history(name)) >= 4 for name in ("new", "old"))
            ),
            20,
            lambda: f"{client.history()}\n{fleet.logs()}",
        )
        # An older leader says nowhere on which host it runs, so no host is shown.
        (sent,) = client.history("old", limit=1, outcome="sent")
        assert (sent.host is None) == older_leads
        assert all(event.by.host for event in client.events(code="leader_acquired"))
        found = json.loads(both.client("print(json.dumps(client.get('new').description))"))
        assert found == "by the older"
        assert client.get("old").description == "by the newer"
        both.client("client.rename('new', 'renamed'); client.remove('old')")
        with pytest.raises(errors.EntryNotFound):
            client.get("old")
        assert [entry.name for entry in client.list(tags=["t"])] == ["renamed"]
        assert {entry.name for entry in client.list()} == {"renamed", "idle"}
        client.remove("renamed")
        assert both.client("print(*[e.name for e in client.list()])") == "idle"
    fleet.stop()
    assert_counters_add_up(fleet)


def test_keys_of_a_newer_release_outlive_a_leader_of_this_one(
    make_fleet: MakeFleet, valkey: Server
) -> None:
    fleet = make_fleet(valkey, dict(redis_broker(valkey).conf))
    fleet.start(1)
    with habeat.Client(valkey.url(), prefix="habeat:proj") as client:
        client.add("e", "proj.work", 1)
        stored = json.loads(fleet.client.hget(fleet.key("entries"), "e"))  # type: ignore[arg-type]
        marked = json.dumps({**stored, "moon": "full"})
        fleet.client.hset(fleet.key("entries"), "e", marked)
        until(lambda: len(client.history("e")) >= 3, 20, fleet.logs)
        client.update("e", description="x")
        assert client.get("e").extra == {"moon": "full"}
