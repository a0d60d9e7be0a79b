"""The options of `apply_async` that an entry may have: their names, and checks of their values.

An option that nothing reads is a mistake, so its name is refused. `_READERS` lists what Celery,
kombu and kombu's transports read. Code of the project, such as a router or a task class, may read
others; `habeat_own_options` names those.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Collection, Mapping
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

from habeat.errors import ValidationError
from habeat.printable import kind_of

#: Options of `apply_async` that habeat sets itself, or that cannot be stored.
_REFUSED = {
    "task_id": "options without task_id: habeat gives each firing its own",
    "args": "options without args, which is an argument of its own",
    "kwargs": "options without kwargs, which is an argument of its own",
    "producer": "options without producer: habeat publishes with its own",
    "connection": "options without connection: habeat uses its own",
    "publisher": "options without publisher: habeat publishes by itself",
}


#: Who reads which option, in addition to those whose values are checked below.
_READERS: Mapping[str, str] = {
    "Task.apply_async and Celery.send_task": "add_to_parent chain chord group_id group_index "
    "ignore_result link link_error parent_id replaced_task_nesting reply_to result_cls retries "
    "root_id route_name router shadow task_type",
    "AMQP.as_task_v2": "argsrepr create_sent_event kwargsrepr now origin stamped_headers timezone",
    "AMQP.send_task_message": "compression confirm_timeout declare delivery_mode "
    "event_dispatcher exchange_type retry retry_policy timeout",
    "Producer.publish": "content_encoding content_type expiration immediate mandatory",
    "canvas": "app eager interval max_retries",
    "AMQP's message properties": "app_id cluster_id correlation_id message_id timestamp type "
    "user_id",
    "SQS, SNS and pgmq": "DelaySeconds MessageDeduplicationId MessageGroupId delay_seconds "
    "message_attributes",
    "django-celery-beat": "periodic_task_name",
}


def options_of(given: Any) -> dict[str, Any]:
    """The options of `apply_async`; ValidationError names the invalid one."""
    if given is None:
        return {}
    if not isinstance(given, Mapping) or not all(isinstance(key, str) for key in given):
        raise ValidationError("options", kind_of(given), "a mapping with string keys")
    options = {name: value for name, value in given.items() if value is not None}
    for name, value in options.items():
        check, allowed = _CHECKS.get(name, (_anything, ""))
        if not check(value):
            raise ValidationError(f"options.{name}", value, allowed)
    if isinstance(expires := options.get("expires"), timedelta):
        options["expires"] = expires.total_seconds()
    return options


def check_names(options: Mapping[str, Any], own: Collection[str] = ()) -> None:
    """ValidationError for an option that habeat sets itself, or that nothing reads.

    `own` are names that code of the project reads (`habeat_own_options`).
    """
    stamps = options.get("stamped_headers") or ()
    for name, value in options.items():
        if name in _REFUSED and value is not None:
            raise ValidationError(f"options.{name}", kind_of(value), _REFUSED[name])
        if name in KNOWN or name in own or name in stamps:
            continue
        raise ValidationError(
            f"options.{name}",
            kind_of(value),
            "an option that Celery or its transports read; if code of yours reads it, name it in "
            "habeat_own_options",
            problem=f"unknown option {name!r}{_hint(str(name))}",
        )


def is_misspelt(name: Any) -> bool:
    """Whether the name of an unknown option is likely to mean a known one."""
    return bool(_hint(str(name)))


@lru_cache(maxsize=256)  # a beat_schedule may have the same option in thousands of entries
def _hint(name: str) -> str:
    near = difflib.get_close_matches(name, KNOWN, n=1, cutoff=0.75)
    return f" (did you mean {near[0]!r}?)" if near else ""


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

#: The names of all options that are read by something.
KNOWN = frozenset((*_CHECKS, *_REFUSED, *" ".join(_READERS.values()).split()))
