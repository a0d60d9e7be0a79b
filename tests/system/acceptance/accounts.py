"""The accounting of a test: which slots there were, and what became of each.

The slots are computed from the stored definitions (creation, schedule, cursor), so the expectation
is independent of the messages that it is compared with.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.system.acceptance.arrivals import Arrival
from tests.system.acceptance.fleet import Fleet

LEFT = ("sent", "late")
OUTCOMES = (*LEFT, "skipped", "missed", "suppressed", "failed", "ambiguous")


@dataclass(frozen=True)
class Record:
    """One record of the ledger."""

    entry: str
    slot_ms: int
    last_ms: int
    count: int
    outcome: str
    reason: str
    late_ms: int
    epoch: int


def ledger(fleet: Fleet) -> list[Record]:
    """The whole ledger, oldest first, notes left out."""
    return [record for record in _all_records(fleet) if record.outcome != "note"]


def notes(fleet: Fleet) -> list[Record]:
    """The notes of the ledger, oldest first."""
    return [record for record in _all_records(fleet) if record.outcome == "note"]


def _all_records(fleet: Fleet) -> list[Record]:
    found: Any = fleet.client.xrange(fleet.key("ledger"))
    records = []
    for _, raw in found:
        fields = {key.decode(): value.decode() for key, value in raw.items()}
        records.append(
            Record(
                fields["entry"],
                int(fields["slot"]),
                int(fields["until"]),
                int(fields["count"]),
                fields["outcome"],
                fields["reason"],
                int(float(fields["late"])),
                int(fields["epoch"]),
            )
        )
    return records


def slots(fleet: Fleet) -> dict[str, list[int]]:
    """For each entry with a plain interval, every slot after its creation up to its cursor."""
    definitions: Any = fleet.client.hgetall(fleet.key("entries"))
    states: Any = fleet.client.hgetall(fleet.key("state"))
    found = {}
    for name, raw in definitions.items():
        definition = json.loads(raw)
        cursor_ms = int(states[name].split(b"|")[0])
        found[name.decode()] = _grid(definition, cursor_ms)
    return found


def _grid(definition: Mapping[str, Any], cursor_ms: int) -> list[int]:
    schedule = definition["schedule"]
    assert schedule["kind"] == "interval", schedule
    every_ms, offset_ms = int(schedule["every_ms"]), int(schedule.get("offset_ms", 0))
    created_ms = int(definition["created_ms"])
    first = (created_ms - offset_ms) // every_ms * every_ms + offset_ms + every_ms
    return list(range(first, cursor_ms + 1, every_ms))


def assert_every_slot_once(
    arrivals: Sequence[Arrival], expected: Mapping[str, Sequence[int]], *, repeats: int = 0
) -> Counter[tuple[str, int]]:
    """Each slot is in the broker once; up to `repeats` in all may be there again, with the same id.

    Returns how often each of the repeated ones came.
    """
    counted = Counter(arrival.firing for arrival in arrivals)
    wanted = {(entry, slot) for entry, run in expected.items() for slot in run}
    missing = sorted(wanted - counted.keys())
    foreign = sorted(counted.keys() - wanted)
    assert not missing, f"{len(missing)} of {len(wanted)} slots never came: {missing[:10]}"
    assert not foreign, f"{len(foreign)} messages are of no slot: {foreign[:10]}"
    assert_ids_are_stable(arrivals)
    again = Counter({firing: count for firing, count in counted.items() if count > 1})
    extra = sum(count - 1 for count in again.values())
    assert extra <= repeats, f"{extra} repeated (allowed {repeats}): {again.most_common(10)}"
    return again


def assert_ids_are_stable(arrivals: Iterable[Arrival]) -> None:
    """A firing has one task id, however often it came, and no two firings share one."""
    ids = defaultdict(set)
    for arrival in arrivals:
        ids[arrival.firing].add(arrival.task_id)
    torn = {firing: found for firing, found in ids.items() if len(found) > 1}
    assert not torn, torn
    assert len({next(iter(found)) for found in ids.values()}) == len(ids), "ids are shared"


def assert_ledger_accounts(
    records: Sequence[Record], expected: Mapping[str, Sequence[int]]
) -> None:
    """Every slot is in exactly one record; a run's count is the number of slots within it."""
    unaccounted, twice, miscounted = [], [], []
    by_entry = defaultdict(list)
    for record in records:
        by_entry[record.entry].append(record)
    for entry, run in expected.items():
        seen: Counter[int] = Counter()
        for record in by_entry[entry]:
            assert record.outcome in OUTCOMES, record
            within = [slot for slot in run if record.slot_ms <= slot <= record.last_ms]
            seen.update(within)
            if record.reason != "history lost" and len(within) != record.count:
                miscounted.append(record)
        unaccounted += [(entry, slot) for slot in run if seen[slot] == 0]
        twice += [(entry, slot) for slot in run if seen[slot] > 1]
    assert not unaccounted, f"{len(unaccounted)} slots are in no record: {unaccounted[:10]}"
    assert not twice, f"{len(twice)} slots are in several records: {twice[:10]}"
    assert not miscounted, f"{len(miscounted)} counts are wrong: {miscounted[:10]}"


def assert_counters_add_up(fleet: Fleet) -> None:
    """claimed = settled + abandoned + in flight."""
    meta = fleet.meta()
    in_flight = fleet.in_flight()
    claimed, settled, abandoned = (
        int(meta.get(name, 0)) for name in ("claimed", "settled", "abandoned")
    )
    assert claimed == settled + abandoned + in_flight, (meta, in_flight)
