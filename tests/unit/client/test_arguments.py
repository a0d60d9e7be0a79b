"""The types of arguments name the fields and the words that the package takes, and no others."""

from __future__ import annotations

import inspect
from datetime import UTC, datetime, timedelta
from typing import get_args

import pytest

import habeat
from habeat.client import (
    Client,
    Delivery,
    DeliveryPolicy,
    EntryArguments,
    EntryChanges,
    Misfire,
    MisfirePolicy,
    OutcomeName,
)
from habeat.core.firing import Outcome
from habeat.entries.draft import new_entry
from habeat.entries.fields import FIELDS

NAMES = {field.name for field in FIELDS}


def test_changes_have_the_fields_that_are_read() -> None:
    assert EntryChanges.__annotations__.keys() == NAMES


def test_entries_of_many_have_a_name_and_the_fields_that_are_read() -> None:
    assert EntryArguments.__annotations__.keys() == {"name", *NAMES}
    assert EntryArguments.__required_keys__ == {"name", "task", "schedule"}


def test_add_has_the_fields_that_are_read() -> None:
    parameters = inspect.signature(Client.add).parameters
    assert parameters.keys() - {"self", "name", "replace"} == NAMES


def test_what_was_given_is_read_under_the_same_names_and_can_be_given_again() -> None:
    given = {
        "task": "proj.tasks.t",
        "schedule": habeat.cron("0 8 * * *", tz="Europe/Berlin"),
        "args": (1, "a"),
        "kwargs": {"x": 1},
        "options": {"queue": "q"},
        "enabled": False,
        "tags": ("a", "b"),
        "description": "why",
        "start": datetime(2026, 1, 1, tzinfo=UTC),
        "end": datetime(2027, 1, 1, tzinfo=UTC),
        "max_runs": 3,
        "jitter": timedelta(seconds=1.5),
        "spread": timedelta(minutes=1),
        "deadline": timedelta(hours=1),
        "start_by": timedelta(minutes=2),
        "calendar": "holidays,company",
        "misfire": Misfire.ALL,
        "misfire_grace": timedelta(0),
        "misfire_limit": 5,
        "misfire_window": timedelta(days=1),
        "misfire_pace": 2.5,
        "delivery": Delivery.AT_MOST_ONCE,
    }
    assert given.keys() == NAMES
    entry = new_entry("a", given, "UTC")
    assert {name: getattr(entry, name) for name in given} == given
    definition = entry.definition()
    assert definition == {"name": "a", **given}
    assert new_entry(definition.pop("name"), definition, "UTC") == entry


def test_an_entry_with_the_fewest_fields_can_be_given_again() -> None:
    entry = new_entry("a", {"task": "t", "schedule": 60}, "UTC")
    definition = entry.definition()
    assert new_entry(definition.pop("name"), definition, "UTC") == entry
    assert entry.created is None


@pytest.mark.parametrize(
    ("policy", "words"), [(MisfirePolicy, Misfire), (DeliveryPolicy, Delivery)]
)
def test_a_policy_may_be_given_as_each_of_its_words(policy: object, words: type) -> None:
    kind, literal = get_args(policy)
    assert kind is words
    assert set(get_args(literal)) == {str(word) for word in words}


def test_the_outcomes_of_records_are_those_of_the_ledger() -> None:
    assert set(get_args(OutcomeName)) == {str(outcome) for outcome in Outcome}
