"""The examples of the Python API and of its guide run as they stand on their pages."""

from __future__ import annotations

import asyncio
import json
import re
import sys
import types
from pathlib import Path
from typing import Any

import pytest
from celery import Celery
from celery.signals import beat_init

from habeat import Client
from habeat.errors import EntryNotFound, ForeignState, NotAllowed
from habeat.signals import slot_dispatched
from tests import DOCS
from tests.support.django_databases import use_databases
from tests.support.servers.redis_server import Server

PAGE = DOCS / "reference" / "python-api.md"
GUIDE = DOCS / "guides" / "schedules-from-an-application.md"
TENANTS = DOCS / "guides" / "tenants.md"
MONITORING = DOCS / "guides" / "monitoring.md"
EXPLAIN = DOCS / "guides" / "explain.md"
DISASTER = DOCS / "guides" / "disaster.md"
ERRORS = DOCS / "reference" / "errors.md"
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


@pytest.fixture
def django_databases() -> None:
    use_databases()


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
    added = {"report", "copy", "daily", "hourly", "late", "0", "1", "2"}
    assert stored == {f"tenant-7:{name}" for name in added}
    # The last example is run by the client with a guard: its change is within the guard.
    synced = {entry.name for entry in open_client.list(tags=["tenant-7-reports"])}
    assert synced == {"tenant-7:daily", "tenant-7:hourly"}
    asyncio.run(names["pause_all"]("tenant-7-reports"))
    assert {entry.name for entry in open_client.list(state="paused")} == synced
    words = open_client.get("tenant-7:report").schedule.describe()
    assert words.startswith("every 10 minutes")
    with pytest.raises(NotAllowed):
        guarded.add("tenant-8:report", "proj.tasks.report", 300)
    for client in clients:
        client.close()


def test_the_examples_of_the_guide_for_applications_run(
    project: Celery, django_databases: None, capsys: pytest.CaptureFixture[str]
) -> None:
    blocks = BLOCK.findall(GUIDE.read_text())
    assert len(blocks) == 5
    names: dict[str, Any] = {"__name__": "example"}
    for block in blocks:
        exec(compile(block, GUIDE.name, "exec", dont_inherit=True), names)
    client = names["client"]
    report = types.SimpleNamespace(name="daily", cron="0 8 * * *")
    saved: list[int] = []
    customer = types.SimpleNamespace(
        id=7, timezone="Europe/Berlin", reports=[report], save=lambda: saved.append(7)
    )
    assert names["sync_customer"](customer).added == ("customer-7:daily",)
    names["show_plan"]([], "customer-7")
    assert capsys.readouterr().out == "remove customer-7:daily\n"

    async def requests() -> list[str]:
        assert (await names["create_report"](7, "0 9 * * mon")).startswith("next: 20")
        found: list[str] = await names["names_of"](7)
        await names["schedule"].close()
        return found

    assert asyncio.run(requests()) == ["customer-7:daily", "customer-7:weekly"]
    customer.id = 8
    names["save_customer"](customer)
    assert saved == [7]
    assert client.get("customer-8:daily").schedule.describe().startswith("every day")
    for each in (client, names["schedule_on_commit"]):
        each.close()


def run(page: Path, names: dict[str, Any]) -> dict[str, Any]:
    """All of the page's Python, in one namespace, top to bottom."""
    names = {"__name__": "example", **names}
    for block in BLOCK.findall(page.read_text()):
        exec(compile(block, page.name, "exec", dont_inherit=True), names)
    return names


def test_the_examples_of_the_guide_for_tenants_run(project: Celery, valkey: Server) -> None:
    guide = run(TENANTS, {})
    text = TENANTS.read_text()
    assert len(guide["next_times"]("0 8 * * mon", "Europe/Berlin")) == 5
    wrong = guide["next_times"]("61 8 * * *", "Europe/Berlin")
    (quoted,) = re.findall(r"sentence that begins with `([^`]+)`", text)
    assert wrong.startswith(quoted)

    save = guide["save_report"]
    save(7, "daily", "0 8 * * *", "Europe/Berlin")
    save(71, "daily", "0 8 * * *", "Europe/Berlin")
    with pytest.raises(NotAllowed, match="at least 300 s apart"):
        save(7, "often", "* * * * *", "Europe/Berlin")
    with guide["client_for"](7) as tenant:
        with pytest.raises(EntryNotFound):
            tenant.get("tenant-71:daily")
        with pytest.raises(NotAllowed, match="tasks"):
            tenant.add("tenant-7:x", "proj.tasks.other", 600)
        with pytest.raises(NotAllowed, match="option"):
            tenant.add("tenant-7:x", "proj.tasks.send_report", 600, options={"expires": 9})
    (shown,) = guide["overview"](7)
    assert shown["name"] == "tenant-7:daily"
    assert shown["last"] == []

    with Client(project) as everyone:
        guide["suspend"](7)
        paused = {entry.name: entry.state.paused for entry in everyone.list(state="paused")}
        assert paused == {"tenant-7:daily": "invoice overdue"}
        guide["reinstate"](7)
        assert list(everyone.list(state="paused")) == []
        guide["remove_tenant"](7)
        assert [entry.name for entry in everyone.list()] == ["tenant-71:daily"]


def test_the_examples_of_monitoring_run(project: Celery, monkeypatch: pytest.MonkeyPatch) -> None:
    prometheus_client = pytest.importorskip("prometheus_client")
    pytest.importorskip("opentelemetry")
    registry = prometheus_client.CollectorRegistry()
    monkeypatch.setattr(prometheus_client, "REGISTRY", registry)
    monkeypatch.setenv("HABEAT_HTTP_TOKEN", "a-token-of-some-length")
    guide = run(MONITORING, {"app": project})
    beat_init.disconnect(guide["begin"])
    guide["begin"]()
    slot_dispatched.disconnect(sender=project, dispatch_uid=f"habeat spans {id(project)}")
    assert registry.get_sample_value("habeat_redis_up") == 1
    found = guide["figures"]()
    objects = re.findall(r"^```json\n(.*?)^```", MONITORING.read_text(), re.DOTALL | re.MULTILINE)
    (shown,) = [made for text in objects if "healthy" in (made := json.loads(text))]
    assert shown == {key: found[key] for key in ("healthy",)} | {
        "problems": list(found["problems"])
    }
    assert project.conf.habeat_heartbeat_file
    guide["client"].close()


def test_the_example_of_explaining_a_slot_runs(
    project: Celery, capsys: pytest.CaptureFixture[str]
) -> None:
    (block,) = BLOCK.findall(EXPLAIN.read_text())
    with Client(project) as client:
        slot = client.add("report", "proj.report", 3_600).state.next_slot
        names = {"client": client, "slot": slot}
        exec(compile(block, EXPLAIN.name, "exec", dont_inherit=True), names)
    assert "to come due " in capsys.readouterr().out


def test_the_texts_of_errors_are_those_that_the_reference_shows(project: Celery) -> None:
    names = run(ERRORS, {})
    (shown,) = re.findall(r"^```text\n(.*?)^```", ERRORS.read_text(), re.DOTALL | re.MULTILINE)
    assert shown.splitlines() == names["texts"], "\n".join(names["texts"])
    names["client"].close()


def test_keys_of_another_app_are_purged_as_the_guide_says(project: Celery, valkey: Server) -> None:
    valkey.admin.hset("{habeat:proj}:meta", mapping={"app": "other", "schema": "1"})
    with Client(project) as client, pytest.raises(ForeignState):
        client.purge()
    (example,) = (block for block in BLOCK.findall(DISASTER.read_text()) if "purge" in block)
    exec(example.replace("redis://redis.internal:6379/0", valkey.url()), {})
    assert not valkey.admin.exists("{habeat:proj}:meta")
