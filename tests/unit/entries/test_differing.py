"""What the change log says of a change: fields and values, bounded, and never an argument."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from habeat.core.entry import Entry
from habeat.entries.codec import encode
from habeat.entries.differing import differing
from habeat.entries.record_values import VALUE_CHARS_MAX
from habeat.schedules import cron, every

ENTRY = Entry("e", "tasks.run", every(60, offset=0), owner="api")


def fields(old: Entry | None, new: Entry | None) -> Any:
    sides = [b"" if each is None else encode(each) for each in (old, new)]
    return json.loads(differing(*sides))


def test_a_changed_field_has_its_value_before_and_after() -> None:
    changed = replace(ENTRY, schedule=cron("0 8 * * *"), description="d", rev=2)
    found = fields(ENTRY, changed)
    assert set(found) == {"schedule", "description"}
    assert found["description"] == [None, "d"]
    assert [each["kind"] for each in found["schedule"]] == ["interval", "cron"]


def test_durations_are_seconds_and_instants_iso_8601() -> None:
    found = fields(ENTRY, replace(ENTRY, jitter_ms=1_500, start_ms=1_000))
    assert found == {"jitter": [None, 1.5], "start": [None, "1970-01-01T00:00:01.000+00:00"]}


def test_an_added_and_a_removed_entry_have_their_fields_on_one_side() -> None:
    added, removed = fields(None, ENTRY), fields(ENTRY, None)
    assert added["task"] == [None, "tasks.run"]
    assert removed["task"] == ["tasks.run", None]


@pytest.mark.parametrize(
    "secret",
    [
        {"args": ("hunter2",)},
        {"kwargs": {"token": "hunter2"}},
        {"options": {"headers": {"auth": "hunter2"}}},
        {"options": {"link": {"task": "t", "args": ["hunter2"]}}},
        {"options": {"queue": {"name": "hunter2"}}},
        {"task": {"task": "tasks.run", "args": ["hunter2"], "kwargs": {}, "options": {}}},
    ],
    ids=str,
)
def test_what_may_be_secret_is_only_said_to_have_changed(secret: dict[str, Any]) -> None:
    found = fields(ENTRY, replace(ENTRY, **secret))
    assert "hunter2" not in json.dumps(found)
    assert True in found.values()


def test_options_are_fields_of_their_own() -> None:
    old, new = ({"queue": "a", "priority": 3}, {"queue": "b"})
    found = fields(replace(ENTRY, options=old), replace(ENTRY, options=new))
    assert found == {"options.queue": ["a", "b"], "options.priority": [3, None]}


def test_another_task_of_a_signature_is_named() -> None:
    old, new = ({"task": name, "args": ["hunter2"]} for name in ("a", "b"))
    assert fields(replace(ENTRY, task=old), replace(ENTRY, task=new)) == {"task": ["a", "b"]}


def test_a_record_is_bounded_however_much_changes() -> None:
    long = replace(ENTRY, description="d" * 5_000, tags=tuple(f"t{n}" * 20 for n in range(50)))
    found = fields(ENTRY, long)
    assert found["tags"] is True
    assert len(found["description"][1]) == VALUE_CHARS_MAX
    many = replace(ENTRY, options={f"own_{n}" * 10: n for n in range(1_000)})
    assert len(differing(encode(ENTRY), encode(many))) <= 4_096


@pytest.mark.parametrize(
    "raw", [b"", b"nonsense", b"[1]", b'{"jitter_ms": "x", "start_ms": 1e300}']
)
def test_a_damaged_definition_does_not_prevent_the_record(raw: bytes) -> None:
    assert json.loads(differing(raw, encode(ENTRY)))["task"] == [None, "tasks.run"]
