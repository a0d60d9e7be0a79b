"""Tasks that send their message themselves, and whether they declined to.

The class of such a task has an `apply_async` of its own, which may send nothing: celery_once raises
AlreadyQueued, or returns a rejected result; celery-singleton returns the result of the message that
is queued already. Celery's beat goes on to the next slot. So does habeat, if the class declined for
sure. A message that did go out must never be recorded as declined, so all of these must hold:

- The class sends through Celery: one of its methods mentions Celery's own way to send. A class that
  sends by other means cannot be watched.
- Nothing was published through kombu in the whole process, by any thread, until it returned.
- It began no thread that still runs and may publish later, now or at an earlier firing.
- What it returned is nothing, or a result with another task id, or one that is rejected. Or it
  raised an exception of its own (`_refuses`), which no failing connection caused.

An exception that is no refusal, and before which nothing was published, is a failure of the class.
Whatever remains in doubt is judged as before: a return means that the message was sent.
"""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import CodeType, TracebackType
from typing import Any

import redis
from amqp.exceptions import AMQPError
from celery import Celery, Task, states
from celery.exceptions import TaskPredicate
from celery.result import ResultBase
from kombu.exceptions import KombuError
from kombu.messaging import Producer

from habeat.beat.broker.blame import Blame, blame, may_be_of_a_connection
from habeat.core.firing import DECLINED, DECLINED_BY, NOT_SENT
from habeat.ports import RenderFailed, Unsent

#: Names that code mentions which sends through Celery.
_CELERYS = frozenset(("apply_async", "send_task", "send_task_message", "delay"))
_CONNECTIONS = (
    ConnectionError,
    TimeoutError,
    redis.ConnectionError,
    redis.TimeoutError,
    AMQPError,
    KombuError,
)
_NOT_TAKEN = frozenset((states.REJECTED, states.REVOKED, states.IGNORED))
_PUBLISH = "_publish"


class PublishWatch:
    """Sees whether anything is published through kombu in this process, or left to a thread.

    It replaces the method that every `publish` of kombu ends in while the code runs.
    """

    def __init__(self) -> None:
        self.published = False
        #: Whether a thread that began meanwhile still runs: it may publish later.
        self.began_thread = False
        self._threads: frozenset[threading.Thread] = frozenset()
        self._usual: Callable[..., Any] | None = None
        self._counting: Callable[..., Any] | None = None

    def __enter__(self) -> PublishWatch:
        self._threads = frozenset(threading.enumerate())
        usual = self._usual = vars(Producer).get(_PUBLISH)
        if usual is None:
            self.published = True  # another kombu: nothing is known
            return self

        def counting(producer: Any, *args: Any, **given: Any) -> Any:
            self.published = True
            return usual(producer, *args, **given)

        self._counting = counting
        setattr(Producer, _PUBLISH, counting)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._counting is not None and vars(Producer).get(_PUBLISH) is self._counting:
            setattr(Producer, _PUBLISH, self._usual)
        elif self._counting is not None:
            self.published = True  # someone replaced it meanwhile: nothing is known
        now = threading.enumerate()
        self.began_thread = any(thread not in self._threads for thread in now)


@dataclass(frozen=True, slots=True)
class OwnSending:
    """What a task's own code did: the time it took, its error, and why it sent nothing.

    `unsent` is None if it sent the message, or may have.
    """

    code_us: int
    error: RenderFailed | None = None
    unsent: Unsent | None = None


def why_unsent(
    task: Task | None, task_id: str, returned: object, error: RenderFailed | None
) -> Unsent | None:
    """Why the task's code sent nothing, if no publication was seen; None if it may have.

    `error` is what it raised, without arguments; its cause is the exception itself.
    """
    if task is None or not sends_through_celery(task):
        return None
    if error is None:
        return _by_return(task_id, returned)
    cause = error.__cause__ or error
    if _refuses(task, cause):
        kind = type(cause).__name__
        return Unsent(f"{DECLINED_BY}{kind}", str(error), declined=True)
    if blame(cause) is Blame.ENTRY or not may_be_of_a_connection(cause):
        return Unsent(f"{NOT_SENT}{error}", str(error), declined=False)
    return None


def _by_return(task_id: str, returned: object) -> Unsent | None:
    if inspect.iscoroutine(returned):
        if inspect.getcoroutinestate(returned) != inspect.CORO_CREATED:
            return None
        returned.close()  # no part of it has run
        why = "its apply_async is a coroutine function, which Celery never runs"
        return Unsent(f"{NOT_SENT}{why}", why, declined=False)
    return Unsent(DECLINED, "", declined=True) if _declines(task_id, returned) else None


def _declines(task_id: str, returned: object) -> bool:
    if returned is None or returned is False:
        return True
    if not isinstance(returned, ResultBase):
        return False
    rejected = getattr(returned, "_state", "") in _NOT_TAKEN  # of an EagerResult: asks no backend
    return rejected or getattr(returned, "id", task_id) != task_id


def sends_through_celery(task: Task) -> bool:
    """Whether the class with the task's own `apply_async` mentions Celery's way to send."""
    own = next((kind for kind in type(task).__mro__ if "apply_async" in vars(kind)), Task)
    if own is Task:
        return False
    return any(not _CELERYS.isdisjoint(_names(each)) for each in vars(own).values())


def _own_classes(task: Task) -> list[type]:
    """The classes of a task that are neither Celery's nor Python's."""
    return [kind for kind in type(task).__mro__ if _package(kind) not in ("celery", "builtins")]


def _names(function: object) -> Iterator[str]:
    """The names that the code of a function mentions, also below decorators."""
    found = inspect.unwrap(function) if callable(function) else function
    code = getattr(getattr(found, "__func__", found), "__code__", None)
    if isinstance(code, CodeType):
        yield from _mentioned(code)


def _mentioned(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for each in code.co_consts:
        if isinstance(each, CodeType):
            yield from _mentioned(each)


def _refuses(task: Task, error: BaseException) -> bool:
    """Whether an exception says that the class does not want to send.

    It does if it is Celery's Ignore, Reject or Retry, or if its class is defined in the package of
    one of the task's own classes. The class may be in trouble all the same, as if the server of its
    locks does not answer: then another exception caused it.
    """
    if isinstance(error, TaskPredicate):
        return True
    packages = {_package(kind) for kind in _own_classes(task)}
    return _package(type(error)) in packages and not _of_a_connection(error)


def _of_a_connection(error: BaseException) -> bool:
    """Whether it, or an error that led to it, is that a connection failed."""
    seen: set[int] = set()
    following: BaseException | None = error
    while following is not None and id(following) not in seen:
        seen.add(id(following))
        if isinstance(following, _CONNECTIONS):
            return True
        following = following.__cause__ or following.__context__
    return False


def _package(kind: type) -> str:
    return str(kind.__module__).partition(".")[0]


def task_of(app: Celery, task: str | Mapping[str, Any]) -> Task | None:
    """The registered task of an entry; None for a canvas, and for a name that is not registered."""
    return app.tasks.get(task) if isinstance(task, str) else None
