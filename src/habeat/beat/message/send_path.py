"""Run Celery's own send path for one firing.

The message is the one that beat would send: by `task.apply_async` for a registered task, by
`send_task` for a name that this process does not know, and by the canvas's own `apply_async` for a
chain, group or chord. habeat adds the firing's task id, its headers, and an absolute `expires`,
which counts from the effective time and not from the moment of sending. The entry's own
dictionaries are never changed.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from celery import Celery, Task
from celery.beat import BeatLazyFunc
from celery.result import denied_join_result

from habeat.beat.broker.envelope import Publication
from habeat.core.entry import Entry
from habeat.core.expiry import at_ms, expires_ms
from habeat.core.firing import Firing

_ABSENT = object()
CANVAS = {"celery.chain": "chain", "celery.group": "group", "celery.chord": "chord"}


def iso(at_ms: int) -> str:
    """ISO 8601 in UTC with milliseconds."""
    at = datetime.fromtimestamp(at_ms / 1_000, UTC)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def send(
    app: Celery,
    task: str | Mapping[str, Any],
    args: Any,
    kwargs: Any,
    options: Mapping[str, Any],
    producer: Any,
    send_task: Callable[..., Any] | None = None,
) -> Any:
    """Send through Celery, to `producer`; `send_task` is the scheduler's, for unknown names.

    Joining results is denied in the meantime. Otherwise, a Redis result backend would subscribe to
    every task id, and nothing would ever read the replies (celery/celery#6963).
    """
    with denied_join_result(), everything_to(app, producer):
        canvas = as_canvas(app, task, args, kwargs)
        if canvas is not None:
            return canvas.apply_async(producer=producer, **options)
        registered = app.tasks.get(task)
        if registered is not None:
            return registered.apply_async(args, kwargs, producer=producer, **options)
        send_task = send_task or app.send_task
        return send_task(task, args, kwargs, producer=producer, **options)


@contextmanager
def everything_to(app: Celery, producer: Any) -> Iterator[None]:
    """In this block, everything that this thread sends through the app goes to `producer`.

    A chain and a chord do not pass the producer that they get on to their tasks, which then ask
    the app for one. Other threads still get their own, for example a worker's under ``-B`` with a
    pool of threads.
    """
    ours = threading.get_ident()
    usual = app.producer_or_acquire

    def producer_or_acquire(given: Any = None) -> Any:
        if given is None and threading.get_ident() == ours:
            given = producer
        return usual(given)

    app.producer_or_acquire = producer_or_acquire
    try:
        yield
    finally:
        del app.producer_or_acquire


def as_canvas(app: Celery, task: str | Mapping[str, Any], args: Any, kwargs: Any) -> Any | None:
    """The signature to apply if the entry's task is one; None for a plain task."""
    if isinstance(task, Mapping):
        signature = app.signature(dict(task))
        return signature.clone(args, kwargs) if args or kwargs else signature
    subtype = CANVAS.get(task)
    if subtype is None:
        return None
    return app.signature(
        {"task": task, "args": args, "kwargs": kwargs, "options": {}, "subtask_type": subtype}
    )


def options_for(
    app: Celery,
    entry: Entry,
    firing: Firing,
    *,
    given: Mapping[str, Any],
    task_id: str,
    lease_epoch: int,
) -> dict[str, Any]:
    """The options to send with: the entry's, plus the firing's task id, headers and expiry."""
    options = dict(given)
    headers = dict(options.get("headers") or {})
    headers["celery_beat_task"] = True
    headers.setdefault("periodic_task_name", entry.name)
    headers["habeat_entry"] = entry.name
    headers["habeat_slot"] = iso(firing.slot_ms)
    headers["habeat_lease_epoch"] = lease_epoch
    headers["habeat_attempt"] = 1
    options["headers"] = headers
    options["task_id"] = task_id
    if _is_sqs(app):  # of two messages with one id, a FIFO queue drops the second
        options.setdefault("MessageDeduplicationId", task_id)
    expires = options.get("expires", expires_of_task(app, entry.task))
    ends_ms = expires_ms(entry, firing, expires)
    if ends_ms is not None and not _is_instant(expires, ends_ms):
        options["expires"] = datetime.fromtimestamp(ends_ms / 1_000, UTC)
    return options


def _is_instant(expires: Any, ms: int) -> bool:
    """Whether this is that instant already, to the millisecond; then its microseconds are kept."""
    return isinstance(expires, datetime) and expires.tzinfo is not None and at_ms(expires) == ms


def expiry_of(
    app: Celery, entry: Entry, firing: Firing, published: Sequence[Publication]
) -> int | None:
    """When all messages of a firing have expired, as they say it themselves; None if never.

    Where the headers cannot say it (Celery's first protocol, or a message that is not built yet),
    the entry's own expiry counts.
    """
    said = [message.arguments["headers"].get("expires", _ABSENT) for message in published]
    if not said or _ABSENT in said:
        return expires_ms(entry, firing, entry.options.get("expires"))
    found = [each for text in said if (each := _instant_ms(app, text)) is not None]
    return max(found) if len(found) == len(said) else None


def _instant_ms(app: Celery, text: Any) -> int | None:
    try:
        instant = datetime.fromisoformat(text)
        return at_ms(instant if instant.tzinfo else instant.replace(tzinfo=app.timezone))
    except (TypeError, ValueError):
        return None  # a worker cannot read it either


def _is_sqs(app: Celery) -> bool:
    url = app.conf.broker_write_url or app.conf.broker_url
    return isinstance(url, str) and url.startswith("sqs")


def expires_of_task(app: Celery, task: str | Mapping[str, Any]) -> Any:
    """The `expires` of a registered task's class; None if it has none."""
    return getattr(app.tasks.get(task), "expires", None) if isinstance(task, str) else None


def evaluated(args: Any, kwargs: Any) -> tuple[list[Any], dict[str, Any]]:
    """The arguments with lazy ones called, as Celery's beat does for each firing."""
    return [_called(value) for value in args or ()], {
        name: _called(value) for name, value in (kwargs or {}).items()
    }


def _called(value: Any) -> Any:
    return value() if isinstance(value, BeatLazyFunc) else value


def is_lazy(args: Any, kwargs: Any) -> bool:
    """Whether an argument is computed for each firing."""
    values = [*(args or ()), *(kwargs or {}).values()]
    return any(isinstance(value, BeatLazyFunc) for value in values)


def goes_its_own_way(app: Celery, task: str | Mapping[str, Any]) -> str:
    """Why this task's messages cannot be recorded on Celery's send path; "" if they can."""
    if app.conf.task_always_eager:
        return "task_always_eager runs the task in this process"
    registered = app.tasks.get(task) if isinstance(task, str) else None
    if registered is not None and type(registered).apply_async is not Task.apply_async:
        return "the task's class has an apply_async of its own"
    return ""
