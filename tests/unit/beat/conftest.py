"""An app with a few tasks, that connects to nothing."""

from __future__ import annotations

import pytest
from celery import Celery


def make_app(**conf: object) -> Celery:
    app = Celery("proj", broker="memory://", set_as_current=False)
    app.conf.update(timezone="Europe/Berlin", **conf)

    @app.task(name="proj.add", shared=False)
    def add(a: int, b: int) -> int:
        return a + b

    @app.task(name="proj.expiring", expires=30, shared=False)
    def expiring() -> None:
        """A task whose class says how long it is good for."""

    app.finalize()
    return app


@pytest.fixture
def app() -> Celery:
    return make_app()
