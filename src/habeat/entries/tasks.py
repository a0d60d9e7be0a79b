"""Read what users give as a task.

Celery's objects are recognised by their attributes, because a client must not need Celery: a task
has a `name`, a signature or canvas is a dict with a "task". A canvas is kept as plain JSON with
everything nested in it: the tasks of a group, the header and body of a chord.
"""

from __future__ import annotations

from collections import UserList
from collections.abc import Mapping
from itertools import islice
from typing import Any

from habeat.errors import ValidationError
from habeat.printable import Kind, kind_of, repr_of

#: This many keys of a mistyped signature are in the error.
KEYS_SHOWN = 5

_TASK_ALLOWED = "a task's name, a task or a signature"


def task_of(given: Any) -> str | dict[str, Any]:
    """The task as it is stored; ValidationError (field ``task``)."""
    if isinstance(given, str):
        if given.strip():
            return given
    elif isinstance(given, Mapping):
        if isinstance(given.get("task"), str) and given["task"]:
            try:
                return {str(key): _plain(value) for key, value in given.items()}
            except RecursionError:
                raise ValidationError(
                    "task", given["task"], "a signature with less nesting"
                ) from None
    elif isinstance(name := getattr(given, "name", None), str) and name and callable(given):
        return name
    raise ValidationError("task", _shown(given), _TASK_ALLOWED)


def _shown(given: Any) -> Any:
    """What an error shows of it: not its values, which may be the arguments of a signature."""
    if not isinstance(given, Mapping):
        return given if given is None or isinstance(given, str | int) else kind_of(given)
    keys = ", ".join(repr_of(key) for key in islice(given, KEYS_SHOWN) if isinstance(key, str))
    return Kind(f"{kind_of(given)} with the keys {keys}") if keys else kind_of(given)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple | UserList):
        return [_plain(each) for each in value]
    return value
