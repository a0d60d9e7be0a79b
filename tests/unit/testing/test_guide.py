"""The Python of docs/guides/testing.md runs as it stands there, top to bottom."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

from celery.schedules import crontab

from habeat.cli.planned import plan_lines
from habeat.client.change_plan import SavedSchedule, Window, compare_schedules
from habeat.entries.draft import new_entry
from habeat.testing import Clock, ManualScheduler
from tests import DOCS

GUIDE = DOCS / "guides" / "testing.md"


def test_the_examples_of_the_guide_run() -> None:
    blocks = re.findall(r"^```python\n(.*?)^```", GUIDE.read_text(), re.DOTALL | re.MULTILINE)
    assert len(blocks) == 5
    names: dict[str, Any] = {"__name__": "example"}
    for block in blocks:
        exec(compile(block, GUIDE.name, "exec", dont_inherit=True), names)
    clock = Clock("2026-01-01 00:00")
    scheduler = ManualScheduler(names["app"], clock=clock)
    names["test_the_night_when_the_clocks_change"](clock, scheduler)


def test_the_plan_that_the_guide_shows_is_what_is_printed() -> None:
    sides = []
    for minute in (0, 30):
        given = {"task": "proj.clean_up", "schedule": crontab(hour=2, minute=minute)}
        entry = new_entry("nightly", given, "Europe/Berlin")
        sides.append(SavedSchedule.of({"nightly": entry}, {}, {}))
    start_ms = int(datetime(2026, 3, 2, tzinfo=UTC).timestamp() * 1_000)
    window = Window(start_ms, start_ms + 35 * 86_400_000)
    plan = compare_schedules(*sides, window, most_per_second=50, most_per_minute=500)
    shown = [line for line, _ in plan_lines(plan)]
    assert "\n".join([*shown, "", f"digest: {plan.digest}"]) in GUIDE.read_text()
