"""The options of one firing are its own: what they were made from stays as it was."""

from __future__ import annotations

import copy
from typing import Any

from habeat.beat.message.send_path import options_for
from habeat.core.entry import Entry
from habeat.core.firing import Firing
from habeat.schedules import Interval
from tests.unit.beat.conftest import make_app

FIRING = Firing("a", 1_750_000_000_123, 1_750_000_000_623)


def test_what_is_given_is_not_changed() -> None:
    """Another firing of the same entry is made from the same dictionaries."""
    given: dict[str, Any] = {"headers": {"own": "yes"}, "queue": "q", "expires": 60}
    before = copy.deepcopy(given)
    entry = Entry("a", "task", Interval(1_000, 0), options=given)
    made = options_for(make_app(), entry, FIRING, given=given, task_id="id", lease_epoch=7)
    assert given == before
    assert made["headers"]["own"] == "yes"
    assert made["headers"]["habeat_slot"] == "2025-06-15T15:06:40.123Z"
    assert made["queue"] == "q"
