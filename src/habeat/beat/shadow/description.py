"""How a message is recognised: its task, its queue, and a digest of its arguments.

Another beat's messages are seen as Celery's task-sent events, which have the arguments as text. So
the arguments of an entry are turned into text by the same function of Celery, and only a digest of
that text is kept. Celery's `send_task` shows a list where `apply_async` shows a tuple, so the two
are made alike.
"""

from __future__ import annotations

import hashlib
import json
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any

from celery import Celery

from habeat.beat.message.send_path import is_lazy
from habeat.core.entry import Entry
from habeat.core.firing import Firing
from habeat.ports import RenderFailed
from habeat.schedules.interval import Interval

#: At most this many tasks are remembered: those used last.
TASKS_KEPT = 10_000
#: Of arguments that are computed for each message.
ANY_ARGUMENTS = ""
CodeParts = Callable[[Entry], Mapping[str, Any]]
_ALIKE = str.maketrans("()", "[]")


class Describer:
    """Describes the messages of firings without building them."""

    def __init__(self, app: Celery, code_parts: CodeParts) -> None:
        """`code_parts` returns the arguments and options of an entry that exist only in code."""
        self._app = app
        self._code_parts = code_parts
        self._tasks: OrderedDict[str, None] = OrderedDict()

    def has_task(self, task: str) -> bool:
        """Whether a firing with this task has been described, lately."""
        return task in self._tasks

    def describe(self, entry: Entry, firing: Firing) -> bytes:
        """The message of this firing as `store/shadow_log.py` keeps it. RenderFailed."""
        task, queue, digest = self._message_of(entry)
        self._remember(task)
        schedule = entry.schedule
        words = {
            "would": entry.name,
            "slot": firing.slot_ms,
            "task": task,
            "queue": queue,
            "arguments": digest,
            "period": schedule.every_ms if isinstance(schedule, Interval) else None,
        }
        return json.dumps(words, separators=(",", ":")).encode()

    def _message_of(self, entry: Entry) -> tuple[str, str, str]:
        """Task, queue and digest; a workflow has only a name, as its messages depend on Celery."""
        if not isinstance(entry.task, str) or entry.task.startswith("celery.ch"):
            return entry.task_name, "", ANY_ARGUMENTS
        try:
            args, kwargs = list(entry.args or ()), dict(entry.kwargs or {})
            options = self._options(entry)
            queue = queue_of(self._app, entry.task, args=args, kwargs=kwargs, options=options)
        except Exception as error:  # a router of the project, or a queue that does not exist
            raise RenderFailed(f"its queue cannot be found: {type(error).__name__}") from error
        if "args" in entry.from_code or is_lazy(args, kwargs):
            return entry.task, queue, ANY_ARGUMENTS
        return entry.task, queue, self._digest(entry.task, args, kwargs, options)

    def _options(self, entry: Entry) -> dict[str, Any]:
        registered = self._app.tasks.get(entry.task)
        of_task = {} if registered is None else registered._get_exec_options()
        own = self._code_parts(entry).get("options", entry.options)
        return {**of_task, **own}

    def _digest(
        self, task: str, args: list[Any], kwargs: dict[str, Any], options: Mapping[str, Any]
    ) -> str:
        shown = {name: options[name] for name in ("argsrepr", "kwargsrepr") if name in options}
        try:
            return digest_as_sent(self._app, task, args, kwargs, **shown)
        except Exception as error:
            raise RenderFailed(f"its arguments cannot be used: {type(error).__name__}") from error

    def _remember(self, task: str) -> None:
        self._tasks[task] = None
        self._tasks.move_to_end(task)
        if len(self._tasks) > TASKS_KEPT:
            self._tasks.popitem(last=False)


def queue_of(
    app: Celery, task: str, *, args: list[Any], kwargs: dict[str, Any], options: dict[str, Any]
) -> str:
    """The queue that Celery would choose, as a task-sent event names it; "" if by exchange."""
    routed = app.amqp.router.route(dict(options), task, args, kwargs)
    queue = routed.get("queue")
    if queue is None and routed.get("exchange") is None:
        queue = app.amqp.default_queue
    return str(getattr(queue, "name", queue) or "")


def digest_as_sent(
    app: Celery, task: str, args: list[Any], kwargs: dict[str, Any], **shown: Any
) -> str:
    """The digest of these arguments as a task-sent event shows them; raises what Celery raises."""
    message = app.amqp.create_task_message("-", task, args, kwargs, create_sent_event=True, **shown)
    event = message.sent_event
    return digest_of(event.get("args"), event.get("kwargs"))


def digest_of(args: object, kwargs: object) -> str:
    """A short digest of arguments as text; the text itself may hold secrets and is not kept."""
    words = f"{_like_a_list(args)}\n{_like_a_list(kwargs)}"
    return hashlib.sha256(words.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def _like_a_list(shown: object) -> str:
    """The text with tuples written as lists; no arguments at all are an empty text."""
    words = str(shown or "").translate(_ALIKE).replace(",]", "]")
    return "" if words in ("[]", "{}", "None") else words
