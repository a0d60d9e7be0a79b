"""Read what users give as a task and as its options.

Celery's objects are recognised by their attributes, because a client must not need Celery: a task
has a `name`, a signature or canvas is a dict with a "task". A canvas is kept as plain JSON with
everything nested in it: the tasks of a group, the header and body of a chord.
"""

from __future__ import annotations

import difflib
import math
from collections import UserList
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from habeat.errors import ValidationError

_TASK_ALLOWED = "a task's name, a task or a signature"

#: Options of `apply_async` that habeat sets itself, or that cannot be stored.
_REFUSED = {
    "task_id": "options without task_id: habeat gives each firing its own",
    "args": "options without args, which is an argument of its own",
    "kwargs": "options without kwargs, which is an argument of its own",
    "producer": "options without producer: habeat publishes with its own",
    "connection": "options without connection: habeat uses its own",
    "publisher": "options without publisher: habeat publishes by itself",
}


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
    raise ValidationError("task", given, _TASK_ALLOWED)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple | UserList):
        return [_plain(each) for each in value]
    return value


def options_of(given: Any) -> dict[str, Any]:
    """The options of `apply_async`; ValidationError names the invalid one."""
    if given is None:
        return {}
    if not isinstance(given, Mapping) or not all(isinstance(key, str) for key in given):
        raise ValidationError("options", given, "a mapping with string keys")
    options = {name: value for name, value in given.items() if value is not None}
    check_names(options)
    for name, value in options.items():
        check, allowed = _CHECKS.get(name, (_anything, ""))
        if not check(value):
            raise ValidationError(f"options.{name}", value, allowed)
    if isinstance(expires := options.get("expires"), timedelta):
        options["expires"] = expires.total_seconds()
    return options


def check_names(options: Mapping[str, Any]) -> None:
    """ValidationError for an option that habeat sets itself, or whose name is a likely typo.

    A name that resembles no option is a property of the message, as with Celery.
    """
    for name, value in options.items():
        if name in _REFUSED and value is not None:
            raise ValidationError(f"options.{name}", value, _REFUSED[name])
        if name in _KNOWN or not isinstance(name, str):
            continue
        near = difflib.get_close_matches(name, _KNOWN, n=1, cutoff=0.75)
        if near:
            raise ValidationError(
                f"options.{name}",
                value,
                "an option of apply_async or a property of the message",
                problem=f"unknown option {name!r} (did you mean {near[0]!r}?)",
            )


def _anything(value: Any) -> bool:
    return True


def _number(value: Any) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and math.isfinite(value)


def _aware(value: Any) -> bool:
    return isinstance(value, datetime) and value.utcoffset() is not None


def _expiry(value: Any) -> bool:
    if isinstance(value, timedelta):
        return value > timedelta()
    return _aware(value) or (_number(value) and value > 0)


def _text(value: Any) -> bool:
    return isinstance(value, str) and bool(value)


_CHECKS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "countdown": (lambda value: _number(value) and value >= 0, "seconds, 0 or more"),
    "expires": (_expiry, "more than 0 seconds, or a datetime with a timezone"),
    "eta": (_aware, "a datetime with a timezone"),
    "priority": (
        lambda value: _number(value) and isinstance(value, int) and 0 <= value <= 255,
        "a whole number from 0 to 255",
    ),
    "headers": (
        lambda value: isinstance(value, Mapping) and all(isinstance(key, str) for key in value),
        "a mapping with string keys",
    ),
    "queue": (_text, "a queue's name"),
    "routing_key": (_text, "a non-empty string"),
    "exchange": (lambda value: isinstance(value, str), "an exchange's name"),
    "serializer": (_text, "a serializer's name"),
    "time_limit": (lambda value: _number(value) and value > 0, "more than 0 seconds"),
    "soft_time_limit": (lambda value: _number(value) and value > 0, "more than 0 seconds"),
}

#: Options of `apply_async` and `Producer.publish`, and the properties of AMQP and SQS messages.
_KNOWN = (
    *_CHECKS,
    *_REFUSED,
    *[
        "eta",
        "countdown",
        "expires",
        "queue",
        "routing_key",
        "exchange",
        "exchange_type",
        "priority",
        "serializer",
    ],
    *[
        "compression",
        "headers",
        "time_limit",
        "soft_time_limit",
        "ignore_result",
        "shadow",
        "retry",
    ],
    *[
        "retry_policy",
        "link",
        "link_error",
        "chain",
        "chord",
        "root_id",
        "parent_id",
        "group_id",
        "group_index",
    ],
    *["delivery_mode", "reply_to", "mandatory", "immediate", "user_id", "app_id", "message_id"],
    *["correlation_id", "content_type", "content_encoding", "expiration", "timestamp", "type"],
    *[
        "cluster_id",
        "declare",
        "timeout",
        "confirm_timeout",
        "argsrepr",
        "kwargsrepr",
        "origin",
        "add_to_parent",
    ],
    *["replaced_task_nesting", "stamped_headers", "router", "create_sent_event", "task_type"],
    *["periodic_task_name", "MessageGroupId", "MessageDeduplicationId", "DelaySeconds"],
)
