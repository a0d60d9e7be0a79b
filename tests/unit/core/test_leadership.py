"""How a change of leader reads."""

from __future__ import annotations

import pytest

from habeat.core.leadership import CAUSES, where, why_led


@pytest.mark.parametrize(
    ("cause", "why", "said"),
    [
        ("crash", "", "web-1 pid 7 crashed; gap 912 ms"),
        ("expired", "", "the lease of web-1 pid 7 expired; gap 912 ms"),
        ("released", "stop", "web-1 pid 7 was stopped; gap 912 ms"),
        ("released", "", "web-1 pid 7 gave up its lease; gap 912 ms"),
        ("released", "by a later release", "web-1 pid 7 gave up its lease; gap 912 ms"),
        ("of a later release {}", "", "web-1 pid 7: of a later release {}; gap 912 ms"),
    ],
)
def test_it_names_the_leader_before_and_the_gap(cause: str, why: str, said: str) -> None:
    assert why_led("web-1 pid 7", cause, why, 912) == said


def test_without_a_leader_before_it_says_how_it_came_to_lead() -> None:
    assert why_led("", "first", "", None) == CAUSES["first"]
    assert why_led("{} pid 7", "crash", "", None) == "{} pid 7 crashed"


def test_a_replica_without_a_host_is_named_by_its_id() -> None:
    assert where("web-1", None, "aa") == "web-1 pid ?"
    assert where("", None, "aa") == "replica aa"
    assert where("", None, "") == ""
