"""What exceeds a limit is refused, with its size, the limit and the setting in the error."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

import habeat
from habeat.core.entry import EntryState
from habeat.core.limits import Limits, check_reason
from habeat.entries.codec import digest_of, encode
from habeat.entries.draft import changed_entry, new_entry
from habeat.errors import ValidationError
from habeat.ports.entries import Stored

SMALL = Limits(definition_bytes=400, description_chars=10, reason_chars=5, tag_count=2, tag_chars=3)
GIVEN: Mapping[str, Any] = {"task": "proj.a", "schedule": habeat.every(10, offset=0)}


@pytest.mark.parametrize(
    ("over", "within", "problem"),
    [
        ({"description": "x" * 11}, {"description": "x" * 10}, "got 11 characters"),
        ({"tags": ["a", "b", "c"]}, {"tags": ["a", "b"]}, "invalid tags: expected at most 2 tags"),
        ({"tags": ["abcd"]}, {"tags": ["abc"]}, "invalid tag: expected at most 3 characters"),
        ({"kwargs": {"x": "y" * 400}}, {"kwargs": {"x": "y" * 100}}, "invalid definition: "),
    ],
)
def test_limits_of_an_entry(over: Any, within: Any, problem: str) -> None:
    fine = new_entry("e", {**GIVEN, **within}, "UTC", SMALL)
    with pytest.raises(ValidationError) as refused:
        new_entry("e", {**GIVEN, **over}, "UTC", SMALL)
    assert problem in str(refused.value)
    assert "(habeat_" in str(refused.value)
    assert "yyy" not in str(refused.value)
    stored = Stored("e", digest_of(encode(fine)), fine, EntryState())
    with pytest.raises(ValidationError, match="at most"):
        changed_entry(stored, over, "UTC", SMALL)


def test_a_definition_of_20_mb_is_refused_by_default() -> None:
    with pytest.raises(ValidationError, match=r"definition: expected at most .*got 20000\d+ bytes"):
        new_entry("e", {**GIVEN, "kwargs": {"x": "y" * 20_000_000}}, "UTC")


def test_the_reason_of_a_pause_is_limited() -> None:
    check_reason("x" * 5, SMALL)
    with pytest.raises(ValidationError, match=r"reason: expected at most 5 .*got 6 characters"):
        check_reason("x" * 6, SMALL)
