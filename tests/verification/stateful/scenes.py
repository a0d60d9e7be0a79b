"""Rules that are short stories: sequences that chance alone would rarely produce."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import rule

from tests.verification.stateful.asking import Asking
from tests.verification.stateful.changing import Changing, names, new_names
from tests.verification.stateful.drawing import PERIODS, catching_up
from tests.verification.stateful.living import Living
from tests.verification.stateful.machine import NAMES, SECOND

backlogs = st.sampled_from(PERIODS[:5])


class Scenes(Changing, Asking, Living):
    """Each made of the rules there are, so each step of them is looked at."""

    @rule(data=st.data(), name=st.sampled_from(NAMES), drawn=backlogs)
    def fall_behind(self, data: Any, name: str, drawn: Any) -> None:
        """An entry with policies of its own, and no leader for some of its periods."""
        found = data.draw(catching_up())
        self.both_edit(
            lambda: self.model.add(name, "task", drawn.means, found, True),
            lambda: self.add_with(name, drawn, found, replace=True),
        )
        row = self.model.rows[name]
        if row.next_ms is not None:
            slots = data.draw(st.integers(0, 8))
            last_ms = row.next_ms + slots * row.rule.every_ms
            self.move_to(max(self.model.now_ms, last_ms + data.draw(LATE_MS)))
            self.compare()
        for _ in range(2):
            self.run_leader()
            self.compare()
            self.wait_for_the_next(odd_ms=0)

    @rule(old=names, new=new_names, reason=st.sampled_from(["", "move"]), step=st.integers(0, 900))
    def rename_what_is_paused(self, old: str, new: str, reason: str, step: int) -> None:
        self.pause(name=old, reason=reason, until=step * 10 * SECOND if step % 2 else None)
        self.move_to(self.model.now_ms + step * SECOND)
        self.rename(old=old, new=new)
        self.compare()
        self.wait_and_lead(step=600 * SECOND)
        self.compare()
        self.resume(name=new, catch_up=bool(reason))

    @rule(name=names, text=st.sampled_from(["", "mine", "yours"]))
    def two_people_edit(self, name: str, text: str) -> None:
        """Both have read the entry; the later one gets a conflict."""
        row = self.model.rows.get(name)
        rev = 0 if row is None or row.broken else row.rev
        for description in (f"first {text}", f"second {text}"):
            self.both_edit(
                lambda: self.model.update(name, rev, {"description": description}),  # noqa: B023
                lambda: self.world.client.update(name, rev=rev, description=description),  # noqa: B023
            )

    @rule(old=names, new=new_names, spread=st.sampled_from([5_000, 600_000, 7_200_000]))
    def rename_what_is_spread(self, old: str, new: str, spread: int) -> None:
        self.both_edit(
            lambda: self.model.update(old, None, {"spread": spread}),
            lambda: self.world.client.update(old, spread=spread / 1_000),
        )
        self.compare()
        self.rename(old=old, new=new)
        self.compare()
        self.wait_for_the_next(odd_ms=0)

    @rule(old=names, new=new_names, pace=st.sampled_from([5.0, 30.0]))
    def rename_with_orders_under_way(self, old: str, new: str, pace: float) -> None:
        self.trigger(name=old, identity=None, args=(1,), kwargs=None)
        self.backfill(name=old, begin=20_000, length=15_000, pace=pace, dry_run=False)
        self.run_leader()
        self.trigger(name=old, identity=None, args=None, kwargs=None)
        self.rename(old=old, new=new)
        for _ in range(4):
            self.wait_and_lead(step=SECOND)

    @rule(name=names, identity=st.sampled_from(["one", "two"]), led=st.booleans())
    def click_twice(self, name: str, identity: str, led: bool) -> None:
        self.trigger(name=name, identity=identity, args=None, kwargs=None)
        if led:
            self.run_leader()
        self.trigger(name=name, identity=identity, args=None, kwargs=None)
        self.run_leader()

    @rule(data=st.data(), name=names, until=st.sampled_from([None, 3_600 * SECOND]))
    def restore_what_was_removed(self, data: Any, name: str, until: int | None) -> None:
        self.pause(name=name, reason="saved", until=until)
        self.export()
        if name in NAMES:
            self.remove(name=name)
        self.compare()
        self.load(data, dry_run=False)


LATE_MS = st.sampled_from([0, 1_000, 1_001, 3_000, 7_000, 20_000, 60_000, 60_001, 61_000])
