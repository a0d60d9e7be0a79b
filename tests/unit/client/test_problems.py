"""The problems that `health` prints are those that the monitoring guide explains."""

from __future__ import annotations

import re
from collections.abc import Iterator

from habeat.core.circuit import Circuit
from habeat.core.firing import Outcome
from habeat.core.health import Recorded
from habeat.core.other_schedulers import OtherScheduler
from tests import DOCS
from tests.unit.client.test_status import NOW_MS, NOW_US, status


def recorded(outcome: Outcome, ago_ms: int, reason: str = "") -> Recorded:
    return Recorded("digest", outcome, reason, NOW_MS - ago_ms)


def problems() -> Iterator[str]:
    sent = recorded(Outcome.SENT, 8_000)
    yield from status(holder=None, pttl_ms=-2, replicas={}, seen_ms={}).problems
    standbys = {"n1": NOW_MS, "n2": NOW_MS}
    yield from status(holder=None, pttl_ms=-2, seen_ms=standbys).problems
    yield from status(health={"beyond_grace": 3}).problems
    oldest = [("digest", NOW_MS - 9_000)]
    for seen in (
        {"overdue": oldest, "overdue_count": 3, "newest": [sent]},
        {"newest": [sent], "in_flight_since": NOW_MS - 9_000, "in_flight": 2},
        {"overdue": oldest, "newest": [Recorded("a", Outcome.SENT, "", NOW_MS, NOW_MS)]},
        {"newest": [recorded(Outcome.FAILED, 3_000, "refused"), sent]},
    ):
        yield from status(health=seen).problems
    yield from status(circuits={"digest": Circuit.opened(5, "refused", NOW_US // 1_000)}).problems
    yield from status(dead=2).problems
    other = OtherScheduler("redbeat", "redbeat::schedule", 38, shared=12, alive=True)
    facts = {"n1": {"others": [other.to_json()]}}
    yield from status(replicas=facts, entries=0, scheduled=0).problems
    yield from status(replicas=facts).problems
    shadow = {"dispatch": "shadow", "unseen": 40, "unseen_ms": 700_000}
    yield from status(replicas={"n1": shadow}).problems
    yield from status(meta={"claimed": "5", "settled": "3", "abandoned": "1"}).problems


def explained() -> Iterator[str]:
    page = (DOCS / "guides" / "monitoring.md").read_text()
    table = page.partition("| line | next step |\n|---|---|\n")[2].partition("\n\n")[0]
    for row in table.splitlines():
        yield from re.findall(r"`([^`]+)`", row.split(" | ")[0])


def test_the_guide_explains_each_problem_in_its_words() -> None:
    found = list(problems())
    lines = list(explained())
    assert len(lines) == len(found) == 13
    for line, problem in zip(lines, found, strict=True):
        parts = [re.escape(part) for part in line.split("…")]
        assert re.fullmatch(".*".join(parts), problem), (line, problem)
