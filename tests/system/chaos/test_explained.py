"""The comparison of explanations with the recorder notices each kind of difference."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from habeat.schedules.schedule import moment
from tests.system.chaos.explained import Seen, differs

SLOT_MS = 1_795_968_000_000
PIDS = {"abc": "71", "def": "72"}
SEEN = Seen([SLOT_MS * 1_000 + 40_000], {"1795960000000:abc"}, "sent", "", SLOT_MS * 1_000 + 45_000)
FOUND: dict[str, Any] = {
    "outcome": "sent",
    "reason": "",
    "sentence": "fired at …",
    "effective": moment(SLOT_MS).isoformat(),
    "fired_at": moment(SLOT_MS + 40).isoformat(),
    "lateness_ms": 40,
    "lease_epoch": 1_795_960_000_000,
    "leader": "host pid 71",
}


def test_what_agrees_has_no_difference() -> None:
    assert differs(FOUND, SEEN, PIDS, atomic=True) == ""


@pytest.mark.parametrize(
    "change",
    [
        {"outcome": "late"},
        {"reason": "misfire: latest"},
        {"fired_at": moment(SLOT_MS + 900).isoformat(), "lateness_ms": 900},
        {"lateness_ms": 41},
        {"lease_epoch": 1_795_960_000_001},
        {"leader": "host pid 72"},
        {"leader": ""},
        {"sentence": "not fired: …"},
    ],
    ids=lambda change: "-".join(change),
)
def test_each_difference_is_noticed(change: dict[str, Any]) -> None:
    assert differs({**FOUND, **change}, SEEN, PIDS, atomic=True)


def test_a_slot_that_did_not_fire_may_have_no_message_and_one_that_did_must() -> None:
    paused = {**FOUND, "outcome": "skipped", "reason": "paused", "sentence": "not fired: skipped"}
    seen = replace(SEEN, came_us=[], outcome="skipped", reason="paused")
    assert differs(paused, seen, PIDS, atomic=True) == ""
    assert differs(paused, replace(seen, came_us=SEEN.came_us), PIDS, atomic=True)
    assert differs(FOUND, replace(SEEN, came_us=[]), PIDS, atomic=True)
