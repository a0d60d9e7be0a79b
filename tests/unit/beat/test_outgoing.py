"""What a refusal says: the broker's library quotes headers, and they may be secrets."""

from __future__ import annotations

from typing import Any

import pytest

from habeat.beat.broker.envelope import Publication, seal
from habeat.beat.message.outgoing import Outgoing
from habeat.ports import Parcel, PublishRefused, PublishUnknown, RenderFailed

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


@pytest.mark.parametrize(
    ("error", "publishes", "kind"),
    [
        (AlreadyQueued("already queued"), False, PublishUnknown),
        (AlreadyQueued("already queued"), True, PublishRefused),
        (ConnectionError("of a lock's Redis, or of the broker"), False, PublishRefused),
        (ValueError("of the entry"), False, PublishRefused),
    ],
)
def test_a_task_that_declines_to_send_costs_no_connection(
    error: Exception, publishes: bool, kind: type[PublishRefused]
) -> None:
    broker = Connected()
    outgoing = Outgoing(broker, lambda: 0)  # type: ignore[arg-type]

    def run(producer: Any) -> int:
        try:
            if publishes:
                producer.publish("body")
            raise error
        except Exception as why:
            raise RenderFailed(str(error)) from (why if why is error else error)

    outgoing.keep(b"direct e@1000", run)
    (answer,) = outgoing.publish([Parcel("e", "1000", b"direct e@1000", 1, ())], 1_000).answers(9)
    assert type(answer) is kind
    assert broker.dropped == (kind is PublishRefused)
    assert ("before it sent a message" in str(answer)) is (kind is PublishUnknown)
