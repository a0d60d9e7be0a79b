"""Sentry's crons integration patches `Scheduler.apply_entry`; it keeps working.

Sentry patches Celery for the whole process, so this runs in one of its own.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest

pytest.importorskip("sentry_sdk")

PROGRAM = """
import json, sys
import sentry_sdk
from sentry_sdk.integrations.celery import CeleryIntegration
from sentry_sdk.transport import Transport

captured = []

class Dummy(Transport):
    def capture_envelope(self, envelope):
        for item in envelope.items:
            if item.type == "check_in":
                captured.append(item.payload.json)

sentry_sdk.init(
    dsn="http://key@localhost:1/1", transport=Dummy,
    integrations=[CeleryIntegration(monitor_beat_tasks=True)],
)

from celery.beat import Scheduler
patched = Scheduler.apply_entry
calls = []

def watched(*args, **kwargs):
    calls.append([len(args), sorted(kwargs)])
    return patched(*args, **kwargs)

Scheduler.apply_entry = watched

from celery.schedules import crontab
from tests.unit.beat.conftest import make_app
from tests.unit.beat.test_send_path import Bench, head
from habeat.schedules import Cron

app = make_app()
bench = Bench(app, {
    "a": {"task": "proj.add", "schedule": 60, "args": (1, 2)},
    "b": {"task": "proj.add", "schedule": crontab(minute=5), "args": (1, 2)},
    "c": {"task": "proj.add", "schedule": Cron("0 8 * * 7", tz="Asia/Tokyo"), "args": (1, 2)},
    "d": {"task": "proj.add", "schedule": Cron("0 0 L * *"), "args": (1, 2)},
})
headers = {}
for name in "abcd":
    (message,) = bench.render(name)
    headers[name] = head(message)
sentry_sdk.flush()
print(json.dumps({"calls": calls, "headers": headers, "check_ins": captured}, default=str))
"""


@pytest.fixture(scope="module")
def fields() -> dict[str, object]:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_apply_entry_is_called_as_sentry_unpacks_it(fields: dict[str, list[object]]) -> None:
    """The scheduler and the entry, by position; Sentry's patch takes just these two."""
    assert fields["calls"] == [[2, ["producer"]]] * 4


def test_sentrys_headers_arrive_beside_ours(
    fields: dict[str, dict[str, dict[str, object]]],
) -> None:
    for name in "ab":
        headers = fields["headers"][name]
        assert headers["sentry-monitor-slug"] == name
        assert headers["sentry-monitor-check-in-id"]
        assert headers["habeat_entry"] == name
        assert headers["celery_beat_task"] is True


def test_a_check_in_has_the_entrys_own_schedule_and_zone(
    fields: dict[str, list[dict[str, Any]]],
) -> None:
    shown = {each["monitor_slug"]: each["monitor_config"] for each in fields["check_ins"]}
    zones = {name: config["timezone"] for name, config in shown.items()}
    assert {name: config["schedule"] for name, config in shown.items()} == {
        "a": {"type": "interval", "value": 1, "unit": "minute"},
        "b": {"type": "crontab", "value": "5 * * * *"},
        "c": {"type": "crontab", "value": "0 8 * * 0"},
    }, "nothing is shown for a schedule that Sentry cannot express"
    assert zones["c"] == "Asia/Tokyo"
