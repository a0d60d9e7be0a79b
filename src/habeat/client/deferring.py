"""Writes that wait for a transaction of Django to commit: `Client(app, on_commit=True)`.

A call inside a transaction is made twice. At once it only plans: it reads Redis, checks everything,
raises what is wrong and returns what it would write. So most errors come while the transaction can
still be rolled back. When the transaction has committed, the call is made in earnest and plans
again, because other callers may have written in between. If the transaction is rolled back, nothing
is written. Outside a transaction, calls are made at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from importlib import import_module
from typing import Any, Protocol, TypeVar

from habeat.client.calls import RetryingCalls
from habeat.errors import ValidationError

Result = TypeVar("Result")


class Writes(Protocol):
    """When the calls that change something are made."""

    def make(self, calls: RetryingCalls, change: Callable[[RetryingCalls], Result]) -> Result: ...

    def kept(self, given: Any) -> Any:
        """What is given to a call, as it must be kept until the call is made."""


def writes_for(on_commit: Any) -> Writes:
    """The writes for the argument `on_commit` of a Client; ValidationError."""
    if on_commit is False:
        return AtOnce()
    if on_commit is True or (isinstance(on_commit, str) and on_commit):
        return OnCommit(None if on_commit is True else on_commit)
    allowed = "True, False, or the alias of a database in Django's DATABASES"
    raise ValidationError("on_commit", on_commit, allowed)


class AtOnce:
    """Each call is made when it is called."""

    def make(self, calls: RetryingCalls, change: Callable[[RetryingCalls], Result]) -> Result:
        return change(calls)

    def kept(self, given: Any) -> Any:
        return given


class OnCommit:
    """A call in a transaction of this database (None: the default one) waits for its commit."""

    def __init__(self, database: str | None) -> None:
        try:
            self._django = import_module("django.db.transaction")
        except ImportError:
            allowed = "False, because Django is not installed"
            raise ValidationError("on_commit", database or True, allowed) from None
        self._database = database

    def make(self, calls: RetryingCalls, change: Callable[[RetryingCalls], Result]) -> Result:
        if not self._in_transaction():
            return change(calls)
        planned = change(calls.planning())
        self._django.on_commit(partial(change, calls), using=self._database)
        return planned

    def kept(self, given: Any) -> Any:
        return kept(given) if self._in_transaction() else given

    def _in_transaction(self) -> bool:
        connection = self._django.get_connection(self._database)
        # Without autocommit and `atomic`, Django's on_commit raises: better than a write too early.
        by_hand = connection.connection is not None and not connection.get_autocommit()
        return bool(connection.in_atomic_block or by_hand)


def kept(given: Any) -> Any:
    """A copy that later changes of what was given do not reach; iterators are read."""
    try:
        return _copied(given)
    except RecursionError:
        return given  # it cannot be stored: the call says so


def _copied(given: Any) -> Any:
    if isinstance(given, Iterator):
        given = list(given)
    if type(given) is dict:
        return {key: _copied(value) for key, value in given.items()}
    if type(given) in (list, tuple, set):
        return type(given)(map(_copied, given))
    return given
