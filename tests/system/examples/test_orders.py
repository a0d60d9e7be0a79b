"""examples/orders: a workflow with retries and a chord, and the clean-up of each hour."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.servers.processes import Processes, until
from tests.support.servers.redis_server import Server
from tests.system.examples.project import Project, needs, project_in

pytestmark = pytest.mark.slow


@pytest.fixture
def project(tmp_path: Path, processes: Processes, valkey: Server) -> Iterator[Project]:
    needs("flask")
    yield from project_in("orders", "orders", tmp_path, processes, valkey)


def test_an_order_is_shipped_and_stale_ones_are_cleaned_up(project: Project) -> None:
    worker = project.worker()
    web = project.web("flask", "--app", "orders.web", "run", "--port")
    status, order = web("POST", "/orders", {"items": ["tea", "cups"]})
    assert status == 202
    project.beat("clean-up")
    path = f"/orders/{order['id']}"
    until(lambda: web("GET", path)[1]["state"] == "shipped", 20, worker.log)
    shipped = web("GET", path)[1]
    # The first attempt to charge failed; each item was reserved before the order was shipped.
    assert shipped == {**order, "attempts": 2, "items": {"tea": 1, "cups": 1}, "state": "shipped"}
    assert web("GET", "/orders/99")[0] == 404

    with closing(sqlite3.connect(project.folder / "orders.db")) as db, db:
        db.execute("insert into orders (state, created) values ('new', 0)")
    assert project.client.get("clean-up").schedule.describe().startswith("every hour")
    project.client.trigger("clean-up")
    worker.wait_for_log("deleted 1 stale orders")
    assert project.rows("orders.db", "select id, state from orders") == [(1, "shipped")]
