"""What each change writes, to the millisecond; without Redis."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

import habeat
from habeat.core.entry import Entry, EntryState
from habeat.core.firing import Outcome
from habeat.entries.changes import COUNTED_AT_MOST, addition, change, pause, removal, resume
from habeat.entries.codec import decode, digest_of, encode
from habeat.errors import DefinitionError
from habeat.ports.entries import Position, Stored
from habeat.schedules import Interval, Run, Schedule
from habeat.schedules.custom import Code

NOW = 1_800_000_000_500
TEN = habeat.every(10, offset=0)
ABSENT = Stored("a", "", None, EntryState())


def entry_of(schedule: Schedule = TEN, **given: Any) -> Entry:
    return Entry(name="a", task="proj.a", schedule=schedule, rev=3, created_ms=5, **given)


def stored(entry: Entry, *, behind_ms: int = 0, **state: Any) -> Stored:
    """The entry as read; its cursor so far behind the present."""
    raw = encode(entry)
    cursor_ms = NOW - behind_ms
    slot_ms = entry.next_slot_ms(cursor_ms)
    facts = EntryState(
        **{"cursor_ms": cursor_ms, "next_slot_ms": slot_ms, "due_ms": slot_ms, **state}
    )
    return Stored("a", digest_of(raw), replace(entry, state=facts), facts)


def run_of(edit: Any) -> tuple[int, int, int, str]:
    lost = edit.write.lost
    assert lost.outcome is Outcome.SKIPPED
    return lost.first_ms, lost.last_ms, lost.count, lost.reason


def reason_and_end(edit: Any) -> tuple[str, int]:
    paused = json.loads(edit.write.paused)
    return paused["reason"], paused["at_ms"]


def test_an_addition_starts_from_now() -> None:
    edit = addition(ABSENT, entry_of(), NOW)
    assert edit.write.digest == ""
    assert edit.write.position == Position(NOW, NOW + 9_500, NOW + 9_500)
    assert (edit.write.lost, edit.write.cursor_ms, edit.write.paused) == (None, None, None)
    assert (edit.entry.rev, edit.entry.created_ms) == (1, NOW)
    assert edit.digest == digest_of(edit.write.definition)
    assert decode("a", edit.write.definition) == edit.entry


def test_an_addition_on_a_slot_starts_with_the_next_one() -> None:
    edit = addition(ABSENT, entry_of(), NOW - 500)
    assert edit.entry.state.due_ms == NOW - 500 + 10_000


def test_what_is_added_disabled_or_paused_is_not_due() -> None:
    off = addition(ABSENT, entry_of(enabled=False), NOW)
    assert off.write.position == Position(NOW, NOW + 9_500, None)
    paused = addition(ABSENT, entry_of(), NOW, "why")
    assert reason_and_end(paused) == ("why", NOW)
    assert (paused.entry.state.due_ms, paused.entry.condition) == (None, "paused")


def test_a_change_beside_the_schedule_keeps_cursor_and_due() -> None:
    old = stored(entry_of(), behind_ms=20_000)
    edit = change(old, entry_of(description="new"), NOW)
    assert edit is not None
    assert (edit.write.position, edit.write.lost, edit.write.cursor_ms) == (None, None, None)
    assert edit.write.digest == old.digest
    assert (edit.entry.rev, edit.entry.created_ms) == (4, 5)
    assert edit.entry.state == old.state


def test_no_change_writes_nothing() -> None:
    assert change(stored(entry_of(), behind_ms=20_000), entry_of(), NOW) is None


def test_another_schedule_re_anchors_and_accounts_for_what_was_due() -> None:
    old = stored(entry_of(), behind_ms=20_600)
    edit = change(old, entry_of(habeat.every(30, offset=0)), NOW)
    assert edit is not None
    assert edit.write.cursor_ms == old.state.cursor_ms
    assert edit.write.position == Position(NOW, NOW + 29_500, NOW + 29_500)
    assert run_of(edit) == (NOW - 20_500, NOW - 500, 3, "edited")


def test_a_slot_that_is_due_right_now_is_accounted_for() -> None:
    edit = change(stored(entry_of(), behind_ms=501), entry_of(habeat.every(30)), NOW - 500)
    assert edit is not None
    assert run_of(edit) == (NOW - 500, NOW - 500, 1, "edited")


def test_another_jitter_moves_the_instant_and_not_the_cursor() -> None:
    old = stored(entry_of(), behind_ms=3_000)
    new = entry_of(spread_ms=5_000)
    edit = change(old, new, NOW)
    assert edit is not None
    slot_ms = old.state.next_slot_ms
    assert slot_ms is not None
    position = Position(old.state.cursor_ms, slot_ms, new.effective_ms(slot_ms))
    assert (edit.write.position, edit.write.lost) == (position, None)


@pytest.mark.parametrize(("before", "after"), [(True, False), (False, True)])
def test_switching_off_and_on(before: bool, after: bool) -> None:
    old = stored(entry_of(enabled=before), behind_ms=10_600)
    edit = change(old, entry_of(enabled=after), NOW)
    assert edit is not None
    assert edit.write.position == Position(NOW, NOW + 9_500, NOW + 9_500 if after else None)
    assert run_of(edit) == (NOW - 10_500, NOW - 500, 2, "disabled")


def test_an_edit_of_what_was_not_scheduled_names_that_as_the_reason() -> None:
    schedule = habeat.every(30)
    for state, enabled, reason in (
        ({"paused": "x"}, True, "paused"),
        ({}, False, "disabled"),
        ({"quarantined": "x"}, True, "quarantined"),
    ):
        old = stored(entry_of(enabled=enabled), behind_ms=600, **state)
        edit = change(old, entry_of(schedule, enabled=enabled), NOW)
        assert edit is not None
        assert run_of(edit)[3] == reason
        assert edit.entry.state.quarantined is None
        assert (edit.entry.state.due_ms is None) == (reason != "quarantined")


def test_a_pause_accounts_for_what_is_due_and_a_resume_for_the_pause() -> None:
    edit = pause(stored(entry_of(), behind_ms=600), "why", NOW)
    assert edit is not None
    assert run_of(edit) == (NOW - 500, NOW - 500, 1, "paused")
    assert edit.write.position == Position(NOW, NOW + 9_500, None)
    assert (edit.write.definition, edit.digest, edit.entry.rev) == (b"", "", 3)
    paused = stored(entry_of(), behind_ms=30_000, paused="why", due_ms=None)
    on = resume(paused, NOW)
    assert on is not None
    assert run_of(on) == (NOW - 20_500, NOW - 500, 3, "paused")
    assert on.write.position == Position(NOW, NOW + 9_500, NOW + 9_500)
    assert (on.write.paused, on.write.definition) == ("", b"")
    assert on.entry.condition == "active"


def test_pausing_again_changes_the_reason_only() -> None:
    paused = stored(entry_of(), behind_ms=30_000, paused="old", paused_at_ms=77)
    assert pause(paused, "old", NOW) is None
    edit = pause(paused, "new", NOW)
    assert edit is not None
    assert reason_and_end(edit) == ("new", 77)
    assert (edit.write.position, edit.write.lost) == (None, None)


def test_resuming_what_continues_is_nothing() -> None:
    assert resume(stored(entry_of()), NOW) is None


def test_resuming_a_disabled_entry_leaves_its_slots_to_the_enabling() -> None:
    off = stored(entry_of(enabled=False), behind_ms=30_000, paused="x", due_ms=None)
    edit = resume(off, NOW)
    assert edit is not None
    assert (edit.write.position, edit.write.lost) == (None, None)
    assert edit.entry.condition == "disabled"


def test_a_resume_out_of_quarantine_writes_the_definition_again() -> None:
    edit = resume(stored(entry_of(), behind_ms=600, quarantined="bad"), NOW)
    assert edit is not None
    assert decode("a", edit.write.definition).rev == 4
    assert run_of(edit)[3] == "quarantined"


def test_what_cannot_be_read_cannot_be_resumed() -> None:
    bad = Stored("a", "d", None, EntryState(quarantined="bad"), "bad", b"{")
    with pytest.raises(DefinitionError, match="bad"):
        resume(bad, NOW)
    paused = pause(bad, "why", NOW)
    assert paused is not None
    assert (paused.write.position, paused.write.lost) == (None, None)


def test_without_a_cursor_no_slots_are_made_up() -> None:
    old = stored(entry_of(), cursor_ms=0, quarantined="no state", next_slot_ms=None)
    edit = resume(old, NOW)
    assert edit is not None
    assert (edit.write.lost, edit.write.cursor_ms) == (None, None)
    assert removal(old, NOW).lost is None


def test_what_only_code_can_count_is_accounted_for_as_uncounted() -> None:
    code = Code("proj.Tides")
    old = stored(entry_of(code, owner="config"), behind_ms=9_000, due_ms=NOW - 1)
    paused = pause(old, "why", NOW)
    assert paused is not None
    assert paused.write.position == Position(NOW - 9_000, None, None)
    assert paused.write.lost is None
    resumed = resume(stored(entry_of(code), behind_ms=9_000, paused="x", due_ms=None), NOW)
    assert resumed is not None
    assert run_of(resumed) == (NOW, NOW, 1, "paused; slots not counted")
    # The leader, who has the code, looks at it at once and puts it right.
    assert resumed.write.position == Position(NOW, None, NOW)


def test_a_removal_accounts_for_what_was_due() -> None:
    gone = removal(stored(entry_of(), behind_ms=600), NOW)
    assert (gone.digest, gone.cursor_ms, gone.reason) != ("", None, "")
    assert gone.lost is not None
    assert (gone.lost.count, gone.lost.reason, gone.reason) == (1, "removed", "removed")
    nothing = removal(stored(entry_of(), behind_ms=100), NOW)
    assert (nothing.lost, nothing.reason) == (None, "removed")


class Walked(Interval):
    """A kind whose slots have to be enumerated."""

    arithmetic = False
    count_between = Schedule.count_between


def test_counting_has_an_end() -> None:
    behind_ms = (COUNTED_AT_MOST + 50) * 1_000
    gone = removal(in_memory(Walked(1_000), behind_ms), NOW)
    assert gone.lost is not None
    assert (gone.lost.count, gone.lost.last_ms) == (COUNTED_AT_MOST, NOW)
    assert gone.lost.reason == "removed; at least this many"
    each_second = habeat.rrule("FREQ=SECONDLY", tz="UTC", dtstart=datetime(2020, 1, 1, tzinfo=UTC))
    for schedule in (habeat.every(1), each_second):
        whole = removal(stored(entry_of(schedule), behind_ms=behind_ms), NOW)
        assert whole.lost is not None
        assert whole.lost.count == COUNTED_AT_MOST + 50


class Failing(Interval):
    """A user's own kind, with a bug."""

    arithmetic = False

    def next_after_ms(self, after_ms: int) -> int | None:
        raise ZeroDivisionError

    def count_between(self, after_ms: int, until_ms: int, limit: int | None = None) -> Run | None:
        raise ZeroDivisionError


def in_memory(schedule: Schedule, behind_ms: int, **state: Any) -> Stored:
    """An entry as read, of a kind that is not registered."""
    found = stored(entry_of(), behind_ms=behind_ms, **state)
    assert found.entry is not None
    return replace(found, entry=replace(found.entry, schedule=schedule))


def test_an_entry_whose_schedule_raises_can_be_removed_and_its_pause_ends() -> None:
    gone = removal(in_memory(Failing(1_000), 5_000), NOW)
    assert gone.lost is not None
    assert gone.lost.reason == "removed; slots not counted"
    resumed = resume(in_memory(Failing(1_000), 5_000, paused="x"), NOW)
    assert resumed is not None
    # Due at once: the leader looks at it, and says what is wrong.
    assert resumed.write.position == Position(NOW, None, NOW)
    assert resumed.write.lost is not None
    assert resumed.write.lost.reason == "paused; slots not counted"


# -- bounds, offsets, and as often as it may ------------------------------------------------


def test_an_entry_that_has_run_as_often_as_it_may_is_not_due() -> None:
    spent = stored(entry_of(max_runs=3), behind_ms=60_000, fired=3, due_ms=None)
    edit = change(spent, entry_of(habeat.every(30), max_runs=3), NOW)
    assert edit is not None
    # Nothing was lost: there were no slots any more.
    assert (edit.write.position, edit.write.lost) == (Position(NOW, None, None), None)
    assert removal(spent, NOW).lost is None
    paused = pause(spent, "why", NOW)
    assert paused is not None
    assert (paused.write.position, paused.write.lost) == (Position(NOW, None, None), None)


def test_more_runs_let_an_exhausted_entry_go_on_from_now() -> None:
    spent = stored(entry_of(max_runs=3), behind_ms=60_000, fired=3, due_ms=None)
    for more in (entry_of(max_runs=4), entry_of()):
        edit = change(spent, more, NOW)
        assert edit is not None
        assert edit.write.position == Position(NOW, NOW + 9_500, NOW + 9_500)
        assert edit.write.lost is None
        assert (edit.write.cursor_ms, edit.entry.condition) == (NOW - 60_000, "active")


def test_fewer_runs_end_an_entry_and_account_for_what_was_due() -> None:
    edit = change(stored(entry_of(), behind_ms=10_600, fired=3), entry_of(max_runs=2), NOW)
    assert edit is not None
    assert edit.write.position == Position(NOW, None, None)
    assert run_of(edit) == (NOW - 10_500, NOW - 500, 2, "edited")


def test_another_number_of_runs_that_are_not_over_keeps_the_rhythm() -> None:
    edit = change(stored(entry_of(max_runs=9), behind_ms=600, fired=3), entry_of(max_runs=8), NOW)
    assert edit is not None
    assert (edit.write.position, edit.write.lost) == (None, None)


@pytest.mark.parametrize("field", ["start_ms", "end_ms"])
def test_another_start_or_end_re_anchors(field: str) -> None:
    edit = change(stored(entry_of(), behind_ms=600), entry_of(**{field: NOW + 25_000}), NOW)
    assert edit is not None
    assert run_of(edit) == (NOW - 500, NOW - 500, 1, "edited")
    slot_ms = NOW + (29_500 if field == "start_ms" else 9_500)
    assert edit.write.position == Position(NOW, slot_ms, slot_ms)


def test_a_cursor_never_goes_back_when_the_clock_of_redis_does() -> None:
    ahead = stored(entry_of(), behind_ms=-20_000)
    after = Position(NOW + 20_000, NOW + 29_500, NOW + 29_500)
    edit = change(ahead, entry_of(habeat.every(10, offset=0), start_ms=5), NOW)
    assert edit is not None
    assert (edit.write.position, edit.write.lost) == (after, None)
    paused = pause(ahead, "why", NOW)
    assert paused is not None
    assert paused.write.position == replace(after, due_ms=None)
    off = stored(entry_of(), behind_ms=-20_000, paused="x", due_ms=None)
    resumed = resume(off, NOW)
    assert resumed is not None
    assert resumed.write.position == after


def test_an_entry_without_a_cursor_is_not_given_the_beginning_of_time() -> None:
    edit = change(stored(entry_of(), cursor_ms=0), entry_of(jitter_ms=5), NOW)
    assert edit is not None
    assert edit.write.position is None


# -- pauses that end, and resumes that catch up ---------------------------------------------


def test_a_pause_may_have_an_end() -> None:
    edit = pause(stored(entry_of()), "why", NOW, NOW + 5_000)
    assert edit is not None
    assert json.loads(edit.write.paused or "")["until_ms"] == NOW + 5_000
    assert edit.write.resume_at_ms == NOW + 5_000
    assert edit.entry.state.paused_until_ms == NOW + 5_000
    again = stored(entry_of(), paused="why", paused_at_ms=77, paused_until_ms=NOW + 5_000)
    assert pause(again, "why", NOW, NOW + 5_000) is None
    other = pause(again, "why", NOW, NOW + 9_000)
    assert other is not None
    assert (reason_and_end(other), other.write.resume_at_ms) == (("why", 77), NOW + 9_000)


def test_a_resume_that_catches_up_leaves_the_cursor_where_it_was() -> None:
    off = stored(entry_of(), behind_ms=30_500, paused="x", due_ms=None)
    edit = resume(off, NOW, catch_up=True)
    assert edit is not None
    position = Position(NOW - 30_500, NOW - 30_500 + 10_000, NOW - 30_500 + 10_000)
    assert (edit.write.position, edit.write.lost) == (position, None)
    assert (edit.write.paused, edit.entry.condition) == ("", "active")


def test_a_resume_without_a_cursor_continues_from_now() -> None:
    off = stored(entry_of(), cursor_ms=0, paused="x", due_ms=None)
    edit = resume(off, NOW, catch_up=True)
    assert edit is not None
    assert edit.write.position == Position(NOW, NOW + 9_500, NOW + 9_500)


def test_what_only_code_knows_is_equal_where_it_is_stored_as_the_same() -> None:
    class Live(Code):
        """As beat has it: it knows its slots, and is stored by its name."""

        def next_after_ms(self, after_ms: int) -> int | None:
            return after_ms + 1_000

    old = stored(entry_of(Code("proj.Tides"), owner="config"), behind_ms=9_000)
    same = change(old, entry_of(Live("proj.Tides"), owner="config", description="new"), NOW)
    assert same is not None
    assert (same.write.position, same.write.lost) == (None, None)


def newer(entry: Entry, **keys: Any) -> Stored:
    """The entry as a newer release wrote it, with keys that this one does not know."""
    raw = json.dumps({**json.loads(encode(entry)), **keys}).encode()
    facts = stored(entry).state
    return Stored("a", digest_of(raw), decode("a", raw, facts), facts)


NEWER_KEYS = {"moon": "full", "quota": {"a": [1, None]}, "until": "2026-01-01"}


@pytest.mark.parametrize(
    "changes", [{"description": "x"}, {"schedule": habeat.every(20)}, {"tags": ()}]
)
def test_keys_of_a_newer_release_survive_an_update(changes: dict[str, Any]) -> None:
    found = newer(entry_of(tags=("t",)), **NEWER_KEYS)
    assert found.entry is not None
    edit = change(found, replace(found.entry, **changes), NOW)
    assert edit is not None
    written = json.loads(edit.write.definition)
    assert {key: written[key] for key in NEWER_KEYS} == NEWER_KEYS
    assert decode("a", edit.write.definition).extra == NEWER_KEYS


def test_keys_of_a_newer_release_survive_a_replacement_through_the_api() -> None:
    edit = change(newer(entry_of(), **NEWER_KEYS), entry_of(habeat.every(20)), NOW)
    assert edit is not None
    assert decode("a", edit.write.definition).extra == NEWER_KEYS


def test_the_definition_of_an_entry_of_the_code_is_the_codes_alone() -> None:
    found = newer(entry_of(owner="config"), **NEWER_KEYS)
    edit = change(found, entry_of(habeat.every(20), owner="config"), NOW)
    assert edit is not None
    assert decode("a", edit.write.definition).extra == {}


def test_no_key_of_a_newer_release_can_pass_for_one_of_ours() -> None:
    entry = entry_of(extra={"v": 9, "schedule": "x", "task": "evil", "misfire": "never"})
    assert decode("a", encode(entry)).task == "proj.a"


def test_a_change_that_takes_slots_compares_the_pause_that_it_was_planned_for() -> None:
    """A pause that has ended since is no reason any more."""
    found = replace(stored(entry_of(), behind_ms=20_000, paused="why"), pause_digest="d1")
    edit = change(found, entry_of(habeat.every(20)), NOW)
    assert edit is not None
    assert edit.write.pause_digest == "d1"
    beside = change(found, entry_of(description="x"), NOW)
    assert beside is not None
    assert beside.write.pause_digest == ""
