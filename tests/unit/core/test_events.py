"""Event codes: each has a meaning, and they never change."""

from __future__ import annotations

import logging

import pytest

from habeat.core.events import EVENTS, EventCode, Level


def test_every_code_has_a_meaning() -> None:
    assert set(EVENTS) == set(EventCode)


@pytest.mark.parametrize("code", EventCode)
def test_a_meaning_is_a_sentence_and_a_problem_has_a_next_step(code: EventCode) -> None:
    kind = EVENTS[code]
    assert kind.meaning.endswith(".")
    assert kind.next_step or kind.level is not Level.ERROR


@pytest.mark.parametrize("code", EventCode)
def test_a_code_that_ends_a_condition_has_no_end_of_its_own(code: EventCode) -> None:
    ended_by = EVENTS[code].ended_by
    assert ended_by is None or EVENTS[ended_by].ended_by is None


def test_levels_are_those_of_the_logging_module() -> None:
    assert {each.name: each.value for each in Level} == {
        name: getattr(logging, name) for name in Level.__members__
    }


def test_a_code_is_its_name_in_lower_case() -> None:
    assert [each.value for each in EventCode] == [each.name.lower() for each in EventCode]
