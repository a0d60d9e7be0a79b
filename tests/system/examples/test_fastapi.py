"""examples/fastapi: tenants schedule their reports through request handlers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.servers.processes import Processes
from tests.support.servers.redis_server import Server
from tests.system.examples.project import Project, needs, project_in

pytestmark = pytest.mark.slow


@pytest.fixture
def project(tmp_path: Path, processes: Processes, valkey: Server) -> Iterator[Project]:
    needs("fastapi", "uvicorn")
    yield from project_in("fastapi", "reports", tmp_path, processes, valkey)


def test_a_tenant_schedules_runs_and_removes_a_report(project: Project) -> None:
    worker = project.worker()
    web = project.web("uvicorn", "reports.web:app", "--port")
    sales = "/tenants/acme/reports/sales"
    wanted = {"cron": "0 8 * * mon-fri", "timezone": "Europe/Berlin"}
    status, made = web("PUT", sales, wanted)
    assert (status, made["name"]) == (200, "sales")
    assert "Europe/Berlin" in made["when"]
    assert web("PUT", sales, wanted) == (200, made)
    project.beat()
    assert web("POST", f"{sales}/run")[0] == 202
    worker.wait_for_log("report sales of tenant acme")

    # Another tenant sees nothing of it, and cannot touch it.
    assert web("GET", "/tenants/other/reports") == (200, [])
    assert web("DELETE", "/tenants/other/reports/sales")[0] == 404
    status, answer = web("PUT", "/tenants/acme/reports/often", {"cron": "* * * * *"})
    assert status == 403
    assert "300" in answer["detail"], answer
    status, answer = web("PUT", "/tenants/acme/reports/odd", {"cron": "61 * * * *"})
    assert (status, "61" in answer["detail"]) == (422, True)

    assert [each["name"] for each in web("GET", "/tenants/acme/reports")[1]] == ["sales"]
    assert web("DELETE", sales)[0] == 204
    assert list(project.client.list(prefix="acme:")) == []
