"""From RedBeat to habeat under load: 500 entries of every kind, and no slot missed or doubled."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from celery import Celery
from celery.schedules import crontab, schedule

from habeat.migrate.sources.redbeat.decode import last_run
from habeat.schedules import Crontab, RRule, Schedule
from tests.support.redbeat import redbeat
from tests.support.servers.children import until
from tests.support.servers.processes import CeleryProcess, Processes
from tests.support.servers.redis_server import Server
from tests.system.acceptance.fleet import Fleet, MakeFleet
from tests.system.migrate.runs import KEY, NOTING, TASK, Left, Next, noted, problems

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

AWKWARD = ("a b", "ä:ö", "x*[?]", 'qu"ote', "😀 end ", "1", "$(reboot)")
#: How long each of the two sends before it is stopped.
SENDING_S = 8
#: The longest wait for anything, on a busy machine.
WAIT_S = 120
MIGRATE = ("habeat", "migrate", "--from", "redbeat")
#: Declared in code: their rhythm here follows from their names.
DECLARED_S = (2, 5, 7)


@dataclass(frozen=True)
class Kind:
    """One entry, for RedBeat; and its slots, for the checker."""

    given: Any
    following: Next
    enabled: bool = True


def of(slots: Schedule) -> Next:
    return slots.next_after_ms


def period(seconds: int, **more: Any) -> Kind:
    return Kind(schedule(seconds), lambda at_ms: at_ms + seconds * 1_000, **more)


def entries(now: datetime) -> dict[str, Kind]:
    """About 470 entries, of which RedBeat sends some 45 a second, and more at a full minute.

    The rules have slots every few seconds by the clock, so some are within any cut.
    """
    from redbeat.schedules import rrule

    start = now.replace(microsecond=0) - timedelta(minutes=1)

    def rule(every_s: int) -> Kind:
        slots = RRule(f"FREQ=SECONDLY;INTERVAL={every_s}", "UTC", start)
        return Kind(rrule("SECONDLY", dtstart=start, interval=every_s), of(slots))

    def once(in_s: float) -> Kind:
        at = (now + timedelta(seconds=in_s)).replace(microsecond=0)
        slots = RRule("FREQ=DAILY;COUNT=1", "UTC", at)
        return Kind(rrule("DAILY", dtstart=at, count=1), of(slots))

    minutely = Kind(crontab(), of(Crontab(tz="UTC")))
    found = {f"p{every}-{at:03}": period(every) for every in (3, 5, 11) for at in range(50)}
    found |= {f"cron-{at:03}": minutely for at in range(120)}
    found |= {
        f"nightly-{at:03}": Kind(crontab(hour=3), of(Crontab(0, 3, tz="UTC"))) for at in range(80)
    }
    found |= {f"rule{every}-{at}": rule(every) for every in (3, 4) for at in range(20)}
    found |= {f"off-{at:02}": period(2, enabled=False) for at in range(40)}
    found |= {f"once-{in_s:02}": once(in_s) for in_s in range(4, 36)}
    return found | {name: period(3) for name in AWKWARD}


class Switch:
    """The app, its two kinds of beat and its worker."""

    def __init__(self, fleet: Fleet, processes: Processes, app: Celery, admin: Any) -> None:
        self.fleet, self.processes, self.app, self.admin = fleet, processes, app, admin
        self.kinds: dict[str, Kind] = {}

    def save(self) -> None:
        self.kinds = entries(datetime.now(UTC))
        for name, kind in self.kinds.items():
            entry = redbeat().RedBeatSchedulerEntry(
                name, TASK, kind.given, args=[name], enabled=kind.enabled, app=self.app
            )
            entry.last_run_at = None
            entry.save()

    def redbeat(self) -> CeleryProcess:
        return self.processes.beat(
            "proj",
            ["-l", "WARNING", "--max-interval", "1"],
            None,
            self.fleet.folder,
            scheduler="redbeat.RedBeatScheduler",
        )

    def migrate(self, *options: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "celery", "-A", "proj", *MIGRATE, *options],
            cwd=self.fleet.folder,
            capture_output=True,
            text=True,
            timeout=WAIT_S,
        )

    def left(self) -> dict[str, Left]:
        """What RedBeat left behind: last runs and counts."""
        found: dict[str, Left] = {}
        for name, kind in self.kinds.items():
            at, count = last_run(self.admin.hget(f"redbeat:{name}", "meta"))
            last_ms = None if at is None else int(at.timestamp() * 1_000)
            if last_ms is None and kind.enabled:  # it has not run yet: all slots are habeat's
                last_ms = 0
            found[name] = Left(last_ms if kind.enabled else None, count, kind.following)
        return found

    def declared(self) -> Iterator[tuple[str, int, int, int]]:
        """The entries of code: name, period, last run of RedBeat's, and its count."""
        for every in DECLARED_S:
            name = f"code-{every}"
            at, count = last_run(self.admin.hget(f"redbeat:{name}", "meta"))
            assert at is not None
            yield name, every * 1_000, int(at.timestamp() * 1_000), count


@pytest.fixture
def switch(make_fleet: MakeFleet, processes: Processes, valkey: Server) -> Iterator[Switch]:
    redbeat()
    conf = {
        "broker_url": valkey.url(1),
        "redbeat_redis_url": valkey.url(),
        "redbeat_lock_timeout": 60,  # RedBeat ends if one turn takes longer
        "beat_max_loop_interval": 1,
        "worker_prefetch_multiplier": 50,
        "habeat_misfire_grace": 600,  # a stall of the machine between the beats is no failure
    }
    declared = ", ".join(
        f'"code-{every}": {{"task": {TASK!r}, "schedule": {every}, "args": ("code-{every}",)}}'
        for every in DECLARED_S
    )
    fleet = make_fleet(valkey, conf, f"{{{declared}}}", more=NOTING.format(url=valkey.url(2)))
    app = Celery("proj", broker=valkey.url(1), set_as_current=False)
    app.conf.redbeat_redis_url = valkey.url()
    yield Switch(fleet, processes, app, valkey.client())
    app.close()


def test_the_cut_from_redbeat(switch: Switch, valkey: Server) -> None:
    fleet, runs = switch.fleet, valkey.client(2)
    switch.save()
    theirs = switch.redbeat()
    switch.processes.worker("proj", ["-l", "WARNING", "-P", "solo"], None, fleet.folder)
    until(lambda: runs.llen(KEY) > 600, WAIT_S, fleet.logs)
    before = switch.migrate("--apply")
    assert (before.returncode, "stop it first" in before.stderr) == (1, True), before.stderr
    time.sleep(SENDING_S / 2)
    theirs.term()
    theirs.wait(WAIT_S)
    left, declared = switch.left(), list(switch.declared())

    tried = switch.migrate()
    assert tried.returncode == 0, tried.stdout[-3_000:] + tried.stderr
    assert "nothing was written" in tried.stdout
    done = switch.migrate("--apply", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    fleet.start(2)
    time.sleep(SENDING_S)
    until_ms = int(time.time() * 1_000) - 1_000
    fleet.stop()
    until(lambda: valkey.client(1).llen("celery") == 0, WAIT_S, "all messages were taken")
    until(quiet(runs), WAIT_S, "all messages were run")

    found = noted(runs)
    wrong = list(problems(found, left, until_ms))
    assert not wrong, f"{len(wrong)} problems: " + "\n".join(wrong[:20])
    for name, every_ms, last_ms, count in declared:
        slots = found[name].slots_ms
        assert len(found[name].theirs_ms) >= count - 1, name
        assert every_ms / 2 <= slots[0] - last_ms < every_ms * 1.5, name
        assert slots == list(range(slots[0], slots[-1] + 1, every_ms)), name
    states: Any = fleet.client.hgetall(fleet.key("state"))
    for name, kept in left.items():
        if (state := states.get(name.encode())) is not None:
            fired = int(state.rsplit(b"|", 1)[1])
            assert fired == kept.count + len(found[name].slots_ms), name
    rows = {row["name"]: row["action"] for row in json.loads(done.stdout)["rows"]}
    assert all(rows[name] == "carry" for name in AWKWARD)


def quiet(runs: Any) -> Any:
    seen = [-1]

    def is_quiet() -> bool:
        before, seen[0] = seen[0], int(runs.llen(KEY))
        time.sleep(0.5)
        return before == seen[0]

    return is_quiet
