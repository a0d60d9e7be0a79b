"""Each firing is logged as Celery's beat does; a burst is summed up."""

from __future__ import annotations

import pytest

from habeat.core.firing import Firing
from habeat.engine.due_task_log import LINES_PER_SECOND, DueTaskLog
from habeat.ports import Claim, Expected, Next, Rendered

NOW_US = 1_750_000_000_000_000


def claim(task: str = "proj.tick") -> Claim:
    firing = Firing("tick", 1_000, 1_000)
    rendered = Rendered(b"message", task=task)
    return Claim(firing, Expected("", 1_000, 0), Next(None, None), rendered, "")


def test_a_firing_is_logged_in_celerys_words(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO", "celery.beat"):
        DueTaskLog().sent(claim(), NOW_US)
    assert caplog.messages == ["Scheduler: Sending due task tick (proj.tick)"]


def test_a_task_cannot_forge_a_line(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO", "celery.beat"):
        DueTaskLog().sent(claim("proj.tick)\nScheduler: forged\x1b[2J"), NOW_US)
    assert caplog.messages == [
        r"Scheduler: Sending due task tick (proj.tick)\nScheduler: forged\x1b[2J)"
    ]


def test_what_celery_has_logged_is_not_logged_again(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO", "celery.beat"):
        DueTaskLog().sent(claim(task=""), NOW_US)
    assert caplog.messages == []


def test_a_burst_is_summed_up_and_the_next_second_is_listed_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    lines = DueTaskLog()
    with caplog.at_level("INFO", "celery.beat"):
        for _ in range(LINES_PER_SECOND + 7):
            lines.sent(claim(), NOW_US)
        lines.sent(claim(), NOW_US + 1_000_000)
        lines.sum_up()
    assert len(caplog.messages) == LINES_PER_SECOND + 2
    assert "Sending 7 more due tasks" in caplog.messages[-2]
    assert caplog.messages[-1] == "Scheduler: Sending due task tick (proj.tick)"


def test_nothing_is_logged_above_info(caplog: pytest.LogCaptureFixture) -> None:
    lines = DueTaskLog()
    with caplog.at_level("WARNING", "celery.beat"):
        for _ in range(2 * LINES_PER_SECOND):
            lines.sent(claim(), NOW_US)
        lines.sum_up()
    assert caplog.messages == []
