"""Rules: the calls that change entries."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import rule

from habeat import errors
from tests.verification.stateful.comparing import assert_same_entry
from tests.verification.stateful.drawing import TAGS, as_given, fields, schedules
from tests.verification.stateful.machine import HOUR, MINUTE, NAMES, SECOND, Machine
from tests.verification.stateful.model import Model
from tests.verification.stateful.slots import utc_of

#: Mostly the name of an entry that there is: a call that is refused leads nowhere.
names = st.runner().flatmap(lambda machine: st.sampled_from(machine.likely_names()))
new_names = st.runner().flatmap(lambda machine: st.sampled_from(machine.likely_new_names()))
tags = st.lists(st.sampled_from(TAGS), max_size=1)


class Changing(Machine):
    """add, add_many, update, remove, rename, pause, resume."""

    @rule(data=st.data(), name=names, replace=st.booleans())
    def add(self, data: Any, name: str, replace: bool) -> None:
        now_ms = self.model.now_ms
        drawn = data.draw(schedules(self.zone, now_ms))
        values = data.draw(fields(now_ms))
        self.both_edit(
            lambda: self.model.add(name, "task", drawn.means, values, replace),
            lambda: self.add_with(name, drawn, values, replace=replace),
        )
        self.spoilt.pop(name, None)

    def add_with(self, name: str, drawn: Any, values: dict[str, Any], *, replace: bool) -> Any:
        given = as_given(values)
        return self.world.client.add(name, "task", drawn.given, replace=replace, **given)

    @rule(data=st.data(), name=names, step=st.sampled_from((1, 20 * SECOND, 7 * MINUTE, 5 * HOUR)))
    def save_again(self, data: Any, name: str, step: int) -> None:
        """`replace=True` with a schedule that may be the same: nothing of the rhythm changes."""
        drawn = data.draw(schedules(self.zone, self.change_ms))
        for description in ("", "again", "again"):
            self.move_to(self.model.now_ms + step)
            values = {"description": description} if description else {}
            self.both_edit(
                lambda: self.model.add(name, "task", drawn.means, values, True),  # noqa: B023
                lambda: self.world.client.add(
                    name, "task", drawn.given, replace=True, **values  # noqa: B023
                ),
            )  # fmt: skip

    @rule(data=st.data())
    def add_many(self, data: Any) -> None:
        items = {
            name: (
                data.draw(schedules(self.zone, self.model.now_ms)),
                data.draw(fields(self.model.now_ms)),
            )
            for name in data.draw(st.lists(st.sampled_from(NAMES), unique=True, max_size=3))
        }
        given = [
            {"name": name, "task": "bulk", "schedule": drawn.given, **as_given(values)}
            for name, (drawn, values) in items.items()
        ]
        trial = {
            name: self._would_add(name, drawn, values) for name, (drawn, values) in items.items()
        }
        wrong = {name for name, error in trial.items() if error is not None}
        if wrong:
            bulk = errors.BulkError(dict.fromkeys(wrong, errors.HabeatError()), len(items))
            self._refused(bulk, lambda: self.world.client.add_many(given))
            return
        made = self.world.client.add_many(given)
        for entry, (name, (drawn, values)) in zip(made, items.items(), strict=True):
            assert_same_entry(entry, self.model.add(name, "bulk", drawn.means, values, False))

    def _would_add(self, name: str, drawn: Any, values: Any) -> errors.HabeatError | None:
        trial = Model()
        trial.now_ms, trial.rows = self.model.now_ms, dict(self.model.rows)
        try:
            trial.add(name, "bulk", drawn.means, values, False)
        except errors.HabeatError as error:
            return error
        return None

    @rule(
        data=st.data(),
        name=names,
        rescheduled=st.booleans(),
        retasked=st.booleans(),
        rev=st.sampled_from([None, None, "right", "wrong"]),
    )
    def update(
        self, data: Any, name: str, rescheduled: bool, retasked: bool, rev: str | None
    ) -> None:
        values = data.draw(fields(self.model.now_ms))
        changes, given = dict(values), as_given(values)
        if rescheduled:
            drawn = data.draw(schedules(self.zone, self.model.now_ms))
            changes["schedule"], given["schedule"] = drawn.means, drawn.given
        if retasked:
            changes["task"] = given["task"] = "other"
        row = self.model.rows.get(name)
        known = 0 if row is None else 1 if row.broken == "garbage" else row.rev
        number = {None: None, "right": known, "wrong": known + 1}[rev]
        self.both_edit(
            lambda: self.model.update(name, number, changes),
            lambda: self.world.client.update(name, rev=number, **given),
        )

    @rule(name=names, wrong=st.sampled_from([("misfire", "never"), ("max_runs", 0), ("jitter", -1),
                                              ("nonsense", 1), ("schedule", 0.01)]))  # fmt: skip
    def update_with_nonsense(self, name: str, wrong: tuple[str, Any]) -> None:
        row = self.model.rows.get(name)
        if row is not None and row.owner == "api":
            self._refused(
                errors.ValidationError(wrong[0], wrong[1], "", entry=name),
                lambda: self.world.client.update(name, **dict([wrong])),
            )

    @rule(name=names)
    def remove(self, name: str) -> None:
        self.both(lambda: self.model.remove(name), lambda: self.world.client.remove(name))

    @rule(prefix=st.sampled_from(["", "team:", "conf", "nobody"]), tagged=tags)
    def remove_many(self, prefix: str, tagged: list[str]) -> None:
        wanted, found = self.both(
            lambda: self.model.clear(prefix, tagged),
            lambda: self.world.client.remove(prefix=prefix, tags=tagged),
        )
        assert wanted == found

    @rule(old=names, new=new_names)
    def rename(self, old: str, new: str) -> None:
        self.both_edit(
            lambda: self.model.rename(old, new), lambda: self.world.client.rename(old, new)
        )

    @rule(
        name=names,
        reason=st.sampled_from(["", "release", "incident"]),
        until=st.sampled_from([None, None, -SECOND, MINUTE, 3 * HOUR]),
    )
    def pause(self, name: str, reason: str, until: int | None) -> None:
        until_ms = None if until is None else self.model.now_ms + until
        self.both_edit(
            lambda: self.model.pause(name, reason, until_ms),
            lambda: self.world.client.pause(
                name, reason, None if until_ms is None else utc_of(until_ms)
            ),
        )

    @rule(name=names, catch_up=st.booleans())
    def resume(self, name: str, catch_up: bool) -> None:
        self.both_edit(
            lambda: self.model.resume(name, catch_up=catch_up),
            lambda: self.world.client.resume(name, "paused" if catch_up else "now"),
        )
