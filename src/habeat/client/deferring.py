"""Writes that wait for a transaction of Django to commit: `Client(app, on_commit=True)`.

A call inside a transaction is made twice. At once it only plans: it reads Redis, checks everything,
raises what is wrong and returns what it would write. So most errors come while the transaction can
still be rolled back. When the transaction has committed, the call is made in earnest and plans
again, because other callers may have written in between. If the transaction is rolled back, nothing
is written. Outside a transaction, calls are made at once.
"""

from __future__ import annotations

from collections import UserList
from collections.abc import Callable, ItemsView, Iterator, KeysView, Mapping, ValuesView
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
        """The arguments of a call, in a form that can be kept until the call is made."""


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
        # Another caller's write may make the call plan again: it then needs the values again.
        if isinstance(given, dict):
            return {name: _read(value) for name, value in given.items()}
        return _read(given)


class OnCommit(AtOnce):
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
            return super().make(calls, change)
        planned = change(calls.planning())
        self._django.on_commit(partial(change, calls), using=self._database)
        return planned

    def kept(self, given: Any) -> Any:
        return kept(given) if self._in_transaction() else super().kept(given)

    def _in_transaction(self) -> bool:
        connection = self._django.get_connection(self._database)
        if connection.connection is None:  # before the first query
            autocommit = connection.settings_dict["AUTOCOMMIT"]
        else:
            autocommit = connection.get_autocommit()
        # Without autocommit and `atomic`, Django's on_commit raises: better than a write too early.
        return bool(connection.in_atomic_block or not autocommit)


def kept(given: Any) -> Any:
    """A copy, so that later changes to the original have no effect; iterators are read."""
    try:
        return _copied(given)
    except RecursionError:
        return given  # it cannot be stored: the call says so


def _copied(given: Any) -> Any:
    if isinstance(given, Mapping):  # also a Signature of Celery
        return {key: _copied(value) for key, value in given.items()}
    if isinstance(given, tuple):
        return tuple(map(_copied, given))
    if isinstance(given, list | UserList | KeysView | ValuesView | ItemsView | Iterator):
        return [_copied(value) for value in given]
    return set(given) if isinstance(given, set) else given


def _read(given: Any) -> Any:
    return list(given) if isinstance(given, Iterator) else given
