"""The types of arguments name the fields and the words that the package takes, and no others."""

from __future__ import annotations

import inspect
from typing import get_args

import pytest

from habeat.client import Client, Delivery, DeliveryPolicy, EntryChanges, Misfire, MisfirePolicy
from habeat.entries.fields import FIELDS

NAMES = {field.name for field in FIELDS}


def test_changes_have_the_fields_that_are_read() -> None:
    assert EntryChanges.__annotations__.keys() == NAMES


def test_add_has_the_fields_that_are_read() -> None:
    parameters = inspect.signature(Client.add).parameters
    assert parameters.keys() - {"self", "name", "replace"} == NAMES


@pytest.mark.parametrize(
    ("policy", "words"), [(MisfirePolicy, Misfire), (DeliveryPolicy, Delivery)]
)
def test_a_policy_may_be_given_as_each_of_its_words(policy: object, words: type) -> None:
    kind, literal = get_args(policy)
    assert kind is words
    assert set(get_args(literal)) == {str(word) for word in words}
