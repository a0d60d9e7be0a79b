"""The examples of the Python API run as they stand in docs/reference/python-api.md."""

from __future__ import annotations

import re
import sys
import types
from typing import Any

import pytest
from celery import Celery

from habeat import Client
from habeat.errors import NotAllowed
from tests import DOCS
from tests.support.servers.redis_server import Server

PAGE = DOCS / "reference" / "python-api.md"
BLOCK = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)


@pytest.fixture
def project(valkey: Server, monkeypatch: pytest.MonkeyPatch) -> Celery:
    """What `from proj.celery import app` finds."""
    app = Celery("proj", broker=valkey.url(), set_as_current=False)
    module = types.ModuleType("proj.celery")
    module.app = app  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "proj", types.ModuleType("proj"))
    monkeypatch.setitem(sys.modules, "proj.celery", module)
    return app


def test_the_examples_of_the_python_api_run(project: Celery) -> None:
    """All of the page's Python, in one namespace, top to bottom."""
    blocks = BLOCK.findall(PAGE.read_text())
    assert len(blocks) >= 5
    many = [
        {"name": f"tenant-7:{number}", "task": "proj.tasks.report", "schedule": 300}
        for number in range(3)
    ]
    names: dict[str, Any] = {"__name__": "example", "entries": many}
    clients: list[Client] = []
    for block in blocks:
        exec(compile(block, PAGE.name, "exec", dont_inherit=True), names)
        if names["client"] not in clients:
            clients.append(names["client"])

    open_client, guarded = clients
    stored = {entry.name for entry in open_client.list()}
    added = {"report", "copy", "daily", "hourly", "0", "1", "2"}
    assert stored == {f"tenant-7:{name}" for name in added}
    # The last example is run by the client with a guard: its change is within the guard.
    synced = {entry.name for entry in open_client.list(tags=["tenant-7-reports"])}
    assert synced == {"tenant-7:daily", "tenant-7:hourly"}
    words = open_client.get("tenant-7:report").schedule.describe()
    assert words.startswith("every 10 minutes")
    with pytest.raises(NotAllowed):
        guarded.add("tenant-8:report", "proj.tasks.report", 300)
    for client in clients:
        client.close()
