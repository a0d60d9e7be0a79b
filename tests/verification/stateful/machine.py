"""The machine without its rules: a world, a model, and how the two are compared."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant

from habeat import errors
from tests.verification.stateful import catching_up
from tests.verification.stateful.comparing import (
    assert_same_entry,
    assert_same_ledger,
    assert_same_messages,
)
from tests.verification.stateful.drawing import CHANGES, as_given, fields, recurring, wall_clock
from tests.verification.stateful.model import Model
from tests.verification.stateful.rows import PLAIN, Expected, Record, Row
from tests.verification.stateful.slots import Every, ms_of
from tests.verification.stateful.world import World

SECOND, MINUTE, HOUR, DAY = 1_000, 60_000, 3_600_000, 86_400_000

#: Names with what keys, fields and records are separated by.
NAMES = ("a", "b@1", "team:a", "team:b|2", "c\u200d#3")
CONFIG = "conf@4|x"
#: Records that are of no slot of the schedule.
BY_HAND = ("trigger", "backfill")


class Machine(RuleBasedStateMachine):
    """One schedule, its client, its leader, and the model beside them."""

    def __init__(self) -> None:
        super().__init__()
        self.model = Model()
        self.world: World | None = None
        self.documents: list[tuple[dict[str, Any], list[Row]]] = []
        self.spoilt: dict[str, bytes] = {}
        self.ids: set[str] = set()
        self.accounted: set[tuple[int, int]] = set()
        self.seen = 0
        #: Which row a name stood for at the last look.
        self.uids: dict[str, int] = {}

    @initialize(
        data=st.data(),
        change=st.sampled_from(CHANGES),
        before=st.sampled_from((0, MINUTE, HOUR, 3 * HOUR, 20 * HOUR)),
        odd_ms=st.sampled_from((0, 1, 437)),
        atomic=st.booleans(),
    )
    def begin(self, data: Any, change: Any, before: int, odd_ms: int, atomic: bool) -> None:
        self.zone = change[0]
        self.change_ms = ms_of(change[1])
        now_ms = self.change_ms - before - odd_ms
        self.world = World(now_ms, atomic=atomic)
        self.model.now_ms = now_ms
        self.world.run_leader()
        self.world.declare(CONFIG)
        row = Row(CONFIG, "task", Every(600_000, 0), dict(PLAIN), now_ms, now_ms, owner="config")
        self.model.insert(row)

        for name in NAMES[:3]:
            drawn = data.draw(
                wall_clock(self.zone) if name == "a" else recurring(self.zone, now_ms)
            )
            values = {} if name == "a" else data.draw(fields(now_ms + HOUR, bounded=False))
            self.both_edit(
                lambda: self.model.add(name, "task", drawn.means, values, False),  # noqa: B023
                lambda: self.world.client.add(name, "task", drawn.given, **as_given(values)),  # noqa: B023
            )

    def likely_names(self) -> list[str]:
        """All that there may be, and those of entries that there are once more and again."""
        there = [name for name in NAMES if name in self.model.rows]
        return [*NAMES, CONFIG, *there * 4]

    def likely_new_names(self) -> list[str]:
        """All that there may be, and those that are free once more and again."""
        return [*NAMES, CONFIG, *[name for name in NAMES if name not in self.model.rows] * 5]

    def teardown(self) -> None:
        if self.world is not None:
            try:
                self.run_leader()
                self.compare()
            finally:
                self.world.close()

    # -- the ways in ------------------------------------------------------------------------

    def both(self, modelled: Callable[[], Any], called: Callable[[], Any]) -> tuple[Any, Any]:
        """Do it in the model and with the Client; both succeed, or both refuse alike."""
        assert self.world is not None
        try:
            wanted = modelled()
        except errors.HabeatError as error:
            self._refused(error, called)
            return None, None
        return wanted, called()

    def _refused(self, wanted: errors.HabeatError, called: Callable[[], Any]) -> None:
        before = self.world.server.writes
        with pytest.raises(type(wanted)) as caught:
            called()
        assert type(caught.value) is type(wanted), (caught.value, wanted)
        assert getattr(caught.value, "found_rev", None) == getattr(wanted, "found_rev", None)
        if getattr(wanted, "entry", ""):
            assert caught.value.entry == wanted.entry
        assert self.world.server.writes == before, "a refused call has written something"

    def both_edit(self, modelled: Callable[[], Any], called: Callable[[], Any]) -> None:
        row, entry = self.both(modelled, called)
        if row is not None and not row.broken:
            assert_same_entry(entry, row)

    # -- time --------------------------------------------------------------------------------

    def move_to(self, now_ms: int) -> None:
        self.model.now_ms = self.world.clock.now_ms = now_ms

    def run_leader(self) -> None:
        catching_up.run(self.model)
        self.world.run_leader()
        self.compare_what_left()

    # -- what must hold -----------------------------------------------------------------------

    @invariant()
    def compare(self) -> None:
        if self.world is None:
            return
        found = {entry.name: entry for entry in self.world.client.list()}
        assert sorted(found) == sorted(self.model.rows)
        for name, row in self.model.rows.items():
            assert_same_entry(found[name], row)
        self.compare_what_left()
        claimed, settled, in_flight = self.world.counters()
        assert claimed == settled
        assert in_flight == 0
        self.world.trouble.lines.clear()

    def compare_what_left(self) -> None:
        """The ledger and the queue since the last look."""
        expected, self.model.expected = self.model.expected, Expected()
        fresh = [values for _, values in self.world.server.ledger[self.seen :]]
        self.seen = len(self.world.server.ledger)
        slots = [values for values in fresh if values[b"outcome"] != b"note"]
        taken = assert_same_ledger(slots, expected.records)
        arrived = self.world.arrived()
        assert_same_messages(arrived, expected.messages)
        for _, task_id in arrived:
            assert task_id not in self.ids, f"a task id came twice: {task_id}"
            self.ids.add(task_id)
        self.assert_new(taken)
        self.uids = {name: row.uid for name, row in self.model.rows.items()}

    def assert_new(self, taken: list[Record]) -> None:
        """No slot of an entry's life stands in the ledger twice."""
        for record in taken:
            if record.reason in BY_HAND or record.outcome == "failed":
                continue
            if record.reason.endswith("not counted"):
                continue
            uid = self.uids.get(record.entry)
            key = (self.model.rows[record.entry].uid if uid is None else uid, record.slot_ms)
            twice = key in self.accounted and record.outcome != "suppressed"
            assert not twice, f"accounted for twice: {record}"
            self.accounted.add(key)
