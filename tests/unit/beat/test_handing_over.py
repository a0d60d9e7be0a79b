"""What a leader that is stopped says it handed over."""

from __future__ import annotations

import logging

import pytest

from habeat.beat.handing_over import HandedOver


@pytest.mark.parametrize(
    ("handed", "said"),
    [
        (
            HandedOver(7, prepared=0, in_flight=0, to="web-2 pid 9", took_ms=4),
            "web-2 pid 9 leads after 4 ms; nothing in flight",
        ),
        (
            HandedOver(7, prepared=2, in_flight=1),
            "the lease is released, and no replica has taken it yet; 1 message in flight left to "
            "the next leader; 2 prepared messages discarded, to be built again",
        ),
        (
            HandedOver(7, prepared=0, failed="ConnectionError"),
            "the lease could not be released (ConnectionError), and expires",
        ),
    ],
)
def test_the_line_says_what_and_to_whom(
    handed: HandedOver, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, logger="habeat"):
        handed.log()
    (record,) = caplog.records
    assert record.getMessage() == f"habeat: stopped leading (lease epoch 7): {said}"
    assert record.__dict__["habeat_cause"] == "stop"
