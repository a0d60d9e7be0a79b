"""Tasks with an `apply_async` of their own: when they declined to send, and when that is in doubt.

The classes are like those of celery_once and celery-singleton.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import redis
from celery import Celery, Task, states
from celery.exceptions import Ignore, Reject, Retry
from celery.result import EagerResult
from celery.signals import before_task_publish
from kombu import Connection
from kombu.messaging import Producer

from habeat.beat.broker.envelope import BoundedProducer
from habeat.ports import Answered, BrokerUnavailable, Parcel, PublishRefused, Unsent
from tests import DOCS
from tests.unit.beat.conftest import make_app
from tests.unit.beat.test_send_path import FIRING, Bench

Code = Callable[[Any, dict[str, Any]], Any]
#: What the class does to send, after all.
SENDS = object()


class AlreadyQueued(Exception):
    """As celery_once raises it."""


class LockLost(Exception):
    """Of the class too, but a connection failed."""


class Once(Task):  # type: ignore[misc]
    """Sends through Celery, unless its code does something else."""

    name = "proj.once"
    code: Code = staticmethod(lambda task, options: SENDS)

    def apply_async(self, args: Any = None, kwargs: Any = None, **options: Any) -> Any:
        result = self.code(self, options)
        return super().apply_async(args, kwargs, **options) if result is SENDS else result

    def run(self) -> None:
        """Never run here."""


class Elsewhere(Once):
    """Never sends through Celery."""

    name = "proj.elsewhere"

    def apply_async(self, *_: Any, **options: Any) -> Any:
        return self.code(self, options)


def answer_of(code: Code, kind: type[Once] = Once, app: Celery | None = None) -> Answered:
    (answer,) = answers_of(code, kind, app, times=1)
    return answer


def answers_of(
    code: Code, kind: type[Once] = Once, app: Celery | None = None, *, times: int
) -> list[Answered]:
    app = app or make_app(broker_url="memory://")
    task = kind()
    task.code = code
    app.tasks.pop(kind.name, None)
    app.register_task(task)
    bench = Bench(app, {"a": {"task": kind.name, "schedule": 60}})
    answers: list[Answered] = []
    for _ in range(times):
        rendered = bench.publisher.render(bench.declared.entries["a"], FIRING, "cluster", 1)
        assert not rendered.repeatable
        parcel = Parcel("a", FIRING.identity, rendered.envelope, 1)
        answers += bench.publisher.publish([parcel], 1_000).answers(1_000)
    return answers


def raising(error: BaseException, cause: BaseException | None = None) -> Code:
    def code(task: Any, options: dict[str, Any]) -> Any:
        if cause is None:
            raise error
        try:
            raise cause
        except BaseException:
            raise error  # noqa: B904 (as libraries do: the cause is the context)

    return code


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (lambda task, options: None, "declined"),
        (lambda task, options: False, "declined"),
        (lambda task, options: EagerResult(None, None, states.REJECTED), "declined"),
        (
            lambda task, options: EagerResult(options["task_id"], None, states.REJECTED),
            "declined",
        ),
        (lambda task, options: task.AsyncResult("of-another-message"), "declined"),
        (raising(AlreadyQueued("in 60 s")), "declined: AlreadyQueued"),
        (raising(AlreadyQueued(), FileExistsError("a lock")), "declined: AlreadyQueued"),
        (raising(Ignore()), "declined: Ignore"),
        (raising(Reject("no")), "declined: Reject"),
        (raising(Retry("later")), "declined: Retry"),
    ],
)
def test_a_task_that_declines_has_sent_nothing(code: Code, reason: str) -> None:
    answer = answer_of(code)
    assert isinstance(answer, Unsent)
    assert (answer.reason, answer.declined) == (reason, True)


@pytest.mark.parametrize(
    ("code", "text"),
    [
        (raising(TypeError("key")), "TypeError: key"),
        (raising(RuntimeError("key")), "RuntimeError: key"),
        (raising(SystemExit(1)), "SystemExit: 1"),
    ],
)
def test_a_task_that_fails_before_it_sends_is_broken(code: Code, text: str) -> None:
    answer = answer_of(code)
    assert isinstance(answer, Unsent)
    assert (answer.reason, answer.why, answer.declined) == (f"not sent: {text}", text, False)


def test_a_coroutine_function_sends_nothing() -> None:
    async def later() -> None:
        """Never awaited."""

    answer = answer_of(lambda task, options: later())
    assert isinstance(answer, Unsent)
    assert "is a coroutine function" in answer.why
    assert not answer.declined


@pytest.mark.parametrize(
    "code",
    [
        raising(ConnectionError("of the locks")),
        raising(redis.ConnectionError("of the locks")),
        raising(LockLost(), redis.TimeoutError("of the locks")),
    ],
)
def test_a_lock_that_cannot_be_reached_is_no_decision_of_the_task(code: Code) -> None:
    answer = answer_of(code)
    assert not (isinstance(answer, Unsent) and answer.declined)
    assert isinstance(answer, Unsent | PublishRefused | BrokerUnavailable)


def by_its_producer(task: Any, options: dict[str, Any]) -> None:
    """Under another task id, and it returns nothing."""
    Task.apply_async(task, (), {}, **{**options, "task_id": "another"})


def by_its_own_connection(task: Any, options: dict[str, Any]) -> None:
    with Connection("memory://") as connection:
        Producer(connection.channel()).publish({}, routing_key="elsewhere")


def by_the_channel(task: Any, options: dict[str, Any]) -> None:
    """Below what kombu's producer does."""
    channel = options["producer"].channel
    channel.basic_publish(channel.prepare_message("{}"), exchange="", routing_key="elsewhere")


def by_another_app(task: Any, options: dict[str, Any]) -> None:
    Celery("another", broker="memory://", set_as_current=False).send_task("any")


def twice(task: Any, options: dict[str, Any]) -> None:
    by_its_producer(task, options)
    by_its_producer(task, options)


def in_a_thread(task: Any, options: dict[str, Any]) -> None:
    sending = threading.Thread(target=by_another_app, args=(task, options))
    sending.start()
    sending.join()


@pytest.mark.parametrize(
    "code",
    [
        *(by_its_producer, by_its_own_connection, by_the_channel, by_another_app, twice),
        in_a_thread,
    ],
)
def test_a_message_that_was_published_is_never_declined(code: Code) -> None:
    assert answer_of(code) is None


@pytest.mark.parametrize(
    "code", [by_its_own_connection, by_another_app, in_a_thread, by_its_producer]
)
def test_a_refusal_after_a_message_is_no_refusal(code: Code) -> None:
    def both(task: Any, options: dict[str, Any]) -> None:
        code(task, options)
        raise AlreadyQueued

    assert isinstance(answer_of(both), PublishRefused)


def test_a_thread_that_still_runs_may_publish_later() -> None:
    over = threading.Event()

    def later(task: Any, options: dict[str, Any]) -> None:
        threading.Thread(target=over.wait, daemon=True).start()

    try:
        assert answer_of(later) is None
    finally:
        over.set()


def test_a_task_that_leaves_work_to_a_pool_is_never_declined() -> None:
    """The second time, the pool's thread is there already."""
    with ThreadPoolExecutor(1) as pool:

        def later(task: Any, options: dict[str, Any]) -> None:
            pool.submit(time.sleep, 0).result()

        assert answers_of(later, times=3) == [None] * 3


@pytest.mark.parametrize(
    "code",
    [
        lambda task, options: None,
        lambda task, options: task.AsyncResult(options["task_id"]),
        raising(AlreadyQueued()),
    ],
)
def test_a_task_that_never_sends_through_celery_cannot_be_watched(code: Code) -> None:
    answer = answer_of(code, Elsewhere)
    assert answer is None or isinstance(answer, PublishRefused)


def test_a_result_with_the_firings_own_id_stands_for_its_message() -> None:
    """As of a task that another process or service sends."""
    assert answer_of(lambda task, options: task.AsyncResult(options["task_id"])) is None


def test_a_task_that_runs_eagerly_has_run() -> None:
    app = make_app(broker_url="memory://", task_always_eager=True)
    assert answer_of(lambda task, options: SENDS, app=app) is None
    declined = answer_of(lambda task, options: EagerResult(None, None, states.REJECTED), app=app)
    assert isinstance(declined, Unsent)


def test_a_receiver_that_raises_keeps_no_message_back() -> None:
    """Celery logs the error of a receiver, whoever sends."""

    def receives(**_: Any) -> None:
        raise ValueError("of a receiver")

    before_task_publish.connect(receives, weak=False, dispatch_uid="raises")
    try:
        assert answer_of(lambda task, options: SENDS) is None
    finally:
        before_task_publish.disconnect(dispatch_uid="raises")


def test_the_class_of_the_guide_declines() -> None:
    page = DOCS / "guides" / "celery-classes.md"
    (block,) = re.findall(r"^```python\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE)
    names: dict[str, Any] = {"__name__": "example"}
    exec(compile(block, page.name, "exec", dont_inherit=True), names)

    class Guided(names["Once"], Once):  # type: ignore[misc]
        name = "proj.guided"

    first, second = answers_of(lambda task, options: SENDS, Guided, times=2)
    assert first is None
    assert isinstance(second, Unsent)
    assert second.declined


def test_kombu_is_left_as_it_was() -> None:
    before = vars(Producer)["_publish"]
    answer_of(lambda task, options: None)
    answer_of(raising(TypeError()))
    assert vars(Producer)["_publish"] is before


def test_what_it_asks_of_the_producer_counts_as_use() -> None:
    producer = BoundedProducer(object(), 1.0, lambda: 0)
    assert not producer.used
    assert producer.__class__ is BoundedProducer
    assert not producer.used
    repr(getattr(producer, "connection", None))
    assert producer.used
