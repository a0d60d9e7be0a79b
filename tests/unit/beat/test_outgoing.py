"""What a refusal says: the broker's library quotes headers, and they may be secrets."""

from __future__ import annotations

from typing import Any

import pytest

from habeat.beat.broker.envelope import Publication, seal
from habeat.beat.message.outgoing import Outgoing
from habeat.ports import Parcel, PublishRefused, PublishUnknown

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
