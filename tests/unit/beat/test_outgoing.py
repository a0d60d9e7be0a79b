"""What a refusal says: the broker's library quotes headers, and they may be secrets."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest

from habeat.beat.broker.envelope import BoundedProducer, Publication, seal
from habeat.beat.message.outgoing import Outgoing
from habeat.beat.message.own_sending import OwnSending
from habeat.ports import (
    Answered,
    Parcel,
    PublishRefused,
    PublishUnknown,
    RenderFailed,
    Unsent,
)

HEADERS = {"task": "proj.work", "id": "some-task-id", "authorization": "Bearer hunter2"}


class Broker:
    """Refuses every message, quoting what py-amqp would."""

    def __init__(self, error: PublishRefused) -> None:
        self._error = error

    def is_troubled(self, entry: str) -> bool:
        return False

    def publish(self, message: Publication, attempt: int, timeout_s: float) -> Any:
        raise self._error


@pytest.mark.parametrize("kind", [PublishRefused, PublishUnknown])
def test_a_refusal_does_not_quote_the_users_headers(kind: type[PublishRefused]) -> None:
    problem = "task proj.work: key 'authorization' not handled [value: 'Bearer hunter2']"
    publication = Publication("[]", "application/json", "utf-8", {"headers": HEADERS})
    outgoing = Outgoing(Broker(kind(problem)), lambda: 0)  # type: ignore[arg-type]
    parcel = Parcel("e", "1000", seal([publication]), 1, ())
    (answer,) = outgoing.publish([parcel], 1_000).answers(1_000)
    assert type(answer) is kind
    assert "hunter2" not in str(answer)
    assert "task proj.work: key 'authorization' not handled [value: <headers[\"" in str(answer)


class AlreadyQueued(Exception):
    """As celery_once raises it in `apply_async`."""


class Connected(Broker):
    """Counts how often its connection is dropped."""

    producer = None

    def __init__(self) -> None:
        super().__init__(PublishRefused("probed"))
        self.dropped = 0

    def discard(self) -> None:
        self.dropped += 1

    def judged(self, error: BaseException, timeout_s: float) -> PublishRefused:
        return self._error


DECLINED = Unsent("declined: AlreadyQueued", "already queued", declined=True)


@pytest.mark.parametrize(
    ("error", "publishes", "unsent", "kind"),
    [
        (AlreadyQueued("already queued"), False, DECLINED, Unsent),
        (AlreadyQueued("already queued"), False, None, PublishUnknown),
        (AlreadyQueued("already queued"), True, None, PublishRefused),
        (ConnectionError("of a lock's Redis, or of the broker"), False, None, PublishRefused),
        (ValueError("of the entry"), False, None, PublishRefused),
    ],
)
def test_a_task_that_declines_to_send_costs_no_connection(
    error: Exception, publishes: bool, unsent: Unsent | None, kind: type[Answered]
) -> None:
    broker = Connected()
    outgoing = Outgoing(broker, lambda: 0)  # type: ignore[arg-type]

    def run(producer: BoundedProducer) -> OwnSending:
        if publishes:
            with contextlib.suppress(AttributeError):
                producer.publish("body")
        failed = RenderFailed(str(error))
        failed.__cause__ = error
        return OwnSending(7, failed, unsent)

    outgoing.keep(b"direct e@1000", run)
    handed = outgoing.publish([Parcel("e", "1000", b"direct e@1000", 1, ())], 1_000)
    (answer,) = handed.answers(9)
    assert type(answer) is kind
    assert handed.code_us == 7
    assert broker.dropped == (kind is PublishRefused)
    assert ("before it sent a message" in str(answer)) is (kind is PublishUnknown)
