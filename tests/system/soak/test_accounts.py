"""The soak's own accounting, on histories of a few slots: it finds each thing that may be wrong."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from tests.system.soak.accounts import Accounts, Copy, Record
from tests.system.soak.explaining import Inflicted, unexplained
from tests.system.soak.lives import Life
from tests.system.soak.minutes import Minute, Scrape, growth, percentile
from tests.system.soak.report import MISSED, Report
from tests.verification.history.events import Kind

SECOND = 1_000


def sent(slot_s: int, entry: str = "a") -> Record:
    return Record(entry, slot_s * SECOND, slot_s * SECOND, 1, "sent")


def run(first_s: int, last_s: int, count: int, outcome: str = "missed") -> Record:
    return Record("a", first_s * SECOND, last_s * SECOND, count, outcome)


def accounts(records: list[Record], messages: list[int]) -> Accounts:
    """An entry of 10 s from 5 s on, whose cursor is at 60 s at the end: 10, 20 … 60."""
    found = Accounts({"a": Life.begun(10 * SECOND, 0, 5 * SECOND)})
    for record in records:
        found.recorded(record)
    for slot_s in messages:
        found.arrived("a", slot_s * SECOND, 1, slot_s)
    return found


def close(found: Accounts) -> int:
    return found.close({"a": 60 * SECOND})


def test_all_is_well() -> None:
    records = [sent(10), run(20, 40, 3), sent(50), sent(60)]
    found = accounts(records, [10, 50, 60])
    assert close(found) == 6
    assert (found.problems, found.copies, found.messages) == ([], [], 3)
    assert found.outcomes == {"sent": 3, "missed": 3}


ALL = [10, 20, 30, 40, 50, 60]


def each(*slots: int) -> list[Record]:
    return [sent(slot) for slot in slots]


#: Records, messages, and a part of what has to be said of them.
WRONG: dict[str, tuple[list[Record], list[int], str]] = {
    "a slot in no record": (each(*ALL[:-1]), ALL[:-1], "a@60000 is in no record"),
    "one in the middle": ([run(10, 20, 2), run(40, 60, 3)], [], "a@30000 is in no record"),
    "a slot twice": (each(*ALL, 30), ALL, "a@30000 (sent) stands in the ledger twice"),
    "sent and in a run": ([*each(*ALL), run(30, 30, 1)], ALL, "a@30000 is in 2 records"),
    "a run that counts wrong": (
        [run(10, 40, 3), *each(50, 60)],
        [50, 60],
        "counts 3 slots, and there are 4",
    ),
    "an instant that is no slot": (each(*ALL, 33), [*ALL, 33], "a@33000, which is no slot"),
    "a slot after the cursor": (each(*ALL, 70), [*ALL, 70], "a@70000, which is no slot"),
    "a slot before its creation": (each(0, *ALL), [0, *ALL], "a@0, which is no slot"),
    "a record without message": (each(*ALL), ALL[1:], "a@10000 is recorded as sent"),
    "a message without a record": (
        [run(10, 10, 1), *each(*ALL[1:])],
        ALL,
        "a message came for a@10000",
    ),
    "an entry that nobody made": (
        [*each(*ALL), sent(10, "b")],
        ALL,
        "something is recorded of b",
    ),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_it_finds(wrong: str) -> None:
    records, messages, fields = WRONG[wrong]
    found = accounts(records, messages)
    close(found)
    assert any(fields in problem for problem in found.problems), found.problems


def test_another_period_begins_where_the_old_one_ends() -> None:
    found = accounts([sent(10), run(20, 20, 1, "skipped"), sent(39), sent(46), sent(53), sent(60)],
                     [10, 39, 46, 53, 60])  # fmt: skip
    found.lives["a"].changed(7 * SECOND, 4 * SECOND, 25 * SECOND)
    close(found)
    assert found.problems == ["slot a@32000 is in no record of the ledger"]


@pytest.mark.parametrize(("last", "well"), [(20, False), (30, True), (40, True), (50, False)])
def test_a_removal_happens_within_a_span(last: int, well: bool) -> None:
    slots = range(10, last + 1, 10)
    found = accounts([sent(slot) for slot in slots], list(slots))
    found.lives["a"].ended(35 * SECOND, 41 * SECOND)
    found.close({})
    assert (found.problems == []) is well


def test_an_entry_that_has_vanished_is_reported() -> None:
    found = accounts([], [])
    found.close({})
    assert found.problems == ["entry a has no cursor"]


# -- messages that came twice -----------------------------------------------------------------


def test_a_message_that_comes_again_is_a_copy() -> None:
    found = accounts([sent(s) for s in ALL], [*ALL, 30])
    close(found)
    assert found.problems == []
    assert found.copies == [Copy("a", 30_000, 30, 1, 1)]


COPY = Copy("a", 30_000, 33.0, 1, 2)
HOLDERS = {1: "old", 2: "new"}


def fault(kind: Kind, start_s: float, end_s: float, *victims: str) -> Inflicted:
    return Inflicted(kind, kind.name, start_s, end_s, frozenset(victims))


EXPLAINED: dict[str, tuple[Inflicted, Callable[[bool], bool]]] = {
    "the sender was killed": (fault(Kind.KILL, 30.2, 30.2, "old"), lambda outbox: outbox),
    "another was killed": (fault(Kind.KILL, 30.2, 30.2, "third"), lambda outbox: False),
    "the sender was killed, long ago": (fault(Kind.KILL, 20, 20, "old"), lambda outbox: False),
    "the sender was killed, afterwards": (fault(Kind.KILL, 40, 40, "old"), lambda outbox: False),
    "a polite stop": (fault(Kind.TERM, 30.2, 31, "old"), lambda outbox: False),
    "Redis was down": (fault(Kind.REDIS_DOWN, 29, 32), lambda outbox: outbox),
    "pub/sub was cut": (fault(Kind.PUBSUB_CUT, 30, 30), lambda outbox: False),
    "an edit": (fault(Kind.EDIT, 30, 31), lambda outbox: False),
}


@pytest.mark.parametrize("outbox", [True, False])
@pytest.mark.parametrize("why", EXPLAINED)
def test_only_a_fault_that_can_explains_a_copy(why: str, outbox: bool) -> None:
    inflicted, may = EXPLAINED[why]
    found = unexplained([COPY], [inflicted], HOLDERS, outbox=outbox)
    assert (found == []) is may(outbox), found


# -- figures ----------------------------------------------------------------------------------


def scrape(at_s: float, **fields: int | str) -> Scrape:
    counters = {"claimed": 10, "settled": 7, "abandoned": 1, "in_flight": 2}
    counts = {"entries": 5, "due": 5, "overdue": 0, "queue": 0}
    figures = {**counters, **counts, "leader": "1:x", "redis": 100 << 20, "rss": 50 << 20}
    return Scrape(at_s, **{**figures, **fields})  # type: ignore[arg-type]


def test_the_counters_have_to_add_up() -> None:
    assert scrape(0).difference == 0
    assert scrape(0, claimed=11).difference == 1
    assert scrape(0, in_flight=3).difference == -1


def test_growth_is_that_of_the_last_third_over_the_first() -> None:
    level = [scrape(at) for at in range(30)]
    assert not any(found.grows for found in growth(level))
    leaking = [scrape(at, rss=(50 + 2 * at) << 20) for at in range(30)]
    assert [found.what for found in growth(leaking) if found.grows] == ["rss"]
    swelling = [scrape(at, redis=(100 + 4 * at) << 20) for at in range(30)]
    assert [found.what for found in growth(swelling) if found.grows] == ["redis"]


def test_a_minute_in_figures() -> None:
    minute = Minute(3, [scrape(0, overdue=2), scrape(1, leader="2:y")], [5, 1, 9], ["kill"], 1)
    row = minute.row()
    assert (row["fired"], row["p50_ms"], row["p99_ms"], row["max_ms"]) == (3, 5, 9, 9)
    assert (row["overdue"], row["unseen"], row["faults"]) == (2, 1, "kill")
    assert row["leaders, one after another"] == 2
    assert percentile(list(range(1, 101)), 99) == 99
    assert percentile([], 50) == 0


def test_what_is_missed_is_explained_where_there_is_any() -> None:
    report = Report(datetime(2026, 1, 1, tzinfo=UTC), 1.0, 10, 1, "atomic", where={})
    assert MISSED not in report.text()
    report.figures = {"slots missed": 3}
    assert MISSED in report.text()
