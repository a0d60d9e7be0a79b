"""The advice in an error can be followed as it stands."""

from __future__ import annotations

import inspect

import pytest

from habeat import Client, errors


def test_a_new_name_that_is_taken_cannot_be_replaced() -> None:
    assert str(errors.EntryExists("a", "api", "choose another name")).endswith(
        "already exists: choose another name"
    )
    assert "choose another name" in str(errors.EntryExists("a", "config"))


def test_an_entry_is_read_again_only_by_who_gave_a_revision() -> None:
    assert str(errors.RevisionConflict("a", 3, 5)).endswith("at revision 5, not 3; read it again")
    assert "was removed" in str(errors.RevisionConflict("a", 3, None))
    assert str(errors.RevisionConflict("a", None, 5)).endswith("at every attempt: call again")


@pytest.mark.parametrize("argument", ["timeout", "long_timeout"])
def test_more_time_is_given_by_an_argument_of_the_client(argument: str) -> None:
    error = errors.CallTimeout(5.0, argument=argument)
    assert str(error).endswith(f"give the client a longer {argument}")
    assert error.argument in inspect.signature(Client).parameters
