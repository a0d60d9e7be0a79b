"""The problems that `health` prints are those that the monitoring guide explains."""

from __future__ import annotations

import re
from collections.abc import Iterator

from habeat.client.silence import silence
from habeat.core.circuit import Circuit
from habeat.core.firing import Outcome
from habeat.core.other_schedulers import OtherScheduler
from habeat.store.inspection import Record
from tests import DOCS
from tests.unit.client.test_status import NOW_MS, NOW_US, status


class Newest:
    """What Redis knows of the last records, and of what waits."""

    def __init__(self, records: list[Record], overdue: int = 0, in_flight: int = 0) -> None:
        self._records = records
        self._overdue = overdue
        self._in_flight = in_flight

    def newest(self, count: int) -> list[Record]:
        return self._records

    def overdue(self, until_ms: int) -> int:
        return self._overdue

    def has_waited_in_flight(self, until_ms: int) -> bool:
        return self._in_flight > 0

    def sentence(self) -> str:
        return silence(self, NOW_MS, self._in_flight)  # type: ignore[arg-type]


def record(outcome: Outcome, ago_ms: int, reason: str = "") -> Record:
    at_ms = NOW_MS - ago_ms
    return Record("digest", at_ms, outcome, reason, 1, at_ms, 1, 0, 1, at_ms)


def problems() -> Iterator[str]:
    sent = record(Outcome.SENT, 8_000)
    yield from status(holder=None, pttl_ms=-2, replicas={}, seen_ms={}).problems
    standbys = {"n1": NOW_MS, "n2": NOW_MS}
    yield from status(holder=None, pttl_ms=-2, seen_ms=standbys).problems
    yield from status(beyond_grace=3).problems
    yield Newest([sent], overdue=3).sentence()
    yield Newest([record(Outcome.FAILED, 1_000, "refused"), sent]).sentence()
    yield Newest([sent], in_flight=2).sentence()
    yield from status(circuits={"digest": Circuit.opened(5, "refused", NOW_US // 1_000)}).problems
    yield from status(dead=2).problems
    other = OtherScheduler("redbeat", "redbeat::schedule", 38, shared=12, alive=True)
    facts = {"n1": {"others": [other.to_json()]}}
    yield from status(replicas=facts, entries=0, due=0).problems
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
    assert len(lines) == len(found) == 12
    for line, problem in zip(lines, found, strict=True):
        parts = [re.escape(part) for part in line.split("…")]
        assert re.fullmatch(".*".join(parts), problem), (line, problem)
