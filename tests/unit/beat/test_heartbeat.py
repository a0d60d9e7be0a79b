"""The liveness file: touched at every tick, and what goes wrong with it is said once."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from celery import Celery

from habeat.beat.scheduler import Scheduler


def test_a_file_that_cannot_be_touched_is_reported_once_and_once_when_it_can(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "habeat")
    file = tmp_path / "run" / "beat-alive"
    app = Celery("proj", broker="redis://127.0.0.1:1/0")
    app.conf.habeat_heartbeat_file = str(file)
    scheduler = Scheduler(app, lazy=True)

    def ticks() -> list[str]:
        caplog.clear()
        for _ in range(3):
            scheduler._touch(str(file))
        return [record.getMessage() for record in caplog.records]

    (found,) = ticks()
    assert found.startswith("habeat: habeat_heartbeat_file cannot be touched: ")
    assert ticks() == []
    file.parent.mkdir()
    assert ticks() == ["habeat: habeat_heartbeat_file is touched again"]
    assert file.exists()
    assert ticks() == []
    file.unlink()
    file.parent.rmdir()
    assert len(ticks()) == 1
